"""Topics, and who wants to read of them.

The pages' role may add a wish and end one, as with subscriptions; it adds no topic.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables and their rights."""
    op.create_table(
        "topic",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("added_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topic")),
        sa.UniqueConstraint("key", name=op.f("uq_topic_key")),
    )
    op.create_table(
        "interest",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("topic_id", sa.BigInteger(), nullable=False),
        sa.Column("granted_by", sa.BigInteger(), nullable=False),
        sa.Column("started_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_interest_an_end_has_a_reason")),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_interest_subscriber_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["topic_id"], ["topic.id"], name=op.f("fk_interest_topic_id")),
        sa.ForeignKeyConstraint(["granted_by"], ["consent_event.id"], name=op.f("fk_interest_granted_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interest")),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index("one_live_interest", "interest", ["subscriber_id", "topic_id"], unique=True, postgresql_where=live)
    op.create_index("readers_of_a_topic", "interest", ["topic_id", "subscriber_id"], postgresql_where=live)
    op.execute("REVOKE ALL ON topic, interest FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON topic, interest TO newsletter_worker")
    op.execute("GRANT SELECT ON topic, interest TO newsletter_web")
    op.execute("GRANT INSERT ON interest TO newsletter_web")
    op.execute("GRANT UPDATE (ended_at, end_reason) ON interest TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
