"""The pause after a first tranche runs from its end: what waits for it says how long."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a shard say how long it waits once the first tranche has ended, and workers begin the pause."""
    op.add_column("shard", sa.Column("tranche_pause", sa.Interval(), nullable=True))
    op.execute("GRANT UPDATE (tranche_pause) ON shard TO newsletter_worker")
