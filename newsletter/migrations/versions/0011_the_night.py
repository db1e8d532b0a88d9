"""The night: anyone stops, a hook wakes people, and two who sign in the evening let one send.

The pages' role can move no mailing. It may stop and pause one by two functions of the owner's, which know no other move; mail to
the team (the day's head, a link) is beyond their reach, so that whoever takes the pages over cannot silence it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
ROLES = "newsletter_web, newsletter_worker"

STOP = """
CREATE FUNCTION stop_mailing(number bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    became text;
BEGIN
    UPDATE mailing SET
        state = CASE WHEN state IN ('sending', 'paused') THEN 'stopped' ELSE 'cancelled' END,
        finished_at = CASE WHEN state IN ('sending', 'paused') THEN clock_timestamp() ELSE finished_at END
    WHERE id = number AND kind IN ('digest', 'mailing', 'alert', 'retraction')
      AND (state IN ('sending', 'paused') OR (kind = 'alert' AND state IN ('draft', 'locked', 'approved')))
    RETURNING state INTO became;
    RETURN became;
END $$
"""
PAUSE = """
CREATE FUNCTION pause_mailing(number bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    became text;
BEGIN
    UPDATE mailing SET state = 'paused'
    WHERE id = number AND kind IN ('digest', 'mailing', 'alert', 'retraction') AND state = 'sending'
    RETURNING state INTO became;
    RETURN became;
END $$
"""
MANDATED = """
CREATE FUNCTION mandate_is_true() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    NEW.ended_at := NULL;
    IF NEW.fingerprint IS DISTINCT FROM sha256(convert_to(NEW.terms, 'UTF8'))
       OR (NEW.terms::jsonb ->> 'holder')::bigint IS DISTINCT FROM NEW.holder_id
       OR (NEW.terms::jsonb ->> 'until')::timestamptz IS DISTINCT FROM NEW.until
    THEN
        RAISE EXCEPTION 'the row is not what its terms say' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""
ENDED = """
CREATE FUNCTION mandate_only_ends() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL OR (to_jsonb(NEW) - 'ended_at') <> (to_jsonb(OLD) - 'ended_at') THEN
        RAISE EXCEPTION 'a mandate only ever ends' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    NEW.ended_at := clock_timestamp();
    RETURN NEW;
END $$
"""
SIGNED = """
CREATE FUNCTION signature_is_true() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    IF NOT EXISTS (
        SELECT FROM mandate m
        WHERE m.id = NEW.mandate_id AND m.holder_id <> NEW.signer_id AND m.ended_at IS NULL AND m.until > NEW.at
    ) OR NOT EXISTS (
        SELECT FROM operator o JOIN operator_role r ON r.operator_id = o.id AND r.role = 'approver'
        WHERE o.id = NEW.signer_id AND o.enrolled_at IS NOT NULL AND o.disabled_at IS NULL
    ) THEN
        RAISE EXCEPTION 'not another operator who may sign' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""
HELD = """
CREATE FUNCTION mandate_is_held() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.rule = 'mandate' AND NOT EXISTS (
        SELECT FROM mandate m JOIN operator o ON o.id = m.holder_id
        JOIN operator_role r ON r.operator_id = o.id AND r.role = 'sender'
        WHERE m.id = NEW.mandate_id AND m.holder_id = NEW.operator_id AND m.ended_at IS NULL AND m.until > clock_timestamp()
          AND o.enrolled_at IS NOT NULL AND o.disabled_at IS NULL
          AND (SELECT count(*) FROM mandate_signature s WHERE s.mandate_id = m.id AND s.signer_id <> m.holder_id) >= 2
    ) THEN
        RAISE EXCEPTION 'no mandate of this operator that holds now' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Create what stops, what calls, and what a mandate is checked by."""
    for function in (STOP, PAUSE, MANDATED, ENDED, SIGNED, HELD):
        op.execute(function)
    for function in ("stop_mailing(bigint)", "pause_mailing(bigint)"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {ROLES}")
    op.execute("CREATE TRIGGER holds_true BEFORE INSERT ON mandate FOR EACH ROW EXECUTE FUNCTION mandate_is_true()")
    op.execute("CREATE TRIGGER only_ends BEFORE UPDATE ON mandate FOR EACH ROW EXECUTE FUNCTION mandate_only_ends()")
    op.execute(
        "CREATE TRIGGER holds_true BEFORE INSERT ON mandate_signature FOR EACH ROW EXECUTE FUNCTION signature_is_true()"
    )
    op.execute("CREATE TRIGGER is_held BEFORE INSERT ON approval FOR EACH ROW EXECUTE FUNCTION mandate_is_held()")
    # Whoever sees a mandate misused ends it, from wherever they are; the trigger knows no way back.
    op.execute("GRANT UPDATE (ended_at) ON mandate TO newsletter_web")
    _calls()


def _calls() -> None:
    op.create_table(
        "hook_call",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("made_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("due_at", MOMENT, server_default=NOW, nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.Column("failed_at", MOMENT, nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("done_at IS NULL OR due_at IS NULL", name=op.f("ck_hook_call_done_is_not_due")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hook_call")),
    )
    op.create_index("hook_calls_due", "hook_call", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.execute(f"REVOKE ALL ON hook_call FROM {ROLES}")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON hook_call TO newsletter_worker")
    op.execute("GRANT INSERT (event, facts) ON hook_call TO newsletter_web")
