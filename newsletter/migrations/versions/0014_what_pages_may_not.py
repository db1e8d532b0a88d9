"""The pages' role adds second words alone, ends nobody's mail but readers', and brings nobody back.

Whoever takes the pages over could otherwise send alone in another's name, cancel the mail by which the team learns of it, and
disable and enable operators as they please.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

REFUSES = """
CREATE FUNCTION refused_to_pages() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the pages may not do this to %', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""
READERS_MAIL = """
CREATE FUNCTION readers_mail_alone() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.state <> 'cancelled' OR NOT EXISTS (
        SELECT FROM mailing WHERE id = NEW.mailing_id AND kind IN ('digest', 'mailing', 'alert', 'retraction')
    ) THEN
        RAISE EXCEPTION 'the pages cancel mail to readers, and nothing else' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Add the three triggers; each asks first who is there, which costs the workers' writes nothing that can be measured."""
    op.execute(REFUSES)
    op.execute(READERS_MAIL)
    op.execute(
        "CREATE TRIGGER second_words_alone BEFORE INSERT ON approval FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web' AND NEW.rule NOT IN ('two', 'mandate')) EXECUTE FUNCTION refused_to_pages()"
    )
    op.execute(
        "CREATE TRIGGER brings_nobody_back BEFORE UPDATE OF disabled_at ON operator FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web' AND OLD.disabled_at IS NOT NULL"
        " AND NEW.disabled_at IS DISTINCT FROM OLD.disabled_at) EXECUTE FUNCTION refused_to_pages()"
    )
    op.execute(
        "CREATE TRIGGER readers_mail_alone BEFORE UPDATE ON delivery FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web') EXECUTE FUNCTION readers_mail_alone()"
    )
