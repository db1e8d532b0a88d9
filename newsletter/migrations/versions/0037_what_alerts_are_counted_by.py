"""What alerts are counted by stands: no draft was planned already, and no digest takes the name of another.

A worker adds up what was planned before an alert. Whoever has a worker's password could call several of them planned and let the
last one go first, each finding those before it empty. A mandate names a digest by its key, which stands in every List-Id for ever.
Beside that, an errand that was done holds NULL where it held JSON's null. A worker of the version before, running beside, plans and
starts in one transaction, renames no digest, and writes JSON's null again, which is read as NULL.
"""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

GONE = """
CREATE FUNCTION what_is_planned_goes() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM mailing
        WHERE id = NEW.id AND kind = 'alert' AND planned_at IS NOT NULL AND state IN ('draft', 'locked', 'approved')
    ) THEN
        RAISE EXCEPTION 'mailing % was planned, and goes or was given up', NEW.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$
"""
KEYS = """
DO $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
    WHERE attrelid = 'digest'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'key');
    REVOKE UPDATE ON digest FROM newsletter_worker;
    EXECUTE format('GRANT UPDATE (%s) ON digest TO newsletter_worker', columns);
END $$
"""


def upgrade() -> None:
    """Look at the end of each transaction, since planning writes rows before it starts; take the right, and mend the rows."""
    op.execute(GONE)
    op.execute(
        "CREATE CONSTRAINT TRIGGER what_is_planned_goes AFTER UPDATE ON mailing DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " WHEN (NEW.kind = 'alert' AND NEW.planned_at IS NOT NULL AND NEW.state IN ('draft', 'locked', 'approved'))"
        " EXECUTE FUNCTION what_is_planned_goes()"
    )
    op.execute(KEYS)
    op.execute("UPDATE errand SET refused = NULL WHERE jsonb_typeof(refused) = 'null'")
