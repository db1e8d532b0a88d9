"""What a relay was given in the last second, so that none holds more than its rate, and on the day of its warm-up.

Relays whose warm-up has begun keep the day they are at by the calendar; from now on a day counts that was used.
"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the last second beside the bucket, and the day of the plan beside its beginning."""
    op.add_column("relay_pace", sa.Column("given", sa.ARRAY(sa.BigInteger()), server_default="{}", nullable=False))
    op.add_column("relay_state", sa.Column("young_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("relay_state", sa.Column("young_used", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Forget both."""
    op.drop_column("relay_state", "young_used")
    op.drop_column("relay_state", "young_since")
    op.drop_column("relay_pace", "given")
