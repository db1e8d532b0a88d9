"""What a worker adds up of a digest's alerts stands once they went: none becomes another digest's afterwards."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

BELONGS = """
CREATE OR REPLACE FUNCTION belongs_for_good() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.planned_at := NULL;
        RETURN NEW;
    END IF;
    IF OLD.translates IS DISTINCT FROM NEW.translates
       OR OLD.planned_at IS NOT NULL AND OLD.digest_id IS DISTINCT FROM NEW.digest_id
       OR OLD.planned_at IS NOT NULL AND OLD.planned_at IS DISTINCT FROM NEW.planned_at THEN
        RAISE EXCEPTION 'mailing % belongs where it was written, and was planned when it was', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.planned_at IS NULL AND NEW.planned_at IS NOT NULL THEN
        NEW.planned_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Let the trigger look at the digest as well, and find a digest's alerts at once."""
    op.create_index(
        "alerts_of_a_digest", "mailing", ["digest_id", "planned_at"], postgresql_where=sa.text("kind = 'alert'")
    )
    op.execute(BELONGS)
    op.execute("DROP TRIGGER belongs_for_good ON mailing")
    op.execute(
        "CREATE TRIGGER belongs_for_good BEFORE INSERT OR UPDATE OF translates, planned_at, digest_id ON mailing FOR EACH ROW"
        " WHEN (current_user IN ('newsletter_web', 'newsletter_worker')) EXECUTE FUNCTION belongs_for_good()"
    )
