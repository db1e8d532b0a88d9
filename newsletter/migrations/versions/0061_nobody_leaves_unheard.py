"""Whoever takes the pages over takes nobody out of the team unheard: an access ends when it is ended, and the team is told.

They could send alone past everybody: set `disabled_at` to long ago, or `enrolled_at` to nothing and back, and there is nobody else
to tell. `told_at` is a worker's: by it the team hears of each, whoever wrote it and by what way.
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

ENDS_NOW = """
CREATE FUNCTION access_ends_now() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.disabled_at := clock_timestamp();
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Add both triggers, and when the team was told; of those who left before it was, or nobody need be any more."""
    op.add_column("operator", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE operator SET told_at = disabled_at")
    op.execute(ENDS_NOW)
    op.execute(
        "CREATE TRIGGER ends_now BEFORE UPDATE OF disabled_at ON operator FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web' AND OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)"
        " EXECUTE FUNCTION access_ends_now()"
    )
    op.execute(
        "CREATE TRIGGER unenrols_nobody BEFORE UPDATE OF enrolled_at ON operator FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web' AND OLD.enrolled_at IS NOT NULL AND NEW.enrolled_at IS NULL)"
        " EXECUTE FUNCTION refused_to_pages()"
    )
