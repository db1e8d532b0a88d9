"""Planning rows: who gets which variant, who is left out and why, and the shards that workers will lease.

One set-based pass over the audience, whatever its size: a temporary table of everyone with variant or reason, then
shards cut by provider group, then the deliveries. A large alert takes several: the first readers have theirs on the wire while the
others' rows are written.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter import database
from newsletter.composer import styles
from newsletter.ledger import mailings, ranking, variants
from newsletter.ledger.mailings import Kind, Lane, MailingView

SHARD_SIZE = 2000
TRANCHE = 200
LARGE = 2000
NEW_SHARE = 0.05
MANY = 5_000
"""Rows from which a look at the statistics pays: it takes 50 ms for twenty thousand."""
KNOWN_SHARE = 0.1
"""By how much a month's deliveries must have grown for another look: an alert of 40,000 beside a digest waits 0.2 s for one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What planning found: audience = planned + the sum of `excluded`."""

    audience: int
    planned: int
    excluded: dict[str, int]
    shards: int


@dataclass(frozen=True, slots=True)
class First:
    """Who is planned before the others: `count` readers. among: those of the audience who come first; where they are too few,
    anybody follows."""

    count: int
    among: Select[Any] | None = None


def plan(
    session: Session,
    mailing: MailingView,
    audience: Select[Any],
    *,
    now: datetime,
    tranche_pause: timedelta = timedelta(0),
    awake: Sequence[str] | None = None,
    first: First | None = None,
) -> Plan:
    """Write the deliveries and shards of a mailing and return the counts; of a growing one, those of its further readers.

    tranche_pause   how long the rest waits for the first tranche of a large or new audience; 0 sends without one, and in no order
    audience    rows of mailbox_id, subscriber_id, provider, edition, style, had_to, excluded (a reason or NULL); of a
                retraction those of `deliveries.handed` with their style, of a language that came later those of
                `translating.narrowed`
    awake       the time zones whose readers come before the others; None: in no such order
    first       not all, but these: the mailing grows until a call without it, which counts who is left out

    Raises mailings.WrongState when the mailing was ended meanwhile.
    """
    month_of(session, mailing)
    _gather(session, mailing, audience, first)
    found: dict[str | None, int] = dict(session.execute(_COUNTS).all())
    planned = found.pop(None, 0)
    counts = {str(reason): number for reason, number in found.items()}
    pause = tranche_pause if _wants_tranche(session, planned, tranche_pause) else timedelta(0)
    if tranche_pause and planned > TRANCHE and mailing.kind in (Kind.DIGEST, Kind.MAILING):
        ranking.best_first(session, now=now)  # a relay elsewhere, perhaps a young one
    order = {"awake": None if awake is None else list(awake)}
    session.execute(_TRANCHE, order | {"tranche": TRANCHE if pause else 0, "planned": planned})
    facts = {"mailing": mailing.id, "month": mailing.month, "lane": mailing.lane, "now": now, "size": SHARD_SIZE}
    facts |= {"later": now + pause, "pause": pause or None}
    session.execute(_CUT, {"size": SHARD_SIZE})
    # Unlooked at, its five hundred rows are joined to a million one by one: a minute and a half.
    session.execute(text("ANALYZE cut"))
    shards = session.execute(_SHARDS, facts).rowcount  # type: ignore[attr-defined]
    written = session.execute(_DELIVERIES, facts).rowcount  # type: ignore[attr-defined]
    assert written == planned, "every planned recipient has exactly one row"
    session.execute(text("DROP TABLE plan, planned, cut"))
    books = {"audience": planned + sum(counts.values()), "planned": planned, "excluded": json.dumps(counts)}
    mailings.grow(session, mailing.id, books | {"growing": first is not None, "now": now})
    return Plan(audience=planned + sum(counts.values()), planned=planned, excluded=counts, shards=shards)


def look(session: Session, mailing: MailingView, *, written: int, more: bool = False) -> None:
    """Let PostgreSQL look at the deliveries, where so many rows of a mailing are news to it.

    more   a further pass follows, whose plan hangs on what is known of these

    For an alert at its own month alone: to look at all months of a large list takes seconds.
    """
    month = month_of(session, mailing)
    if more or news(written, known=session.execute(_KNOWN, {"name": month}).scalar_one()):
        database.refresh_statistics(session, month if mailing.lane is Lane.URGENT else "delivery", "shard")


