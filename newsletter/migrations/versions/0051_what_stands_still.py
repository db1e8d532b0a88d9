"""Refusals for good that speak of a moment, of an account asleep or of a full mailbox stop a mailing where they are many."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count them."""
    op.add_column("tally", sa.Column("standstill", sa.BigInteger(), server_default="0", nullable=False))
