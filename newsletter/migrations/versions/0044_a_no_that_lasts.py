"""A no to the question is kept with its moment: whoever said it is not asked for a month, whatever strangers write.

Pages neither write nor read it. Of what was refused before nobody knows when: it counts as silence, as it did.
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moment."""
    op.add_column("signup", sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True))
