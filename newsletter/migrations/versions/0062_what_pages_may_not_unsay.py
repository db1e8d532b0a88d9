"""The pages' role unsays no delivery, and spoils no audit."""

from alembic import op

revision = "0062"
down_revision = "0060"
branch_labels = None
depends_on = None

READERS_MAIL = """
CREATE OR REPLACE FUNCTION readers_mail_alone() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.state NOT IN ('planned', 'deferred')
       OR NEW.state <> (CASE WHEN OLD.uncertain_at IS NULL THEN 'cancelled' ELSE 'uncertain' END) OR NOT EXISTS (
        SELECT FROM mailing WHERE id = NEW.mailing_id AND kind IN ('digest', 'mailing', 'alert', 'retraction')
    ) THEN
        RAISE EXCEPTION 'the pages cancel mail to readers that is due, and nothing else' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
# Looked at as text: what a row says is no reason to parse it here.
CONTINUES = """
CREATE OR REPLACE FUNCTION audit_continues() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit'));
    SELECT number, digest INTO last FROM audit ORDER BY number DESC LIMIT 1;
    IF NEW.number IS DISTINCT FROM coalesce(last.number, 0) + 1 OR NEW.digest IS DISTINCT FROM
        sha256(coalesce(last.digest, decode(repeat('00', 32), 'hex')) || convert_to(NEW.content, 'UTF8'))
        OR length(NEW.content) > 65536 OR NEW.content NOT LIKE '%,"n":' || NEW.number || '}'
    THEN
        RAISE EXCEPTION 'the row does not continue the audit' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Write the functions anew; those who may call them, and the triggers, stay."""
    op.execute(READERS_MAIL)
    op.execute(CONTINUES)
