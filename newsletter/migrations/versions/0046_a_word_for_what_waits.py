"""Another operator may give their word also while an alert waits that one person sends alone: it goes at once by it.

Nothing else is added to what is approved: not by whoever locked it, and no other rule than `two`.
"""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

APPROVED = """
CREATE OR REPLACE FUNCTION approval_is_true() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    found record;
BEGIN
    NEW.at := clock_timestamp();
    SELECT (l.manifest::jsonb ->> 'author')::bigint AS author, m.state, m.fingerprint, m.start_at INTO found
    FROM lock l JOIN mailing m ON m.id = l.mailing_id
    WHERE l.mailing_id = NEW.mailing_id AND l.number = NEW.lock_number AND l.fingerprint = NEW.fingerprint;
    IF found IS NULL OR found.fingerprint IS DISTINCT FROM NEW.fingerprint
       OR found.state <> 'locked' AND NOT (
           found.state = 'approved' AND NEW.rule = 'two' AND found.start_at IS NOT NULL AND EXISTS (
               SELECT FROM approval a
               WHERE a.mailing_id = NEW.mailing_id AND a.fingerprint = NEW.fingerprint AND a.rule = 'alone'
           )
       )
    THEN
        RAISE EXCEPTION 'nothing is locked by this fingerprint' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.rule = 'two' AND (NEW.operator_id IS NOT DISTINCT FROM found.author OR NOT EXISTS (
        SELECT FROM operator o JOIN operator_role r ON r.operator_id = o.id AND r.role = 'approver'
        WHERE o.id = NEW.operator_id AND o.enrolled_at IS NOT NULL AND o.disabled_at IS NULL
    )) THEN
        RAISE EXCEPTION 'not another operator who may approve' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Replace what looks at each word as it is added."""
    op.execute(APPROVED)
