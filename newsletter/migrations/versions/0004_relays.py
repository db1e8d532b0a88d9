"""What relays took, whether they answer, and how fast they and the providers behind them let us."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add four small tables."""
    op.create_table(
        "relay_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("closed_until", MOMENT, nullable=True),
        sa.Column("closed_since", MOMENT, nullable=True),
        sa.Column("slowed_to", sa.Float(), nullable=True),
        sa.Column("slowed_until", MOMENT, nullable=True),
        sa.Column("full_until", MOMENT, nullable=True),
        sa.Column("first_used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_relay_state")),
    )
    op.create_table(
        "relay_pace",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("paid_until", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("relay", "lane", name=op.f("pk_relay_pace")),
    )
    op.create_table(
        "relay_use",
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("minute", MOMENT, nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("lane IN ('urgent', 'transactional', 'bulk')", name=op.f("ck_relay_use_lane_is_known")),
        sa.PrimaryKeyConstraint("relay", "minute", "lane", name=op.f("pk_relay_use")),
    )
    op.create_index("uses_by_minute", "relay_use", ["minute"], unique=False)
    op.create_table(
        "provider_pace",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("paid_until", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_pace")),
    )
    tables = "relay_state, relay_pace, relay_use, provider_pace"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO newsletter_worker")
    op.execute(f"GRANT SELECT ON {tables} TO newsletter_web")
