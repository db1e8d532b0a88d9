"""The tables of the main road, and what each role may do with them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("consent_event", "consent_detail", "import_run")
# What the pages may write: what a reader says on them, and its proof. No address, and nothing that goes out; but they can
# subscribe whom we know, with a permission that nobody gave. 0059 leaves them fewer columns, and no suppression.
WEB_INSERTS = ("consent_event", "consent_detail", "subscription", "suppression", "key_check")
WEB_UPDATES = ("subscription (ended_at, end_reason)", "delivery (state, reason, due_at, outcome_at)")


def upgrade() -> None:
    """Create everything, as the owner."""
    for make in TABLES:
        make()
    op.execute("INSERT INTO press (id, last) VALUES (1, 0)")
    op.execute(PARTITIONS)
    op.execute(STATISTICS)
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


# ANALYZE is the owner's right as well. Without statistics a look-up beside a million fresh rows took minutes.
STATISTICS = """
CREATE FUNCTION refresh_statistics(tables text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY tables LOOP
        EXECUTE format('ANALYZE %I', name);
    END LOOP;
END $$
"""

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


def _block() -> None:
    op.create_table(
        "block",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block")),
        sa.UniqueConstraint("digest", name=op.f("uq_block_digest")),
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=True),
        sa.Column("occasion", sa.Text(), server_default="", nullable=False),
        sa.Column("shard_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_tried", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=True),
        sa.Column("enhanced", sa.Text(), nullable=True),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'cancelled' OR reason IS NOT NULL", name=op.f("ck_delivery_cancelled_for_a_reason")
        ),
        sa.CheckConstraint("state <> 'deferred' OR due_at IS NOT NULL", name=op.f("ck_delivery_deferred_until_when")),
        sa.CheckConstraint(
            "state IN ('planned', 'deferred', 'accepted', 'rejected', 'cancelled', 'expired', 'uncertain')",
            name=op.f("ck_delivery_state_is_known"),
        ),
        sa.PrimaryKeyConstraint("month", "id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("month", "mailing_id", "mailbox_id", "occasion", name="one_delivery_a_mailbox"),
        postgresql_partition_by="RANGE (month)",
    )
    op.create_index("deliveries_of_a_mailbox", "delivery", ["mailbox_id", "mailing_id"], unique=False)
    op.create_index("deliveries_of_a_shard", "delivery", ["shard_id", "position"], unique=False)
    op.create_index(
        "deliveries_to_retry", "delivery", ["due_at"], unique=False, postgresql_where=sa.text("state = 'deferred'")
    )


def _digest() -> None:
    op.create_table(
        "digest",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("languages", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("rhythm", sa.Text(), server_default="weekly", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("key ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'", name=op.f("ck_digest_key_is_a_dns_label")),
        sa.CheckConstraint("rhythm IN ('each', 'daily', 'weekly', 'monthly')", name=op.f("ck_digest_rhythm_is_known")),
        sa.CheckConstraint("cardinality(languages) > 0", name=op.f("ck_digest_has_a_language")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest")),
        sa.UniqueConstraint("key", name=op.f("uq_digest_key")),
    )


def _feed() -> None:
    op.create_table(
        "feed",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
        sa.UniqueConstraint("name", name=op.f("uq_feed_name")),
    )


def _key_check() -> None:
    op.create_table(
        "key_check",
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "key_id", name=op.f("pk_key_check")),
    )


def _mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("address_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("domain_index", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox")),
    )


def _press() -> None:
    op.create_table(
        "press",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_press_there_is_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_press")),
    )


def _address_index() -> None:
    op.create_table(
        "address_index",
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name=op.f("fk_address_index_mailbox_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "digest", name=op.f("pk_address_index")),
    )
    op.create_index(op.f("ix_address_index_mailbox_id"), "address_index", ["mailbox_id"], unique=False)


def _article() -> None:
    op.create_table(
        "article",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("feed_id", sa.BigInteger(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("byline", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("dateline", sa.Text(), server_default="", nullable=False),
        sa.Column("excerpt", sa.Text(), server_default="", nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("categories", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("featured", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("urgent", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("kind", sa.Text(), server_default="article", nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), server_default="ltr", nullable=False),
        sa.Column("translation_of", sa.BigInteger(), nullable=True),
        sa.Column("image_url", sa.Text(), nullable=True),
        sa.Column("image_alt", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("posted_on", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_seq", sa.BigInteger(), nullable=True),
        sa.Column("change_note", sa.Text(), server_default="", nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("direction IN ('ltr', 'rtl')", name=op.f("ck_article_direction_is_known")),
        sa.CheckConstraint("kind IN ('article', 'open_letter', 'alert')", name=op.f("ck_article_kind_is_known")),
        sa.ForeignKeyConstraint(["feed_id"], ["feed.id"], name=op.f("fk_article_feed_id")),
        sa.ForeignKeyConstraint(["translation_of"], ["article.id"], name=op.f("fk_article_translation_of")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article")),
        sa.UniqueConstraint("feed_id", "guid", name=op.f("uq_article_feed_id_guid")),
        sa.UniqueConstraint("ready_seq", name=op.f("uq_article_ready_seq")),
    )
    op.create_index(op.f("ix_article_posted_on"), "article", ["posted_on"], unique=False)


def _import_run() -> None:
    op.create_table(
        "import_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("evidence_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=False),
        sa.Column("read", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("added", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_import_run_digest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
    )


def _mailing() -> None:
    op.create_table(
        "mailing",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=True),
        sa.Column("rhythm", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("had_to", sa.BigInteger(), nullable=True),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audience", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("planned", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("excluded", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('digest', 'mailing', 'alert', 'notice', 'test')", name=op.f("ck_mailing_kind_is_known")
        ),
        sa.CheckConstraint("lane IN ('urgent', 'transactional', 'bulk')", name=op.f("ck_mailing_lane_is_known")),
        sa.CheckConstraint(
            "state IN ('draft', 'cancelled') OR fingerprint IS NOT NULL",
            name=op.f("ck_mailing_released_content_has_a_fingerprint"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'locked', 'approved', 'sending', 'paused', 'done', 'stopped', 'retracted', 'cancelled')",
            name=op.f("ck_mailing_state_is_known"),
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_mailing_digest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailing")),
    )
    op.create_index(
        "mailings_under_way",
        "mailing",
        ["state"],
        unique=False,
        postgresql_where=sa.text("state IN ('approved', 'sending', 'paused')"),
    )


def _subscriber() -> None:
    op.create_table(
        "subscriber",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.CHAR(length=8), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("postcode_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("area", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("reference ~ '^[A-Z0-9]{8}$'", name=op.f("ck_subscriber_reference_is_eight_letters")),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_subscriber_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriber")),
        sa.UniqueConstraint("mailbox_id", name=op.f("uq_subscriber_mailbox_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_subscriber_reference")),
    )


def _suppression() -> None:
    op.create_table(
        "suppression",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "reason IN ('left', 'dead', 'quota', 'complaint', 'never again')",
            name=op.f("ck_suppression_reason_is_known"),
        ),
        sa.CheckConstraint(
            "(lifted_at IS NULL) = (lifted_why IS NULL)", name=op.f("ck_suppression_lifting_has_a_reason")
        ),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_suppression_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression")),
    )
    op.create_index(
        "one_live_suppression_a_reason",
        "suppression",
        ["mailbox_id", "reason"],
        unique=True,
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def _alert() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_alert_article_id")),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_alert_mailing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("article_id", name=op.f("uq_alert_article_id")),
        sa.UniqueConstraint("mailing_id", name=op.f("uq_alert_mailing_id")),
    )


def _article_revision() -> None:
    op.create_table(
        "article_revision",
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_article_revision_article_id")),
        sa.PrimaryKeyConstraint("article_id", "revision", name=op.f("pk_article_revision")),
    )


def _consent_event() -> None:
    op.create_table(
        "consent_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "basis IS NULL OR basis IN ('consent', 'soft-opt-in', 'imported')",
            name=op.f("ck_consent_event_basis_is_known"),
        ),
        sa.CheckConstraint("kind <> 'granted' OR basis IS NOT NULL", name=op.f("ck_consent_event_a_grant_has_a_basis")),
        sa.CheckConstraint("kind IN ('granted', 'withdrawn')", name=op.f("ck_consent_event_kind_is_known")),
        sa.ForeignKeyConstraint(["import_id"], ["import_run.id"], name=op.f("fk_consent_event_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_event")),
    )
    op.create_index(op.f("ix_consent_event_subscriber_id"), "consent_event", ["subscriber_id"], unique=False)


def _import_reject() -> None:
    op.create_table(
        "import_reject",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["import_run.id"], name=op.f("fk_import_reject_import_id")),
        sa.PrimaryKeyConstraint("import_id", "row", name=op.f("pk_import_reject")),
    )


def _issue() -> None:
    op.create_table(
        "issue",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=False),
        sa.Column("rhythm", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("cut_from", sa.BigInteger(), nullable=False),
        sa.Column("cut_to", sa.BigInteger(), nullable=False),
        sa.Column("cut_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("articles", sa.BigInteger(), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("cut_from < cut_to", name=op.f("ck_issue_covers_something")),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_issue_digest_id")),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_issue_mailing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issue")),
        sa.UniqueConstraint("digest_id", "rhythm", "cut_to", name="an_issue_is_cut_once"),
        sa.UniqueConstraint("digest_id", "rhythm", "number", name=op.f("uq_issue_digest_id_rhythm_number")),
        sa.UniqueConstraint("mailing_id", name=op.f("uq_issue_mailing_id")),
    )


def _shard() -> None:
    op.create_table(
        "shard",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("retry", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("announced", sa.Integer(), server_default="0", nullable=False),
        sa.Column("accepted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancelled", sa.Integer(), server_default="0", nullable=False),
        sa.Column("expired", sa.Integer(), server_default="0", nullable=False),
        sa.Column("uncertain", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moved", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('open', 'ended')", name=op.f("ck_shard_state_is_known")),
        sa.CheckConstraint("announced BETWEEN 0 AND size", name=op.f("ck_shard_announced_within_size")),
        sa.CheckConstraint("size BETWEEN 1 AND 2000", name=op.f("ck_shard_size_is_bounded")),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_shard_mailing_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shard")),
    )
    op.create_index(op.f("ix_shard_mailing_id"), "shard", ["mailing_id"], unique=False)
    op.create_index(
        "shards_to_lease",
        "shard",
        ["lane", "not_before", "retry"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )


def _variant() -> None:
    op.create_table(
        "variant",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("blocks", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("articles", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("held", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_variant_mailing_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variant")),
        sa.UniqueConstraint("mailing_id", "number", name=op.f("uq_variant_mailing_id_number")),
    )


def _consent_detail() -> None:
    op.create_table(
        "consent_detail",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("details_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["consent_event.id"], name=op.f("fk_consent_detail_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_consent_detail")),
    )


def _subscription() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("digest_id", sa.BigInteger(), nullable=False),
        sa.Column("rhythm", sa.Text(), nullable=False),
        sa.Column("had_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("granted_by", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "rhythm IN ('each', 'daily', 'weekly', 'monthly')", name=op.f("ck_subscription_rhythm_is_known")
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name=op.f("ck_subscription_an_end_has_a_reason")
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_subscription_digest_id")),
        sa.ForeignKeyConstraint(["granted_by"], ["consent_event.id"], name=op.f("fk_subscription_granted_by")),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_subscription_subscriber_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    op.create_index(
        "one_live_subscription",
        "subscription",
        ["subscriber_id", "digest_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "readers_of_a_digest",
        "subscription",
        ["digest_id", "rhythm"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _variant_group() -> None:
    op.create_table(
        "variant_group",
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("had_to", sa.BigInteger(), nullable=False),
        sa.Column("had_alerts", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("variant_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["mailing_id"], ["mailing.id"], name=op.f("fk_variant_group_mailing_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["variant_id"], ["variant.id"], name=op.f("fk_variant_group_variant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailing_id", "language", "had_to", "had_alerts", name=op.f("pk_variant_group")),
    )


# In an order in which every table finds those it points to.
TABLES = (
    _block,
    _delivery,
    _digest,
    _feed,
    _key_check,
    _mailbox,
    _press,
    _address_index,
    _article,
    _import_run,
    _mailing,
    _subscriber,
    _suppression,
    _alert,
    _article_revision,
    _consent_event,
    _import_reject,
    _issue,
    _shard,
    _variant,
    _consent_detail,
    _subscription,
    _variant_group,
)
