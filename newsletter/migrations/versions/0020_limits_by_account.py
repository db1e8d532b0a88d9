"""A provider's pace is kept for each relay, with a part for each lane.

What a provider taught without saying at which relay is forgotten: it is a matter of minutes, and it is taught again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name the provider in the paces of lanes, and the relay in the lessons of providers."""
    op.add_column("relay_pace", sa.Column("provider", sa.Text(), server_default="", nullable=False))
    op.drop_constraint(op.f("pk_relay_pace"), "relay_pace")
    op.create_primary_key(op.f("pk_relay_pace"), "relay_pace", ["relay", "provider", "lane"])
    op.execute("DELETE FROM provider_pace")
    op.add_column("provider_pace", sa.Column("relay", sa.Text(), nullable=False))
    op.drop_constraint(op.f("pk_provider_pace"), "provider_pace")
    op.create_primary_key(op.f("pk_provider_pace"), "provider_pace", ["relay", "provider"])
    op.drop_column("provider_pace", "paid_until")
