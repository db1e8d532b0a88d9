"""Who was let back in has said nothing yet: approvals and signatures of before count no more.

What was given before this was known counts as it did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remember when."""
    op.add_column("operator", sa.Column("readmitted_at", sa.DateTime(timezone=True), nullable=True))
