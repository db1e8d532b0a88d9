"""Planning rows: who gets which variant, who is left out and why, and the shards that workers will lease.

One set-based pass over the audience, whatever its size: a temporary table of everyone with variant or reason, then
shards cut by provider group, then the deliveries.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter.ledger.mailings import MailingView
from newsletter.models.mailing import Kind

SHARD_SIZE = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """What planning found: audience = planned + the sum of `excluded`."""

    audience: int
    planned: int
    excluded: dict[str, int]
    shards: int


def plan(session: Session, mailing: MailingView, audience: Select[Any], *, now: datetime) -> Plan:
    """Write the deliveries and shards of a mailing and return the counts.

    audience    rows of mailbox_id, subscriber_id, provider, edition, had_to, excluded (a reason or NULL)
    """
    session.execute(text("SELECT deliveries_of_month(:month)"), {"month": mailing.month})
    _gather(session, mailing, audience)
    counts = {reason: count for reason, count in session.execute(_COUNTS)}
    planned = counts.pop(None, 0)
    facts = {"mailing": mailing.id, "month": mailing.month, "lane": mailing.lane, "now": now, "size": SHARD_SIZE}
    session.execute(_CUT, {"size": SHARD_SIZE})
    shards = session.execute(_SHARDS, facts).rowcount  # type: ignore[attr-defined]
    written = session.execute(_DELIVERIES, facts).rowcount  # type: ignore[attr-defined]
    assert written == planned, "every planned recipient has exactly one row"
    session.execute(
        _BOOKS, {"mailing": mailing.id, "audience": planned + sum(counts.values()), "planned": planned, "now": now}
        | {"excluded": postgresql.JSONB().bind_processor(session.get_bind().dialect)(counts)},  # type: ignore[misc]
    )
    session.execute(text("DROP TABLE plan, cut"))
    return Plan(audience=planned + sum(counts.values()), planned=planned, excluded=counts, shards=shards)


def _gather(session: Session, mailing: MailingView, audience: Select[Any]) -> None:
    """Put the whole audience with its variants into a temporary table."""
    compiled = audience.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    by_group = mailing.kind == Kind.DIGEST
    choice = _BY_GROUP if by_group else _BY_LANGUAGE
    session.execute(
        text(f"CREATE TEMP TABLE plan ON COMMIT DROP AS WITH audience AS ({_plain(str(compiled))}) {choice}"),  # noqa: S608
        {"mailing": mailing.id, "alerts": mailing.content.get("alerts", [])} if by_group else {"mailing": mailing.id},
    )


def _plain(sql: str) -> str:
    """Return SQL whose colons text() leaves alone: only `::` and quoted text hold any."""
    return sql.replace(":", r"\:")


# Readers of one edition who have had the same articles share a variant; a group with none has nothing new to read.
_BY_GROUP = """
    SELECT a.mailbox_id, a.subscriber_id, a.provider, g.variant_id,
        CASE WHEN a.excluded IS NOT NULL THEN a.excluded
             WHEN g.mailing_id IS NULL THEN 'joined after composing'
             WHEN g.variant_id IS NULL THEN 'nothing new' END AS excluded
    FROM audience a
    LEFT JOIN LATERAL (
        SELECT coalesce(array_agg(d.mailing_id ORDER BY d.mailing_id), '{}'::bigint[]) AS alerts
        FROM delivery d
        WHERE d.mailbox_id = a.mailbox_id AND d.mailing_id = ANY (CAST(:alerts AS bigint[]))
          AND d.state IN ('accepted', 'uncertain')
    ) had ON true
    LEFT JOIN variant_group g ON g.mailing_id = :mailing AND g.language = a.edition
        AND g.had_to = a.had_to AND g.had_alerts = had.alerts
"""
_BY_LANGUAGE = """
    SELECT a.mailbox_id, a.subscriber_id, a.provider, coalesce(v.id, f.id) AS variant_id, a.excluded
    FROM audience a
    LEFT JOIN LATERAL (
        SELECT id FROM variant WHERE mailing_id = :mailing AND language = a.edition ORDER BY number LIMIT 1
    ) v ON true
    CROSS JOIN (SELECT id FROM variant WHERE mailing_id = :mailing ORDER BY number LIMIT 1) f
"""
_COUNTS = text("SELECT excluded, count(*) FROM plan GROUP BY excluded")
# Numbers are given batch by batch across the provider groups, so that no group waits for the end of another.
_CUT = text("""
    CREATE TEMP TABLE cut ON COMMIT DROP AS
    SELECT provider, batch, size, nextval(pg_get_serial_sequence('shard', 'id')) AS shard_id FROM (
        SELECT provider, batch, count(*) AS size FROM (
            SELECT provider, (row_number() OVER (PARTITION BY provider ORDER BY mailbox_id) - 1) / :size AS batch
            FROM plan WHERE excluded IS NULL
        ) numbered GROUP BY provider, batch ORDER BY batch, provider
    ) batches
""")
_SHARDS = text("""
    INSERT INTO shard (id, mailing_id, lane, provider, size, not_before) OVERRIDING SYSTEM VALUE
    SELECT shard_id, :mailing, :lane, provider, size, :now FROM cut
""")
_DELIVERIES = text("""
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, shard_id, position)
    SELECT :month, :mailing, p.variant_id, p.mailbox_id, p.subscriber_id, c.shard_id, p.n % :size
    FROM (
        SELECT *, row_number() OVER (PARTITION BY provider ORDER BY mailbox_id) - 1 AS n
        FROM plan WHERE excluded IS NULL
    ) p JOIN cut c ON c.provider = p.provider AND c.batch = p.n / :size
""")
_BOOKS = text("""
    UPDATE mailing SET audience = :audience, planned = :planned, excluded = CAST(:excluded AS jsonb), planned_at = :now
    WHERE id = :mailing
""")