def month_of(session: Session, mailing: MailingView) -> str:
    """Return the name of the table of a mailing's month, which is made where it is not there yet."""
    found = session.execute(text("SELECT deliveries_of_month(:month)"), {"month": mailing.month})
    return str(found.scalar_one())


def news(written: int, *, known: float) -> bool:
    """Return whether so many new rows are worth a look at a table that had `known` at the last one (-1: there was none)."""
    return written >= MANY and written > known * KNOWN_SHARE


_KNOWN = text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)")


def _wants_tranche(session: Session, planned: int, pause: timedelta) -> bool:
    """A bulk mailing of more than 2,000, or to more than 5 % of people who were never mailed before (standards §19)."""
    if not pause or planned <= TRANCHE:
        return False
    return planned > LARGE or session.execute(_NEW).scalar_one() > NEW_SHARE * planned


def _gather(session: Session, mailing: MailingView, audience: Select[Any], first: First | None) -> None:
    """Put the audience with its variants into a temporary table: who has no row yet, all or the first of them."""
    if first is None:
        return _fill(session, mailing, audience)
    _fill(session, mailing, audience if first.among is None else first.among, first.count)
    found = session.execute(text("SELECT count(*) FROM plan")).scalar_one()
    if first.among is not None and found < first.count:
        session.execute(text("ANALYZE plan"))
        # Into a table of its own: INSERT … SELECT is never done by several processes, and took fifteen times as long.
        _fill(session, mailing, audience, first.count - found, into="others")
        session.execute(text("INSERT INTO plan SELECT * FROM others"))
        session.execute(text("DROP TABLE others"))
    return None


def _fill(
    session: Session, mailing: MailingView, audience: Select[Any], most: int | None = None, *, into: str = "plan"
) -> None:
    choice, facts = _choice(session, mailing)
    whole = literal(audience)
    ordered = "place" in audience.selected_columns
    rowless = _WITHOUT_ROW if most is None or ordered else _EACH_WITHOUT_ROW
    without = [rowless] * mailing.growing + [_WITHOUT_PLAN] * (into != "plan")
    if without:
        whole = f"SELECT * FROM ({whole}) anyone WHERE {' AND '.join(without)}"  # noqa: S608
    if mailing.growing:
        facts |= {"month": mailing.month}
    if most is not None:
        # In the order in which an alert went, where it has one. Left out are readers after the limit: the planner takes the
        # condition for rare, and would look at everybody.
        order = "ORDER BY place" if ordered else ""
        whole = f"SELECT * FROM ({whole} {order} LIMIT :most) foremost WHERE excluded IS NULL"  # noqa: S608
        facts |= {"most": most}
    session.execute(text(f"CREATE TEMP TABLE {into} ON COMMIT DROP AS WITH audience AS ({whole}) {choice}"), facts)


def count(session: Session, mailing: MailingView, audience: Select[Any]) -> int:
    """Return how many `plan` would write now, and write nothing."""
    choice, facts = _choice(session, mailing)
    counted = f"WITH audience AS ({literal(audience)}) SELECT count(*) FROM ({choice}) plan WHERE excluded IS NULL"  # noqa: S608
    return int(session.execute(text(counted), facts).scalar_one())


def variant_for(session: Session, mailing: MailingView, audience: Select[Any], mailbox_id: int) -> int | None:
    """Return the variant one reader of the audience would get, or None when they would get nothing."""
    choice, facts = _choice(session, mailing)
    one = f"WITH audience AS (SELECT * FROM ({literal(audience)}) anyone WHERE mailbox_id = :mailbox) {choice}"  # noqa: S608
    found = session.execute(text(one), facts | {"mailbox": mailbox_id}).one_or_none()
    return found.variant_id if found and found.excluded is None else None


def moot(kind: Kind) -> str:
    """Return the marks of a style that make no difference to a kind of mailing."""
    return "" if kind == Kind.DIGEST else styles.BRIEF_MOOT


