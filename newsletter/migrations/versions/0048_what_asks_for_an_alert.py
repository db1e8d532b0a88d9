"""Of an article that asks for an alert it is remembered that somebody was told, or has a draft of it.

Those that are there already asked long ago: nobody is told of them now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moment, and take what is there for heeded."""
    op.add_column("article", sa.Column("heeded_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE article SET heeded_at = now() WHERE urgent OR kind = 'open_letter'")
