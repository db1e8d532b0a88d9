"""What recovery and stopping ask of the ledger: since when a shard is held, what was in doubt, which lanes are paused."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns without defaults, which rewrites nothing, and one small table."""
    op.add_column("shard", sa.Column("leased_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("delivery", sa.Column("uncertain_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE delivery SET uncertain_at = outcome_at WHERE state = 'uncertain' OR (state = 'accepted' AND reason = 'worker lost')"
    )
    in_doubt = sa.text("uncertain_at IS NOT NULL")
    op.create_index("deliveries_in_doubt", "delivery", ["mailing_id"], unique=False, postgresql_where=in_doubt)
    op.create_table(
        "paused_lane",
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("lane IN ('urgent', 'transactional', 'bulk')", name=op.f("ck_paused_lane_lane_is_known")),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_paused_lane")),
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON paused_lane TO newsletter_worker")
    op.execute("GRANT SELECT ON paused_lane TO newsletter_web")
