"""Erasures that outlive a restored backup, what readers ask for by a fresh link, exports of the list, and rows that end as counts.

The pages' role may ask for an export or an erasure and fetch the parcel, which it can open with the key of its own request alone.
Rows of deliveries belong to the owner, so nobody else can drop a month: the function does it for months whose time is over, and
writes down first what they count.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ROLES = "newsletter_web, newsletter_worker"
# A month that still holds a row which is due is left alone, and so is everything while somebody reads: it is tried again.
FORGET = """
CREATE FUNCTION forget_deliveries() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    part regclass;
    due boolean;
    gone integer := 0;
BEGIN
    FOR part IN
        SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'delivery'::regclass
        AND inhrelid::regclass::text ~ '^delivery_[0-9]{4}_[0-9]{2}$'
        AND to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') + interval '1 month' + interval '400 days' <= now()
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE state IN (''planned'', ''deferred''))', part) INTO due;
        CONTINUE WHEN due;
        EXECUTE format('INSERT INTO delivery_count (mailing_id, what, number)
            SELECT mailing_id, state, count(*) FROM %s GROUP BY mailing_id, state ON CONFLICT DO NOTHING', part);
        EXECUTE format('DROP TABLE %s', part);
        gone := gone + 1;
    END LOOP;
    WITH old AS (
        DELETE FROM returned WHERE came_at < now() - interval '431 days' RETURNING mailing_id, fate
    )
    INSERT INTO delivery_count AS c (mailing_id, what, number)
    SELECT mailing_id, 'returned ' || fate, count(*) FROM old GROUP BY mailing_id, fate
    ON CONFLICT (mailing_id, what) DO UPDATE SET number = c.number + excluded.number;
    RETURN gone;
END $$
"""


def upgrade() -> None:
    """Create the tables, the function and the rights."""
    _erasure()
    _wish()
    _list_export()
    op.create_table(
        "delivery_count",
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mailing_id", "what", name=op.f("pk_delivery_count")),
    )
    op.execute(FORGET)
    op.execute(f"REVOKE ALL ON erasure, privacy_wish, list_export, delivery_count FROM {ROLES}")
    op.execute("REVOKE ALL ON FUNCTION forget_deliveries() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION forget_deliveries() TO newsletter_worker")
    op.execute(f"GRANT SELECT ON delivery_count TO {ROLES}")
    op.execute("GRANT SELECT, INSERT ON erasure TO newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON privacy_wish TO newsletter_worker")
    op.execute("GRANT INSERT (asking, subscriber_id, may_come_back, reader_key) ON privacy_wish TO newsletter_web")
    op.execute("GRANT SELECT (id, parcel, refused, done_at) ON privacy_wish TO newsletter_web")
    op.execute("GRANT SELECT, INSERT ON list_export TO newsletter_worker")
    op.execute("GRANT UPDATE (approved_by, approved_at, taken_at) ON list_export TO newsletter_worker")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLES}")


def _erasure() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("by_whom", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("mark", name=op.f("uq_erasure_mark")),
    )


def _wish() -> None:
    op.create_table(
        "privacy_wish",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("asking", sa.Text(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("may_come_back", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("reader_key", sa.LargeBinary(), nullable=True),
        sa.Column("parcel", sa.LargeBinary(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.CheckConstraint("asking IN ('export', 'erase')", name=op.f("ck_privacy_wish_asking_is_known")),
        sa.CheckConstraint(
            "asking <> 'export' OR reader_key IS NOT NULL", name=op.f("ck_privacy_wish_an_export_has_a_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_wish")),
    )
    op.create_index("privacy_wishes_to_do", "privacy_wish", ["id"], postgresql_where=sa.text("done_at IS NULL"))


def _list_export() -> None:
    op.create_table(
        "list_export",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("asked_by", sa.BigInteger(), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("people", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("approved_by", sa.BigInteger(), nullable=True),
        sa.Column("approved_at", MOMENT, nullable=True),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.CheckConstraint("approved_by <> asked_by", name=op.f("ck_list_export_approved_by_another")),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL)", name=op.f("ck_list_export_an_approval_has_its_moment")
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["operator.id"], name=op.f("fk_list_export_asked_by")),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_list_export_digest_id")),
        sa.ForeignKeyConstraint(["approved_by"], ["operator.id"], name=op.f("fk_list_export_approved_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_list_export")),
    )
