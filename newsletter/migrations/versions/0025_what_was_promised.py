"""What was promised of an alert as it was let go stands beside what became of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("mailing", sa.Column("promised", postgresql.JSONB(), nullable=True))
