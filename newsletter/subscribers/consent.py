"""The proof of a permission: events that nobody can change."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import insert, select, text

from newsletter import mailboxes
from newsletter.database import Session
from newsletter.errors import Invalid
from newsletter.models.consent import Basis as Basis
from newsletter.models.consent import Consent, ConsentDetail, ConsentEvent

EVERYTHING = "everything"
"""The purpose of a withdrawal that holds for every digest, also for those to come."""


SOFT_FROM = date(2026, 2, 5)
"""Since when British charities may rely on it, for data of that day or later (PECR reg. 22(3A), by the Act of 2025, s. 114)."""


class NotSoft(Invalid):
    """What is said of these people is no soft opt-in.

    problem   its facts are "unsaid", "collected" too early or in the future, or the "refusal" is not shown
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"consent.not-soft-{problem}", since=SOFT_FROM)


class Came(StrEnum):
    """In the course of what the charity got an address: the law names these, and no other."""

    INTEREST = "interest"
    SUPPORT = "support"


@dataclass(frozen=True, slots=True)
class SoftOptIn:
    """The facts on which a charity may write without consent, for its own charitable purposes alone.

    came         they expressed interest in those purposes, or gave or offered support
    collected    the day on which they gave the address
    refusal      the words by which they could refuse there, simply and free of charge; each mail offers it again
    """

    came: Came
    collected: date
    refusal: str

    def require(self, *, today: date) -> None:
        """Raise NotSoft where the law would not have it."""
        if not SOFT_FROM <= self.collected <= today:
            raise NotSoft("collected")
        if not self.refusal.strip():
            raise NotSoft("refusal")

    def told(self) -> dict[str, str]:
        """Return the facts as details of a permission."""
        return {"came_by": self.came, "collected_on": self.collected.isoformat(), "could_refuse_by": self.refusal}


def asked_from(basis: Basis) -> date | None:
    """Return since which day people can have given a permission of some basis; None: always."""
    return SOFT_FROM if basis is Basis.SOFT_OPT_IN else None


def of_digest(digest_id: int) -> str:
    """Return the purpose "to be sent this digest"."""
    return f"digest:{digest_id}"


def version_of(wording: str) -> str:
    """Return by which version of a text somebody agreed: twelve letters of its digest, so that equal texts are one version."""
    return sha256(wording.encode()).hexdigest()[:12] if wording else ""


def granted(
    session: Session,
    subscriber_id: int,
    *,
    basis: Basis,
    purpose: str,
    now: datetime,
    details: Mapping[str, str] | None = None,
) -> int:
    """Record that a person gave a permission; return the event's id, which a subscription names.

    details   how it was given (wording, form, page, time, truncated address, by what it was confirmed): kept sealed
    """
    event = _said(session, subscriber_id=subscriber_id, kind=Consent.GRANTED, basis=basis, purpose=purpose, at=now)
    if details:
        told = dict(details)
        if told.get("wording"):
            told["wording_version"] = version_of(told["wording"])
        sealed = session.vault.seal("consent_detail", "details", event, json.dumps(told, ensure_ascii=False))
        session.add(ConsentDetail(event_id=event, details_sealed=sealed))
        session.flush()
    return event


def keep_details(session: Session, found: Iterable[tuple[int, Mapping[str, str]]]) -> None:
    """Seal the details of many events, by their numbers, and copy them in."""
    seal = session.vault.seal
    rows = (
        (event, seal("consent_detail", "details", event, json.dumps(dict(details), ensure_ascii=False)))
        for event, details in found
    )
    mailboxes.copy_rows(session, "consent_detail (event_id, details_sealed)", ("int8", "bytea"), rows)


def withdrawn(session: Session, subscriber_id: int, *, purpose: str, now: datetime) -> None:
    """Record that a person took a permission back."""
    _said(session, subscriber_id=subscriber_id, kind=Consent.WITHDRAWN, purpose=purpose, at=now)


