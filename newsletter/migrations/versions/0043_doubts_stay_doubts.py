"""What may have arrived stays in doubt whatever its reader wishes: the pages' role, too, then writes "uncertain" for "cancelled".

Rows that ended as cancelled, rejected or expired before stay as they were written; each that was ever in doubt is listed as ever.
"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

READERS_MAIL = """
CREATE OR REPLACE FUNCTION readers_mail_alone() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.state <> (CASE WHEN OLD.uncertain_at IS NULL THEN 'cancelled' ELSE 'uncertain' END) OR NOT EXISTS (
        SELECT FROM mailing WHERE id = NEW.mailing_id AND kind IN ('digest', 'mailing', 'alert', 'retraction')
    ) THEN
        RAISE EXCEPTION 'the pages cancel mail to readers, and nothing else' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Write the function anew; its trigger stays."""
    op.execute(READERS_MAIL)
