"""What a relay was given in the last second, so that none holds more than its rate."""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the last second beside the bucket."""
    op.add_column("relay_pace", sa.Column("given", sa.ARRAY(sa.BigInteger()), server_default="{}", nullable=False))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("relay_pace", "given")
