"""An alert in several languages is an article in each of them.

One article an alert was a constraint, and an alert of two texts could not be planned.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an alert have as many articles as languages, and find them by their mailing."""
    op.execute("ALTER TABLE alert DROP CONSTRAINT IF EXISTS uq_alert_mailing_id")
    op.create_index(op.f("ix_alert_mailing_id"), "alert", ["mailing_id"], if_not_exists=True)
