"""A later language is paused with its alert; and what a worker counts of an alert's languages stands once it is written.

Whether one person may send a language is asked of all that went before it: whoever has the password of a worker could make one
that went another alert's language, or have gone later than it did.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ROLES = "newsletter_web, newsletter_worker"
PAUSE = """
CREATE FUNCTION pause_language(number bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    became text;
BEGIN
    UPDATE mailing SET state = 'paused', halted = 'with its alert'
    WHERE id = number AND kind = 'alert' AND translates IS NOT NULL AND state = 'sending'
    RETURNING state INTO became;
    RETURN became;
END $$
"""
BELONGS = """
CREATE FUNCTION belongs_for_good() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.planned_at := NULL;
        RETURN NEW;
    END IF;
    IF OLD.translates IS DISTINCT FROM NEW.translates
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
    """Add the functions and the trigger."""
    op.execute(PAUSE)
    op.execute("REVOKE ALL ON FUNCTION pause_language(bigint) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION pause_language(bigint) TO {ROLES}")
    op.execute(BELONGS)
    op.execute(
        "CREATE TRIGGER belongs_for_good BEFORE INSERT OR UPDATE OF translates, planned_at ON mailing FOR EACH ROW"
        " WHEN (current_user IN ('newsletter_web', 'newsletter_worker')) EXECUTE FUNCTION belongs_for_good()"
    )
