"""In which language an operator reads the team's pages and mails; NULL: as their browser asks, and mails in English."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; its owner chooses it on a page, so the pages' role may write it."""
    op.add_column("operator", sa.Column("language", sa.Text(), nullable=True))
    op.execute("GRANT UPDATE (language) ON operator TO newsletter_web")