def _choice(session: Session, mailing: MailingView) -> tuple[str, dict[str, Any]]:
    """Return the SQL that finds each reader's variant, and its parameters."""
    facts: dict[str, Any] = {"mailing": mailing.id}
    if mailing.kind == Kind.DIGEST:
        chosen = _style(variants.styles_of_groups(session, mailing.id), mailing.kind)
        others = session.execute(_OTHERS, facts).all()
        facts |= {"alerts": mailing.content.get("alerts", [])}
        if others:
            months = {mailings.month_of(one.created_at) for one in others}
            facts |= {"others": [one.id for one in others], "months": sorted(months)}
        return _BY_GROUP.format(style=chosen, another=_ON_ITS_WAY if others else "false"), facts
    made = variants.styles(session, mailing.id)
    chosen = _style(made, mailing.kind)
    if mailing.kind == Kind.RETRACTION or mailing.translates is not None:
        return _BY_NUMBER.format(style=chosen), facts | {"plain": made.get("", 1)}
    return _BY_LANGUAGE.format(style=chosen), facts


def _style(made: Iterable[str], kind: Kind) -> str:
    """Return the SQL for the style of a reader's version: theirs, or the one that does all they asked for; NULL where none does."""
    served = {wanted: styles.nearest(wanted, made, moot=moot(kind)) for wanted in styles.EVERY}
    cases = " ".join(f"WHEN '{wanted}' THEN '{style}'" for wanted, style in served.items() if style is not None)
    return f"CASE a.style {cases} END" if cases else "NULL"


UNSERVED = "no version in their style"
"""Why a reader gets nothing: all there is would say more about them than they asked for."""


def literal(audience: Select[Any]) -> str:
    """Return a query as SQL with its values written in, to stand inside a statement made by text()."""
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    compiled = audience.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    # The colons of casts and of quoted values are no parameters.
    return str(compiled).replace(":", r"\:")


_ROW = "FROM delivery d WHERE d.month = :month AND d.mailing_id = :mailing AND d.mailbox_id = anyone.mailbox_id"
_WITHOUT_ROW = f"NOT EXISTS (SELECT {_ROW})"
# Of a mailing whose first rows are news to the planner it expects one, and would compare all of them with everybody: 13 s.
_EACH_WITHOUT_ROW = f"(SELECT count(*) {_ROW}) = 0"
_WITHOUT_PLAN = "NOT EXISTS (SELECT FROM plan p WHERE p.mailbox_id = anyone.mailbox_id)"
# An issue of another rhythm that is under way may hold the same articles; who gets it has had them only once it is handed over.
# What it does not hold comes with the next.
_OTHERS = text("""
    SELECT o.id, o.created_at FROM mailing o JOIN mailing m ON o.digest_id = m.digest_id AND o.rhythm <> m.rhythm
    WHERE m.id = :mailing AND o.kind = 'digest' AND o.state IN ('sending', 'paused')
""")
_ON_ITS_WAY = """EXISTS (
    SELECT FROM delivery o WHERE o.month = ANY (CAST(:months AS date[])) AND o.mailing_id = ANY (CAST(:others AS bigint[]))
        AND o.mailbox_id = a.mailbox_id AND o.state IN ('planned', 'deferred'))"""
