"""The pages' role keeps no halt from the team, forges none, unsays no delivery, and spoils no audit.

The owner's functions that stop and pause write down themselves what the hook and the team are told, whoever calls them and how. The
sweep goes by what the hook was told, so that the pages add nothing to that any more. Their right to stays: pages of before this
that still run write such a row with each stop, and no stop may be refused for it; it is left out.
"""

from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None

TOLD = """
CREATE FUNCTION halt_is_told(number bigint, what text) RETURNS void
LANGUAGE sql SET search_path = public, pg_temp AS $$
    INSERT INTO hook_call (event, facts)
    SELECT what, jsonb_strip_nulls(jsonb_build_object(
        'alert', coalesce(retracts, id),
        'retraction', CASE WHEN kind = 'retraction' THEN id END,
        'state', CASE WHEN what = 'stopped' THEN state END
    ))
    FROM mailing WHERE id = number AND kind IN ('alert', 'retraction')
$$
"""
HALT = """
CREATE OR REPLACE FUNCTION {name}(number bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    became text;
BEGIN
    {update}
    RETURNING state INTO became;
    IF became IS NOT NULL THEN
        PERFORM halt_is_told(number, '{what}');
    END IF;
    RETURN became;
END $$
"""
STOP = """UPDATE mailing SET
        state = CASE WHEN state IN ('sending', 'paused') THEN 'stopped' ELSE 'cancelled' END,
        finished_at = CASE WHEN state IN ('sending', 'paused') THEN clock_timestamp() ELSE finished_at END
    WHERE id = number AND kind IN ('digest', 'mailing', 'alert', 'retraction')
      AND (state IN ('sending', 'paused') OR (kind = 'alert' AND state IN ('draft', 'locked', 'approved')))"""
PAUSE = """UPDATE mailing SET state = 'paused'
    WHERE id = number AND kind IN ('digest', 'mailing', 'alert', 'retraction') AND state = 'sending'"""
PAUSE_LANGUAGE = """UPDATE mailing SET state = 'paused', halted = 'with its alert'
    WHERE id = number AND kind = 'alert' AND translates IS NOT NULL AND state = 'sending'"""
HALTS = (
    ("stop_mailing", STOP, "stopped"),
    ("pause_mailing", PAUSE, "paused"),
    ("pause_language", PAUSE_LANGUAGE, "paused"),
)

# What the pages have written already, and no sweep gets past.
NONE_OF_OURS = """
DELETE FROM hook_call c WHERE event IN ('stopped', 'paused', 'resumed') AND NOT (
    EXISTS (SELECT FROM mailing m WHERE to_jsonb(m.id) = c.facts -> 'alert')
    AND (NOT c.facts ? 'retraction' OR EXISTS (SELECT FROM mailing m WHERE to_jsonb(m.id) = c.facts -> 'retraction'))
)
"""
LEFT_OUT = """
CREATE FUNCTION left_out() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END $$
"""
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
    op.execute(TOLD)
    op.execute("REVOKE ALL ON FUNCTION halt_is_told(bigint, text) FROM PUBLIC")
    for name, update, what in HALTS:
        op.execute(HALT.format(name=name, update=update, what=what))
    op.execute(NONE_OF_OURS)
    op.execute(LEFT_OUT)
    op.execute(
        "CREATE TRIGGER pages_tell_nobody BEFORE INSERT ON hook_call FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web') EXECUTE FUNCTION left_out()"
    )
    op.execute(READERS_MAIL)
    op.execute(CONTINUES)