def _said(session: Session, **facts: Any) -> int:
    # Not by the unit of work, which names every column: the pages' role may not write those of lists and of operators.
    return session.execute(insert(ConsentEvent).values(**facts).returning(ConsentEvent.id)).scalar_one()


def own(event: str) -> str:
    """Return SQL for whether an event is a word of the person's own that counts: no list's or operator's, and no yes taken back."""
    return f"""({event}.import_id IS NULL AND {event}.undoes IS NULL AND ({event}.kind = 'withdrawn'
        OR (SELECT count(*) FROM consent_event u WHERE u.undoes = {event}.id) = 0))"""  # noqa: S608


def said_no(person: str, purposes: str) -> str:
    """Return SQL for whether the last word of a person's own about any of some purposes was no.

    person     the SQL of their number; purposes: of an array

    What ended because an operator took a list or a sign-up back is nobody's word. An aggregate, one look-up by index: an EXISTS the
    planner may turn into a hash of everybody, and ORDER BY … LIMIT 1 into a walk backwards through all events, while tables just
    filled have no statistics.
    """
    return f"""coalesce((SELECT (array_agg(e.kind ORDER BY e.id DESC))[1] = 'withdrawn' FROM consent_event e
        WHERE e.subscriber_id = {person} AND e.purpose = ANY ({purposes}) AND {own("e")}), false)"""  # noqa: S608


def said_no_to(session: Session, subscriber_id: int, digest_id: int) -> bool:
    """Whether the last word of a person about a digest, or about all of them, was no."""
    return bool(refusing(session, [subscriber_id], digest_id))


def left_since(session: Session, subscriber_id: int, digest_id: int, at: datetime) -> bool:
    """Return whether a person's last word about a digest, or about all of them, was no, and later than a moment."""
    facts = {"person": subscriber_id, "purposes": [of_digest(digest_id), EVERYTHING], "at": at}
    return bool(session.execute(_LEFT_SINCE, facts).scalar_one())


_LEFT_SINCE = text(f"""
    SELECT {said_no(":person", "CAST(:purposes AS text[])")} AND EXISTS (
        SELECT FROM consent_event e WHERE e.subscriber_id = :person AND e.kind = 'withdrawn' AND e.at > :at
            AND e.purpose = ANY (CAST(:purposes AS text[])) AND {own("e")}
    )
""")  # noqa: S608


def refused(session: Session, subscriber_id: int, *, digest_id: int, now: datetime) -> None:
    """Record that a reader does not want a digest which they do not take. Safe to repeat, also for whoever was erased."""
    refused_by(session, [(subscriber_id, digest_id)], now=now)


def refused_by(session: Session, wished: Collection[tuple[int, int | None]], *, now: datetime) -> None:
    """Record of many readers that each does not want a digest, or with None any. Safe to repeat; it waits for nobody."""
    one = [(person, of_digest(digest_id)) for person, digest_id in wished if digest_id is not None]
    facts = {"people": [person for person, _ in one], "purposes": [purpose for _, purpose in one], "now": now}
    session.execute(_REFUSED, facts)
    session.execute(_REFUSED_ALL, {"people": [person for person, digest_id in wished if digest_id is None], "now": now})


_REFUSED = text(f"""
    INSERT INTO consent_event (subscriber_id, kind, purpose, at)
    SELECT s.id, 'withdrawn', no.purpose, :now
    FROM unnest(CAST(:people AS bigint[]), CAST(:purposes AS text[])) AS no (person, purpose)
    JOIN subscriber s ON s.id = no.person WHERE NOT {said_no("s.id", f"ARRAY[no.purpose, '{EVERYTHING}']")}
""")  # noqa: S608
# But for whom that is the last word of all: what they said yes to since is among what they leave.
_REFUSED_ALL = text(f"""
    INSERT INTO consent_event (subscriber_id, kind, purpose, at)
    SELECT s.id, 'withdrawn', '{EVERYTHING}', :now
    FROM unnest(CAST(:people AS bigint[])) AS no (person) JOIN subscriber s ON s.id = no.person
    WHERE (SELECT (array_agg(e.kind || ' ' || e.purpose ORDER BY e.id DESC))[1] FROM consent_event e
        WHERE e.subscriber_id = s.id) IS DISTINCT FROM 'withdrawn {EVERYTHING}'
""")  # noqa: S608


