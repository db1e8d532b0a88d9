"""The pages may cancel a list's question too: whoever leaves everything is not asked because of a list either.

Only such questions are notices in the bulk lane. Until now the whole wish failed for the pages, and waited in their spool.
"""

from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None

READERS_MAIL = """
CREATE OR REPLACE FUNCTION readers_mail_alone() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.state NOT IN ('planned', 'deferred')
       OR NEW.state <> (CASE WHEN OLD.uncertain_at IS NULL THEN 'cancelled' ELSE 'uncertain' END) OR NOT EXISTS (
        SELECT FROM mailing WHERE id = NEW.mailing_id
            AND (kind IN ('digest', 'mailing', 'alert', 'retraction') OR kind = 'notice' AND lane = 'bulk')
    ) THEN
        RAISE EXCEPTION 'the pages cancel mail to readers that is due, and nothing else' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Write the function anew; the triggers stay."""
    op.execute(READERS_MAIL)
