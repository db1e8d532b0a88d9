"""What an operator took back is told apart from what a person said; each list that names somebody without evidence is kept.

A withdrawal may name the permission that it takes back. Those of sign-ups that were undone, and of topics that were removed, are
told by the moment at which what rested on the permission ended; all further permissions for such a topic went with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

SIGN_UPS = """
    UPDATE consent_event w SET undoes = l.granted_by FROM subscription l
    WHERE w.kind = 'withdrawn' AND w.import_id IS NULL AND l.end_reason = 'sign-up undone'
        AND w.subscriber_id = l.subscriber_id AND w.purpose = 'digest:' || l.digest_id AND w.at = l.ended_at
"""
TOPICS = """
    UPDATE consent_event w SET undoes = i.granted_by FROM interest i
    WHERE w.kind = 'withdrawn' AND w.import_id IS NULL AND i.end_reason = 'topic removed'
        AND w.subscriber_id = i.subscriber_id AND w.purpose = 'topic:' || i.topic_id AND w.at = i.ended_at
"""
BESIDE = """
    INSERT INTO consent_event (subscriber_id, kind, purpose, undoes, at)
    SELECT g.subscriber_id, 'withdrawn', g.purpose, g.id, w.at FROM consent_event w
    JOIN consent_event g ON g.subscriber_id = w.subscriber_id AND g.purpose = w.purpose AND g.kind = 'granted' AND g.id < w.id
        AND NOT EXISTS (SELECT FROM consent_event o WHERE o.subscriber_id = g.subscriber_id AND o.purpose = g.purpose
            AND o.kind = 'withdrawn' AND o.undoes IS NULL AND o.id > g.id AND o.id < w.id)
    WHERE w.undoes IS NOT NULL AND w.purpose LIKE 'topic:%' ORDER BY w.id, g.id
    ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    """Add the column, tell what is known already, and let several lists name somebody."""
    op.add_column("consent_event", sa.Column("undoes", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_consent_event_undoes"), "consent_event", "consent_event", ["undoes"], ["id"])
    withdraws = op.f("ck_consent_event_undoing_withdraws")
    op.create_check_constraint(withdraws, "consent_event", "undoes IS NULL OR kind = 'withdrawn'")
    undoing = sa.text("undoes IS NOT NULL")
    op.create_index("undone_once", "consent_event", ["undoes"], unique=True, postgresql_where=undoing)
    for statement in (SIGN_UPS, TOPICS, BESIDE):
        op.execute(statement)
    op.drop_constraint("pk_unproven", "unproven")
    op.create_primary_key("pk_unproven", "unproven", ["subscriber_id", "digest_id", "import_id"])