def refusing(session: Session, subscriber_ids: Iterable[int], digest_id: int) -> set[int]:
    """Return those of some readers whose last word about a digest, or about all of them, was no."""
    facts = {"people": list(subscriber_ids), "purposes": [of_digest(digest_id), EVERYTHING]}
    return set(session.execute(_REFUSING, facts).scalars())


# Who ever said no is looked up first: it is asked for each window of mail, and most never did.
_REFUSING = text(f"""
    SELECT known.person FROM (
        SELECT DISTINCT subscriber_id AS person FROM consent_event WHERE subscriber_id = ANY (CAST(:people AS bigint[]))
            AND purpose = ANY (CAST(:purposes AS text[])) AND kind = 'withdrawn'
    ) known WHERE {said_no("known.person", "CAST(:purposes AS text[])")}
""")  # noqa: S608


def has_left(session: Session, subscriber_id: int) -> bool:
    """Whether the last word of a person about any digest was no."""
    return bool(session.execute(_HAS_LEFT, {"person": subscriber_id}).scalar_one())


_HAS_LEFT = text(f"""
    SELECT coalesce(bool_or({said_no(":person", "ARRAY[known.purpose]")}), false) FROM (
        SELECT DISTINCT purpose FROM consent_event WHERE subscriber_id = :person AND purpose NOT LIKE 'topic:%'
    ) known
""")  # noqa: S608


def was_granted(session: Session, subscriber_id: int, *, purpose: str) -> bool:
    """Whether a person ever gave a permission for a purpose, whatever they said since."""
    mine = (ConsentEvent.subscriber_id == subscriber_id, ConsentEvent.purpose == purpose)
    given = select(ConsentEvent.id).where(*mine, ConsentEvent.kind == Consent.GRANTED)
    return session.execute(given.limit(1)).first() is not None


def digests_granted_at(session: Session, subscriber_id: int, at: datetime) -> list[int]:
    """Return the digests for which a permission was recorded at this very moment: a mail that tells of them has the same."""
    then = (ConsentEvent.subscriber_id == subscriber_id, ConsentEvent.kind == Consent.GRANTED, ConsentEvent.at == at)
    return _digests(session.execute(select(ConsentEvent.purpose).where(*then).order_by(ConsentEvent.id)).scalars())


def digests_granted_after(
    session: Session, subscriber_ids: Iterable[int], at: datetime
) -> list[tuple[int, int, datetime]]:
    """Return (person, digest, when) of each yes that some said after a moment: by their own word, and not by a list's."""
    found = session.execute(_GRANTED_AFTER, {"people": list(subscriber_ids), "at": at})
    return [(row.subscriber_id, one, row.at) for row in found for one in _digests([row.purpose])]


_GRANTED_AFTER = text("""
    SELECT subscriber_id, purpose, at FROM consent_event
    WHERE subscriber_id = ANY (CAST(:people AS bigint[])) AND kind = 'granted' AND import_id IS NULL AND at > :at
""")


def _digests(purposes: Iterable[str]) -> list[int]:
    numbers = (one.partition(of_digest(0)[:-1])[2] for one in purposes)
    return [int(one) for one in numbers if one.isdigit()]


def last_purpose_withdrawn(session: Session, subscriber_id: int) -> str | None:
    """Return what a person took back, if that is the last they said."""
    mine = select(ConsentEvent).where(ConsentEvent.subscriber_id == subscriber_id)
    last = session.execute(mine.order_by(ConsentEvent.id.desc()).limit(1)).scalar_one_or_none()
    return last.purpose if last is not None and last.kind == Consent.WITHDRAWN else None
