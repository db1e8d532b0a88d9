"""Whom a language of an alert is for that came later: those who wait for it, and those who were handed another.

Whoever has the alert in that language already gets it no second time, and whoever is still to get another waits for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, not_, null, or_, select, text, true
from sqlalchemy.orm import Session

from newsletter import turns
from newsletter.ledger import locks, mailings
from newsletter.ledger.mailings import Kind, MailingView
from newsletter.models.delivery import Delivery, DeliveryState
from newsletter.models.mailing import Mailing, Variant
from newsletter.turns import What

LIMITS = ("only", "topics", "segment")
"""What keeps an alert from some of its digest's readers: the languages they read, the topics they chose, a segment they are in.

Each stands there expanded: a topic with its number, key and name, a segment with its key and every condition.
"""
HAS_IT = "has it already"
HAD_ANOTHER = "had another language"
ON_ITS_WAY = "another language is on its way"
_HANDED = (DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)
_DUE = (DeliveryState.PLANNED, DeliveryState.DEFERRED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many readers of a language wait for it, and how many of them were handed another."""

    language: str
    waiting: int
    had: int


def one_at_a_time(session: Session, mailing_id: int) -> None:
    """Wait until no other language of an alert is being planned: of two of the same, the second sees what the first gave out."""
    turns.wait(session, What.LANGUAGE, mailing_id)


def terms(mailing: MailingView) -> dict[str, Any]:
    """Return what an alert's audience is beside its digest.

    Whose readers it is limited to, the languages that come later, or of which alert it is one, with the same limits.
    """
    limit = {name: mailing.content[name] for name in LIMITS if mailing.content.get(name)}
    if mailing.translates is not None:
        languages, also_had = list(mailing.content.get("languages", [])), bool(mailing.content.get("also_had"))
        return {"of": mailing.translates, "languages": languages, "also_had": also_had} | limit
    later = list(mailing.content.get("later", []))
    return ({"later": later} if later else {}) | limit


def not_gone(session: Session, *, segment: str) -> list[int]:
    """Return the alerts limited to a segment, by its key, that are still to be written, locked or sent."""
    waits = Mailing.kind == Kind.ALERT, Mailing.state.in_(mailings.NOT_GONE)
    named = Mailing.content["segment"]["key"].astext == segment
    return list(session.execute(select(Mailing.id).where(*waits, named).order_by(Mailing.id)).scalars())


def limited(audience: Mapping[str, Any]) -> bool:
    """Return whether an alert's audience is a part of those who take its digest, and the others never hear of it."""
    return any(audience.get(name) for name in LIMITS)


def reached(session: Session, mailing_id: int, *, but: int | None = None) -> int:
    """Return for how many an alert was planned, in all its languages. but: a language that does not count."""
    every = (mailings.get(session, one) for one in mailings.in_all_languages(session, mailing_id) if one != but)
    return sum(_reached(session, one) for one in every)


def _reached(session: Session, mailing: MailingView) -> int:
    planned = mailings.planned(session, mailing.id)
    # Of one whose rows are still being written, what it was locked for.
    return max(planned, locks.current(session, mailing.id).count) if mailing.growing else planned


def beside(session: Session, mailing_id: int) -> int:
    """Return for how many an alert was planned beside this language of it; 0 of an alert itself, which goes before them."""
    of = mailings.get(session, mailing_id).translates
    return 0 if of is None else reached(session, of, but=mailing_id)


def gone(session: Session, mailing_id: int, *, but: int) -> list[tuple[MailingView, int]]:
    """Return an alert and its later languages but one, each with for how many it has room in shards, whatever is said of it.

    What a shard holds, which alert it is of, of which a language is, and when it was planned, nobody but the owner writes over.
    """
    every = [mailings.get(session, one) for one in mailings.in_all_languages(session, mailing_id) if one != but]
    return extents(session, every)


def extents(session: Session, every: Sequence[MailingView]) -> list[tuple[MailingView, int]]:
    """Return with each mailing for how many it has room in shards, or for how many more it was planned or locked, whatever is said
    of it.
    """
    rooms: dict[int, int] = dict(session.execute(_ROOMS, {"mailings": [one.id for one in every]}).all())
    return [(one, _extent(session, one, int(rooms.get(one.id, 0)))) for one in every]


def _extent(session: Session, mailing: MailingView, room: int) -> int:
    try:
        return max(_reached(session, mailing), room)
    except (locks.Broken, locks.NotLocked):
        return room


_ROOMS = text("""
    SELECT mailing_id, sum(size) FROM shard WHERE mailing_id = ANY (CAST(:mailings AS bigint[])) AND NOT retry GROUP BY mailing_id
""")


def narrowed(
    audience: Select[Any],
    gone: Sequence[MailingView],
    languages: Sequence[str],
    *,
    also_had: bool,
    waiting: bool = False,
) -> Select[Any]:
    """Return the query for the readers of these languages, of an alert's whole audience.

    audience    rows as of `recipients.of_digest`
    gone        the alert and its later languages, as far as they were planned
    also_had    those who were handed another language get it too
    waiting     no rows but for those who had nothing

    Rows: mailbox_id, subscriber_id, provider, edition, style, time_zone, excluded, number (of the variant: those for whoever had
    another come after the others) and place (whoever waits comes before whoever had another).
    """
    readers = audience.subquery()
    had = _had(readers.c.mailbox_id, gone)
    another = had.c.languages.is_not(None)
    excluded = case(
        (readers.c.excluded.is_not(None), readers.c.excluded),
        (readers.c.edition == func.any(had.c.languages), literal(HAS_IT)),
        (and_(another, had.c.handed.is_not(True)), literal(ON_ITS_WAY)),
        *([] if also_had else [(another, literal(HAD_ANOTHER))]),
        else_=null(),
    )
    first = case({language: place for place, language in enumerate(languages, start=1)}, value=readers.c.edition)
    columns = [readers.c[name] for name in ("mailbox_id", "subscriber_id", "provider", "edition", "style", "time_zone")]
    return (
        select(
            *columns,
            excluded.label("excluded"),
            (first + case((another, len(languages)), else_=0)).label("number"),
            case((another, 2), else_=0).label("place"),
        )
        .select_from(readers)
        .join(had, true())
        .where(readers.c.edition.in_(list(languages)), not_(another) if waiting else true())
    )


def _had(mailbox: ColumnElement[int], gone: Sequence[MailingView]) -> Any:
    """One row a reader: the languages in which the alert went to them or may still go; and whether any may have come."""
    mine = or_(*(and_(Delivery.month == one.month, Delivery.mailing_id == one.id) for one in gone))
    handed = or_(Delivery.state.in_(_HANDED), Delivery.uncertain_at.is_not(None))
    return (
        select(func.array_agg(Variant.language).label("languages"), func.bool_or(handed).label("handed"))
        .join(Variant, Variant.id == Delivery.variant_id)
        .where(Delivery.mailbox_id == mailbox, mine, or_(handed, Delivery.state.in_(_DUE)))
        .lateral()
    )


def count(session: Session, narrowed_to: Select[Any]) -> list[Waiting]:
    """Return how many readers of each language an audience holds, of one narrowed with `also_had`."""
    rows = narrowed_to.subquery()
    of_each = select(
        rows.c.edition, func.count().filter(rows.c.place == 0), func.count().filter(rows.c.place > 0)
    ).where(rows.c.excluded.is_(None))
    found = session.execute(of_each.group_by(rows.c.edition).order_by(rows.c.edition))
    return [Waiting(*row) for row in found]
