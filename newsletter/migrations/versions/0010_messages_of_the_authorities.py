"""Messages of the Common Alerting Protocol: kept as they came, with what became of each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add one table; the pages may look at it."""
    op.create_table(
        "cap_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("refers_to", postgresql.ARRAY(sa.TEXT()), server_default="{}", nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=True),
        sa.Column("received_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        *_checks(),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_cap_message_mailing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cap_message")),
        sa.UniqueConstraint("sender", "identifier", name=op.f("uq_cap_message_sender_identifier")),
    )
    op.create_index(op.f("ix_cap_message_mailing_id"), "cap_message", ["mailing_id"])
    held = sa.text("state = 'held'")
    op.create_index("cap_messages_held", "cap_message", ["sent_at"], postgresql_where=held)
    op.create_index("cap_messages_by_age", "cap_message", ["received_at"])
    op.execute("REVOKE ALL ON cap_message FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE ON cap_message TO newsletter_worker")
    op.execute("GRANT SELECT ON cap_message TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_worker")


def _checks() -> list[sa.CheckConstraint]:
    rules = {
        "kind_is_known": "kind IN ('Alert', 'Update', 'Cancel', 'Ack', 'Error')",
        "status_is_known": "status IN ('Actual', 'Exercise', 'System', 'Test', 'Draft')",
        "state_is_known": "state IN ('applied', 'held', 'ignored')",
        "what_is_not_applied_says_why": "(state = 'applied') = (why IS NULL)",
        "only_what_is_applied_has_a_mailing": "state = 'applied' OR mailing_id IS NULL",
        "only_what_is_meant_is_applied": "status = 'Actual' OR state = 'ignored'",
    }
    return [sa.CheckConstraint(rule, name=op.f(f"ck_cap_message_{name}")) for name, rule in rules.items()]
