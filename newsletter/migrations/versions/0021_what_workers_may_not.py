"""Who gets an alert stands once it is planned, and what was ended stays so: also for whoever has the password of a worker.

A worker says what became of a delivery and who carries a shard. Whose delivery it is, which shard it is in and how many a shard
holds it writes once. Retries are gathered by the owner's function, so nobody else moves a row from one shard into another.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

OUTCOME = "state, reason, due_at, first_tried, tries, code, enhanced, outcome_at, uncertain_at"
CARRYING = (
    "state, not_before, owner, fence, lease_until, leased_at, announced,"
    " accepted, rejected, cancelled, expired, uncertain, moved, size"
)
# Rights to the whole are rights to each month; a month by itself is only looked at.
PARTITIONS = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'delivery'::regclass LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM newsletter_web, newsletter_worker', part);
    END LOOP;
END $$
"""
# Whose address a person has is written once: to another it would carry their mail.
HOMES = """
DO $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
    WHERE attrelid = 'subscriber'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'mailbox_id');
    REVOKE UPDATE ON subscriber FROM newsletter_worker;
    EXECUTE format('GRANT UPDATE (%s) ON subscriber TO newsletter_worker', columns);
END $$
"""
GATHER = """
CREATE FUNCTION gather_retries(moment timestamptz, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gathered bigint;
BEGIN
    WITH free AS MATERIALIZED (
        SELECT d.month, d.id, d.mailing_id, d.due_at, s.lane, s.provider
        FROM delivery d JOIN shard s ON s.id = d.shard_id AND s.state = 'ended'
        JOIN mailing m ON m.id = d.mailing_id AND m.state = 'sending'
        WHERE d.state = 'deferred' AND d.due_at <= moment LIMIT most FOR NO KEY UPDATE OF d SKIP LOCKED
    ), due AS (
        SELECT *, (row_number() OVER (PARTITION BY mailing_id, lane, provider ORDER BY due_at, id) - 1) AS n FROM free
    ), batches AS (
        SELECT mailing_id, lane, provider, n / 2000 AS batch, count(*) AS size,
            nextval(pg_get_serial_sequence('shard', 'id')) AS shard_id
        FROM due GROUP BY mailing_id, lane, provider, n / 2000
    ), shards AS (
        INSERT INTO shard (id, mailing_id, lane, provider, size, retry, not_before) OVERRIDING SYSTEM VALUE
        SELECT shard_id, mailing_id, lane, provider, size, true, moment FROM batches
    )
    UPDATE delivery d SET shard_id = b.shard_id, position = due.n % 2000
    FROM due JOIN batches b ON b.mailing_id = due.mailing_id AND b.provider = due.provider AND b.lane = due.lane
        AND b.batch = due.n / 2000
    WHERE d.month = due.month AND d.id = due.id AND d.state = 'deferred';
    GET DIAGNOSTICS gathered = ROW_COUNT;
    RETURN gathered;
END $$
"""
BY_HAND = """
CREATE FUNCTION not_by_hand() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this is not done to % by hand', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""
KEEPS_SIZE = """
CREATE FUNCTION keeps_its_size() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.size := OLD.size;
    RETURN NEW;
END $$
"""
# As ledger.mailings.MOVES.
MOVES = """
CREATE FUNCTION moves_by_rule() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.kind <> NEW.kind OR OLD.created_at <> NEW.created_at
       OR OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
        ('draft', 'locked'), ('draft', 'cancelled'),
        ('locked', 'draft'), ('locked', 'approved'), ('locked', 'cancelled'),
        ('approved', 'draft'), ('approved', 'sending'), ('approved', 'cancelled'),
        ('sending', 'paused'), ('sending', 'done'), ('sending', 'stopped'),
        ('paused', 'sending'), ('paused', 'stopped'),
        ('done', 'retracted'), ('stopped', 'retracted')
    ) THEN
        RAISE EXCEPTION 'mailing % is %, and not to become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Take the rights, and write the function and the triggers that do without them."""
    op.execute(PARTITIONS)
    op.execute("REVOKE UPDATE, DELETE ON delivery, shard FROM newsletter_worker")
    op.execute(f"GRANT UPDATE ({OUTCOME}) ON delivery TO newsletter_worker")
    op.execute(f"GRANT UPDATE ({CARRYING}) ON shard TO newsletter_worker")
    op.execute(HOMES)
    for function in (GATHER, BY_HAND, KEEPS_SIZE, MOVES):
        op.execute(function)
    op.execute("REVOKE ALL ON FUNCTION gather_retries(timestamptz, int) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION gather_retries(timestamptz, int) TO newsletter_worker")
    op.execute(
        "CREATE TRIGGER retries_are_gathered BEFORE INSERT ON shard FOR EACH ROW"
        " WHEN (NEW.retry AND current_user IN ('newsletter_web', 'newsletter_worker')) EXECUTE FUNCTION not_by_hand()"
    )
    op.execute(
        "CREATE TRIGGER keeps_its_size BEFORE UPDATE OF size ON shard FOR EACH ROW"
        " WHEN (OLD.lane = 'urgent' AND NEW.size < OLD.size) EXECUTE FUNCTION keeps_its_size()"
    )
    op.execute(
        "CREATE TRIGGER moves_by_rule BEFORE UPDATE ON mailing FOR EACH ROW"
        " WHEN (current_user IN ('newsletter_web', 'newsletter_worker')"
        " AND (OLD.state <> NEW.state OR OLD.kind <> NEW.kind OR OLD.created_at <> NEW.created_at))"
        " EXECUTE FUNCTION moves_by_rule()"
    )
