"""Best readers first (standards §19): in whose inbox a mail is likely to be welcome, told from what became of mail before.

A provider judges a sender it hardly knows by the first messages it sees, so these go where mail arrived without trouble not
long ago. Nothing else is known of readers, and nothing else is to be: no tracking exists.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

LOOKED_AT = 8
"""Mailings: the latest, so that a look costs the same after years."""


def best_first(session: Session, *, now: datetime) -> None:
    """Give each reader in the temporary table "plan" their place in the order.

    First whoever was handed something without trouble, the latest day first; then who was never written to, whoever joined last
    first; at the end those whose last mail was refused or came back.
    """
    session.execute(_BEST, {"now": now, "latest": LOOKED_AT})


# 62 days fit below the thousand at which those begin whom nobody has written to; trouble stands behind them all.
_BEST = text("""
    WITH latest AS (
        SELECT id, date_trunc('month', created_at)::date AS month FROM mailing
        WHERE kind IN ('digest', 'mailing', 'alert') AND planned_at > CAST(:now AS timestamptz) - interval '62 days'
        ORDER BY planned_at DESC LIMIT :latest
    ), known AS (
        SELECT d.mailbox_id, max(d.outcome_at) FILTER (WHERE d.state = 'accepted') AS taken,
            max(d.outcome_at) FILTER (WHERE d.state IN ('rejected', 'expired')) AS refused, max(r.came_at) AS returned
        FROM latest l JOIN delivery d ON d.month = l.month AND d.mailing_id = l.id
        LEFT JOIN returned r ON r.mailing_id = d.mailing_id AND r.mailbox_id = d.mailbox_id AND r.fate IN ('failed', 'delayed')
        WHERE d.state IN ('accepted', 'rejected', 'expired') GROUP BY 1
    ), newest AS (SELECT max(subscriber_id) AS id FROM plan)
    UPDATE plan p SET place = CASE
        WHEN greatest(k.refused, k.returned) >= coalesce(k.taken, '-infinity') THEN 2100000000
        WHEN k.taken IS NOT NULL THEN greatest(0, extract(day FROM CAST(:now AS timestamptz) - k.taken))
        ELSE 1000 + least(2000000000, newest.id - p.subscriber_id) END
    FROM newest, plan q LEFT JOIN known k ON k.mailbox_id = q.mailbox_id
    WHERE p.mailbox_id = q.mailbox_id AND p.excluded IS NULL
""")
