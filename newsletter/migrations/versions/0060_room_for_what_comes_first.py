"""When an alert or a service mail found no session left at a relay: others give up some of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember when. Workers have the whole of the table."""
    op.add_column("relay_state", sa.Column("crowded_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("relay_state", "crowded_at")
