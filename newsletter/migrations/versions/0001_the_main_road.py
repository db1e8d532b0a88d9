"""The tables of the main road, and what each role may do with them."""

from alembic import op

from newsletter.models.base import Base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("consent_event", "consent_detail", "import_run")
# What the pages may write: a wish and its proof; never an address, and nothing that decides what goes out or to whom.
WEB_INSERTS = ("consent_event", "consent_detail", "subscription", "suppression", "key_check")
WEB_UPDATES = ("subscription (ended_at, end_reason)", "delivery (state, reason, due_at, outcome_at)")


def upgrade() -> None:
    """Create everything, as the owner."""
    Base.metadata.create_all(op.get_bind())
    op.execute("INSERT INTO press (id, last) VALUES (1, 0)")
    op.execute(PARTITIONS)
    op.execute("SELECT deliveries_of_month(CURRENT_DATE)")
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    op.execute("GRANT USAGE ON SCHEMA public TO newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO newsletter_worker")
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
    op.execute(f"REVOKE UPDATE, DELETE ON {', '.join(APPEND_ONLY)} FROM newsletter_worker")
    op.execute("GRANT DELETE ON consent_detail TO newsletter_worker")
    op.execute("GRANT UPDATE (read, added, changed, unchanged, rejected) ON import_run TO newsletter_worker")
    op.execute(f"GRANT INSERT ON {', '.join(WEB_INSERTS)} TO newsletter_web")
    for columns in WEB_UPDATES:
        table, _, names = columns.partition(" ")
        op.execute(f"GRANT UPDATE {names} ON {table} TO newsletter_web")
    op.execute("REVOKE ALL ON alembic_version FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT ON alembic_version TO newsletter_web, newsletter_worker")


# Workers own no table, so they cannot add a partition themselves: this function does it as the owner, and nothing else.
# fillfactor leaves room on each page, so that the one UPDATE each row gets stays on its page (HOT, no index writes).
PARTITIONS = """
CREATE FUNCTION deliveries_of_month(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first date := date_trunc('month', day)::date;
    name text := 'delivery_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('deliveries_of_month'));
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %I PARTITION OF delivery FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 70)',
            name, first, first + interval '1 month'
        );
    END IF;
    RETURN name;
END $$
"""
