"""What stands in the form in which an alert is written: read from its fields, with a frame's gaps filled by theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from newsletter import languages
from newsletter.campaigns import frames
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys.narrowing import Part

ACTIONS = 2


@dataclass(frozen=True, slots=True)
class Form:
    """The form.

    digests      whose readers it may be for
    number       the alert that is written anew; seen: by which the form knows what it showed of it
    later, only  the languages that come later, and those to whose readers it is limited; None: as it is stored
    part         the topics and the segment to which it is limited; None: as it is stored
    translates   the alert of which these are further languages; also_had: whoever had another gets them too
    updates      the alert that it follows
    offers       for each language the frames to begin with; none where that would throw away what is written
    once         a number of this form alone: sent twice it is done once
    said         for each language what was written for the gaps of its frame
    """

    digests: Sequence[DigestView]
    texts: Sequence[Manuscript] = ()
    number: int | None = None
    seen: str = ""
    later: Sequence[str] | None = None
    only: Sequence[str] | None = None
    part: Part | None = None
    translates: int | None = None
    also_had: bool = False
    updates: int | None = None
    offers: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    said: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    once: str = ""

    @property
    def written(self) -> dict[str, Manuscript]:
        """The texts by their languages."""
        return {text.language: text for text in self.texts}

    @property
    def gaps(self) -> dict[str, list[tuple[str, str]]]:
        """For each text of a frame the gaps it still has, each with what was written for it."""
        return {
            one.language: [(gap, self.said.get(one.language, {}).get(gap, "")) for gap in _gaps(one)]
            for one in self.texts
            if one.frame
        }

    @property
    def asked(self) -> dict[str, object]:
        """What a worker is asked beside the words."""
        if self.translates is not None:
            return {"translates": self.translates, "also_had": self.also_had}
        lists = {"later": self.later, "only": self.only}
        found: dict[str, object] = {name: list(one) for name, one in lists.items() if one is not None}
        if self.part is not None:
            found |= {"topics": list(self.part.topics), "segment": self.part.segment}
        return found | ({"updates": self.updates} if self.updates is not None else {})


def _gaps(text: Manuscript) -> list[str]:
    headline = text.headline if text.headline != text.subject else ""
    return frames.open_gaps(text.subject, headline, text.preheader, text.markdown)


def read(fields: Mapping[str, str], digest: DigestView, *, number: int | None = None) -> Form:
    """Return what somebody wrote for the readers of a digest."""
    spoken = _languages(fields, digest.languages)
    said = {one: _said(fields, one) for one in spoken}
    texts = [text for one in spoken if (text := _text(fields, one, said[one]))]
    form = Form([digest], texts, number, fields.get("seen", ""), said=said, once=fields.get("once", "")[:64])
    if (of := _alert(fields, "translates")) is not None:
        return replace(form, translates=of, also_had=fields.get("for") == "also-had")
    later = [one for one in spoken if fields.get(f"later-{one}") and one not in form.written]
    form = replace(form, later=later, only=_only(fields, spoken), part=_part(fields))
    return replace(form, updates=_alert(fields, "updates"))


def nobody(fields: Mapping[str, str]) -> bool:
    """Return whether a form asks for whom it is, and nobody was ticked."""
    return bool(fields.get("readers")) and not any(name.startswith("only-") for name in fields)


def _alert(fields: Mapping[str, str], name: str) -> int | None:
    written = fields.get(name, "")
    return int(written[:18]) if written.isdecimal() else None


def _part(fields: Mapping[str, str]) -> Part | None:
    """Return the topics that were ticked and the segment that was chosen; None: the form did not ask."""
    if not fields.get("part"):
        return None
    ticked = sorted(name.removeprefix("topic-") for name in fields if name.startswith("topic-"))
    return Part(tuple(ticked), fields.get("segment", ""))


def _only(fields: Mapping[str, str], spoken: Sequence[str]) -> list[str] | None:
    if not fields.get("readers"):
        return None
    only = [one for one in spoken if fields.get(f"only-{one}")]
    return [] if len(only) == len(spoken) else only


def _languages(fields: Mapping[str, str], usual: Sequence[str]) -> list[str]:
    """Return the languages that a form has fields for: the digest's first, then others in which the alert was written elsewhere."""
    written = (languages.tag(name.removeprefix("subject-")) for name in fields if name.startswith("subject-"))
    return list(dict.fromkeys([*usual, *filter(None, written)]))


def _said(fields: Mapping[str, str], language: str) -> dict[str, str]:
    """Return what was written for the gaps of a frame, by what they ask for."""
    places = range(frames.MOST_GAPS)
    pairs = [(fields.get(f"gap-{language}-{one}", ""), fields.get(f"says-{language}-{one}", "")) for one in places]
    return {gap: said.strip() for gap, said in pairs if gap and said.strip()}


def _text(fields: Mapping[str, str], language: str, said: Mapping[str, str]) -> Manuscript | None:
    """Return what was written in a language; None where it was left empty."""
    frame = "" if fields.get(f"free-{language}") else fields.get(f"frame-{language}", "").strip()
    # By either box: whoever leaves the frame keeps what they wrote into it.
    gaps = said if fields.get(f"frame-{language}") else {}

    def written(name: str) -> str:
        return frames.filled(fields.get(f"{name}-{language}", "").strip(), gaps)

    subject, text, actions = written("subject"), written("text"), _actions(fields, language)
    if not (subject or text or actions):
        return None
    markdown = text.replace("\r\n", "\n") + "\n"
    headline = written("headline") or subject
    url = fields.get(f"page-{language}", "").strip()
    return Manuscript(subject, headline, written("preheader"), language, url, actions, markdown, frame)


def _actions(fields: Mapping[str, str], language: str) -> tuple[tuple[str, str], ...]:
    pairs = [
        (fields.get(f"label-{language}-{one}", "").strip(), fields.get(f"url-{language}-{one}", "").strip())
        for one in range(ACTIONS)
    ]
    return tuple(pair for pair in pairs if any(pair))
