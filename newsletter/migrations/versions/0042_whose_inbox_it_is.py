"""What one inbox is asked is counted whichever way its address is written: a keyed digest beside each question.

Pages neither write nor read it: the worker does, when it opens a wish. What was asked before is counted by its mailbox, as it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the digest, and the index by which questions of one inbox are found."""
    op.add_column("signup", sa.Column("inbox", sa.LargeBinary(), nullable=True))
    op.create_index("signups_of_an_inbox", "signup", ["inbox"], postgresql_where=sa.text("inbox IS NOT NULL"))
