"""A mailed link carries what workers alone can make, and a wish is proved by it.

What waits from before has no proof and is not done: whoever wished to be erased is mailed a link by which it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Write down which key countersigned a link, and let the pages prove what their readers wish."""
    op.add_column("fresh_link", sa.Column("key_id", sa.SmallInteger(), nullable=True))
    op.add_column("privacy_wish", sa.Column("proof", sa.LargeBinary(), nullable=True))
    op.execute("GRANT INSERT (proof) ON privacy_wish TO newsletter_web")
