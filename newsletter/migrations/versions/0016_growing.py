"""A large alert starts with its first readers, and grows while they are told."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of a mailing whether it grows."""
    op.add_column("mailing", sa.Column("growing", sa.Boolean(), server_default="false", nullable=False))
