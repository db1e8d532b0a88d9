"""To which part of a digest's readers an alert is limited: who chose a topic, who is in a segment.

What is stored, and locked, means the same for ever: topics with their numbers, a segment with all of its conditions. Who meets
them is asked as the alert goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from newsletter.database import Session
from newsletter.delivery import planning
from newsletter.errors import Invalid
from newsletter.issues import digests
from newsletter.ledger import mailings, translating
from newsletter.subscribers import segments, topics
from newsletter.subscribers.topics import TopicView

NAMES = ("topics", "segment")


class SmallerPart(Invalid):
    """What would replace an alert leaves out some of those who are to hear of it."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.smaller-part", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class Part:
    """What somebody asks for.

    topics    keys: those who chose any of them
    segment   a key: those who are in it; "": whoever
    """

    topics: tuple[str, ...] = ()
    segment: str = ""


EVERYBODY = Part()


@dataclass(frozen=True, slots=True)
class Limits:
    """The same, as it is read by people.

    topics       their names; keys: their keys
    segment      its key; conditions: each as a line
    """

    topics: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    segment: str = ""
    conditions: tuple[str, ...] = ()

    @staticmethod
    def of(audience: Mapping[str, Any]) -> "Limits":
        """Return the limits of an audience as it is stored."""
        chosen, segment = audience.get("topics", ()), audience.get("segment")
        names, keys = (tuple(str(one[what]) for one in chosen) for what in ("name", "key"))
        if not segment:
            return Limits(names, keys)
        return Limits(names, keys, str(segment["key"]), tuple(segments.lines(segment["all"])))

    @property
    def part(self) -> Part:
        """What was asked for."""
        return Part(self.keys, self.segment)


@dataclass(frozen=True, slots=True)
class Choice:
    """What an alert may be limited to: topics, and keys of segments with their conditions as lines."""

    topics: tuple[TopicView, ...]
    segments: tuple[tuple[str, tuple[str, ...]], ...]


def choice(session: Session) -> Choice:
    """Return what there is to choose from."""
    kept = ((key, tuple(segments.lines(segments.as_data(one)))) for key, one in segments.listed(session).items())
    return Choice(tuple(topics.listed(session)), tuple(kept))


def stored(session: Session, part: Part) -> dict[str, Any]:
    """Return what is stored of what somebody asks for. Raises UnknownTopic, UnknownSegment, and what counting it would raise."""
    chosen = sorted(topics.by_keys(session, part.topics), key=lambda one: one.key)
    found: dict[str, Any] = {}
    if chosen:
        found["topics"] = [{"id": one.id, "key": one.key, "name": one.name} for one in chosen]
    if part.segment:
        spelled = segments.spelled(session, segments.by_key(session, part.segment))
        found["segment"] = {"key": part.segment, "all": segments.as_data(spelled)}
    # A segment may name a digest that is not there, or a mailing whose rows have ended: that is said now, not at night.
    planning.require_part(session, found)
    return found


def of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of what is stored of an alert."""
    return {name: content[name] for name in NAMES if content.get(name)}


def without(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of an alert, for everybody."""
    return {name: one for name, one in content.items() if name not in NAMES}


def like(session: Session, mailing_id: int) -> tuple[tuple[str, ...], Part]:
    """Return to which of its digest's readers an alert is limited, for one that follows it: by language, and to a part of them.

    Of a language that the digest lists no more whoever follows it is for all: nobody could read it alone.
    """
    view = mailings.get(session, mailing_id)
    terms, read = translating.terms(view), digests.get(session, view.digest_id or 0).languages
    only = tuple(terms.get("only", ()))
    return (only if set(only) <= set(read) else ()), Limits.of(terms).part


def wider(session: Session, mailing_id: int) -> int | None:
    """Return which alert one follows that was for fewer of the digest's readers; None: for as many, or it follows none."""
    view = mailings.get(session, mailing_id)
    if view.updates is None:
        return None
    old, new = (translating.terms(one) for one in (mailings.get(session, view.updates), view))
    read = digests.get(session, view.digest_id or 0).languages
    spoken = [set(each.get("only") or read) & set(read) for each in (old, new)]
    chosen = [{one["id"] for one in each.get("topics", ())} for each in (old, new)]
    same = chosen[0] == chosen[1] and old.get("segment") == new.get("segment") and spoken[1] <= spoken[0]
    return None if same else view.updates


def require_all(updates: int, *, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise SmallerPart where an update is for a part that leaves out readers of what it replaces."""
    old, new = of(before), of(after)
    chosen, wider = ({one["id"] for one in each.get("topics", ())} for each in (old, new))
    if (wider and (not chosen or not chosen <= wider)) or ("segment" in new and new["segment"] != old.get("segment")):
        raise SmallerPart(updates)
