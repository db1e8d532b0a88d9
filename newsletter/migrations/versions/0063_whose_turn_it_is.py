"""Whose turn it is at a relay that bears few sessions, an alert's or service mail's, since when, and when bulk mail found none."""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember it. Workers have the whole of the table."""
    op.add_column("relay_state", sa.Column("crowded_lane", sa.Text(), nullable=True))
    op.add_column("relay_state", sa.Column("crowded_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("relay_state", sa.Column("bulk_crowded_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("relay_state", "bulk_crowded_at")
    op.drop_column("relay_state", "crowded_since")
    op.drop_column("relay_state", "crowded_lane")
