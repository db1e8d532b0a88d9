"""Readers are found by the time zone they live in: an alert goes first where people are awake."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("subscribers_by_zone", "subscriber", ["time_zone"])