# Readers of one edition who have had the same articles share a variant; a group with none has nothing new to read.
_BY_GROUP = """
    SELECT a.mailbox_id, a.subscriber_id, a.provider, g.variant_id,
        CASE WHEN a.excluded IS NOT NULL THEN a.excluded
             WHEN {style} IS NULL THEN 'no version in their style'
             WHEN g.mailing_id IS NULL THEN 'joined after composing'
             WHEN g.variant_id IS NULL THEN 'nothing new'
             WHEN {another} THEN 'another issue is on its way' END AS excluded,
        CAST(NULL AS text) AS zone, 0 AS place
    FROM audience a
    LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(d.mailing_id ORDER BY d.mailing_id), '{{}}'::bigint[]) AS alerts
        FROM delivery d
        WHERE d.mailbox_id = a.mailbox_id AND d.mailing_id = ANY (CAST(:alerts AS bigint[]))
          AND d.state IN ('accepted', 'uncertain')
    ) had ON true
    LEFT JOIN variant_group g ON g.mailing_id = :mailing AND g.language = a.edition AND g.style = {style}
        AND g.had_to = a.had_to AND g.had_alerts = had.alerts
"""
_BY_LANGUAGE = """
    SELECT a.mailbox_id, a.subscriber_id, a.provider, coalesce(v.id, f.id) AS variant_id,
        CASE WHEN a.excluded IS NULL AND f.id IS NULL THEN 'no version in their style' ELSE a.excluded END AS excluded,
        a.time_zone AS zone, 0 AS place
    FROM audience a
    LEFT JOIN LATERAL (
        SELECT id FROM variant WHERE mailing_id = :mailing AND language = a.edition AND style = {style} ORDER BY number LIMIT 1
    ) v ON true
    LEFT JOIN (
        SELECT DISTINCT ON (style) id, style FROM variant WHERE mailing_id = :mailing ORDER BY style, number
    ) f ON f.style = {style}
"""
# An alert is taken back in the language in which it came, and in the order in which it went. Of a language that came later
# there is one variant for those who waited, and one for those who had another. Each style has them all once more, in this order.
_BY_NUMBER = """
    SELECT a.mailbox_id, a.subscriber_id, a.provider, coalesce(v.id, f.id) AS variant_id,
        CASE WHEN a.excluded IS NULL AND f.id IS NULL THEN 'no version in their style' ELSE a.excluded END AS excluded,
        a.time_zone AS zone, a.place
    FROM audience a
    LEFT JOIN variant v ON v.mailing_id = :mailing AND v.style = {style}
        AND (v.number - 1) % :plain = (a.number - 1) % :plain
    LEFT JOIN (
        SELECT DISTINCT ON (style) id, style FROM variant WHERE mailing_id = :mailing ORDER BY style, number
    ) f ON f.style = {style}
"""
_NEW = text("""
    SELECT count(*) FROM plan p WHERE excluded IS NULL AND NOT EXISTS (
        SELECT FROM delivery d WHERE d.mailbox_id = p.mailbox_id AND d.state = 'accepted')
""")
# Each provider group sends its part into the first tranche, the smallest at least one reader.
_TRANCHE = text("""
    CREATE TEMP TABLE planned ON COMMIT DROP AS
    SELECT *, n <= CASE WHEN :tranche = 0 THEN 0 ELSE greatest(1, :tranche * of / greatest(1, :planned)) END AS tranche FROM (
        SELECT *, row_number() OVER (PARTITION BY provider ORDER BY turn, mailbox_id) AS n,
            count(*) OVER (PARTITION BY provider) AS of
        FROM (
            SELECT p.*, place + CASE WHEN zone <> ALL (CAST(:awake AS text[])) THEN 1 ELSE 0 END AS turn
            FROM plan p WHERE excluded IS NULL
        ) turned
    ) counted
""")
_COUNTS = text("SELECT excluded, count(*) FROM plan GROUP BY excluded")
# Numbers are given batch by batch across the provider groups, so that no group waits for the end of another.
_CUT = text("""
    CREATE TEMP TABLE cut ON COMMIT DROP AS
    SELECT provider, tranche, batch, size, nextval(pg_get_serial_sequence('shard', 'id')) AS shard_id FROM (
        SELECT provider, tranche, batch, count(*) AS size FROM (
            SELECT provider, tranche,
                (row_number() OVER (PARTITION BY provider, tranche ORDER BY turn, mailbox_id) - 1) / CAST(:size AS bigint) AS batch
            FROM planned
        ) numbered GROUP BY provider, tranche, batch ORDER BY tranche DESC, batch, provider
    ) batches
""")
_SHARDS = text("""
    INSERT INTO shard (id, mailing_id, lane, provider, size, not_before, tranche_pause) OVERRIDING SYSTEM VALUE
    SELECT shard_id, :mailing, :lane, provider, size, CASE WHEN tranche THEN :now ELSE :later END,
        CASE WHEN NOT tranche THEN CAST(:pause AS interval) END
    FROM cut
""")
_DELIVERIES = text("""
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, shard_id, position)
    SELECT :month, :mailing, p.variant_id, p.mailbox_id, p.subscriber_id, c.shard_id, p.n % :size
    FROM (
        SELECT *, n / CAST(:size AS bigint) AS batch FROM (
            SELECT mailbox_id, subscriber_id, provider, variant_id, tranche,
                row_number() OVER (PARTITION BY provider, tranche ORDER BY turn, mailbox_id) - 1 AS n
            FROM planned
        ) numbered
    ) p JOIN cut c USING (provider, tranche, batch)
""")
