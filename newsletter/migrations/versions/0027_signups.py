"""Wishes to join.

The pages' role may add one, count a try at its code and write down an answer; it may read neither what was wished nor by whom.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = ("waiting", "asked", "beside", "refused", "settled")


def upgrade() -> None:
    """Create the table and its rights."""
    op.create_table(
        "signup",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pending", sa.LargeBinary(), nullable=False),
        sa.Column("wish_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=True),
        sa.Column("came_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.CheckConstraint(f"state IN {STATES}", name=op.f("ck_signup_state_is_known")),
        sa.CheckConstraint(
            "answered_by IS NULL OR answered_by IN ('link', 'code', 'reply')", name=op.f("ck_signup_answer_is_known")
        ),
        sa.CheckConstraint("(answered_at IS NULL) = (answered_by IS NULL)", name=op.f("ck_signup_an_answer_has_a_way")),
        sa.CheckConstraint("state <> 'asked' OR asked_at IS NOT NULL", name=op.f("ck_signup_asked_at_some_time")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_signup_mailbox_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signup")),
        sa.UniqueConstraint("pending", name=op.f("uq_signup_pending")),
    )
    op.create_index(
        "signups_of_a_mailbox", "signup", ["mailbox_id"], postgresql_where=sa.text("mailbox_id IS NOT NULL")
    )
    op.create_index("signups_to_look_at", "signup", ["id"], postgresql_where=sa.text("state = 'waiting'"))
    answered = sa.text("answered_at IS NOT NULL AND state <> 'settled'")
    op.create_index("signups_answered", "signup", ["id"], postgresql_where=answered)
    op.create_index("signups_by_age", "signup", ["came_at"])
    op.execute("REVOKE ALL ON signup FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON signup TO newsletter_worker")
    op.execute("GRANT INSERT (id, pending, wish_sealed, came_at) ON signup TO newsletter_web")
    op.execute("GRANT SELECT (id, pending, asked_at, tries, answered_at, answered_by) ON signup TO newsletter_web")
    op.execute("GRANT UPDATE (tries, answered_at, answered_by) ON signup TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
