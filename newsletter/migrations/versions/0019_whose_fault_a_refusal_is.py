"""Refusals of the message itself, and of how we speak, stop a mailing; a shard may be found without rows."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count two more reasons, and how many refusals followed each other; let a shard say that it has no rows."""
    for name in ("content", "protocol", "in_a_row"):
        op.add_column("tally", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.drop_constraint(op.f("ck_shard_size_is_bounded"), "shard", type_="check")
    op.create_check_constraint(op.f("ck_shard_size_is_bounded"), "shard", "size BETWEEN 0 AND 2000")
