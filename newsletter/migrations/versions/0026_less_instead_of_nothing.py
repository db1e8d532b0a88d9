"""A reader may take a digest's alerts alone, and pause all else until a day."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

RHYTHMS = "rhythm IN ('each', 'daily', 'weekly', 'monthly', 'emergencies')"


def upgrade() -> None:
    """Widen what a rhythm may be, and add the day: half a second a million subscriptions."""
    op.drop_constraint(op.f("ck_subscription_rhythm_is_known"), "subscription")
    op.create_check_constraint(op.f("ck_subscription_rhythm_is_known"), "subscription", RHYTHMS)
    op.add_column("subscriber", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.execute("GRANT UPDATE (paused_until) ON subscriber TO newsletter_web, newsletter_worker")
