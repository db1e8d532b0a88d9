"""A reader may take a digest's alerts alone, and pause all else until a day; who lifts a suppression is written beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MAY_LIFT = (
    "CASE lifted_by WHEN 'person' THEN reason IN ('left', 'dead', 'quota')"
    " WHEN 'operator' THEN reason IN ('dead', 'quota') WHEN 'arrival' THEN reason IN ('dead', 'quota')"
    " ELSE lifted_by IS NULL OR lifted_by IN ('answered', 'before') END"
)
RHYTHMS = "rhythm IN ('each', 'daily', 'weekly', 'monthly', 'emergencies')"


def upgrade() -> None:
    """Widen what a rhythm may be, and add the day: half a second a million subscriptions."""
    op.drop_constraint(op.f("ck_subscription_rhythm_is_known"), "subscription")
    op.create_check_constraint(op.f("ck_subscription_rhythm_is_known"), "subscription", RHYTHMS)
    op.add_column("subscriber", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.execute("GRANT UPDATE (paused_until) ON subscriber TO newsletter_web, newsletter_worker")
    op.add_column("reply", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("suppression", sa.Column("lifted_by", sa.Text(), nullable=True))
    op.execute("UPDATE suppression SET lifted_by = 'before' WHERE lifted_at IS NOT NULL")
    op.create_check_constraint(
        op.f("ck_suppression_somebody_lifts"), "suppression", "(lifted_at IS NULL) = (lifted_by IS NULL)"
    )
    op.create_check_constraint(op.f("ck_suppression_lifted_by_who_may"), "suppression", MAY_LIFT)
