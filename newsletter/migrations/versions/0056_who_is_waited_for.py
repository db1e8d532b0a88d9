"""Why a relay is closed: one that is away for a while is waited for, and halts no mailing.

Of one that was closed before this was known it is not said that it refuses us: it is asked again within a minute.
"""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember whether it refuses us."""
    op.add_column("relay_state", sa.Column("refuses", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("relay_state", "refuses")
