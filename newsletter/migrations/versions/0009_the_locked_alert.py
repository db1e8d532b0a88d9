"""Alerts are locked word for word, and people give their word for them in rows that nobody can rewrite.

The pages may add an approval and nothing else here. What an approval says is checked as it is added (whose alert it is, what
the operator may do, when it was), and once more by the worker that sends.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
KINDS = ("digest", "mailing", "alert", "retraction", "notice", "test")
FACTORS = "('totp', 'passkey', 'recovery')"
ADDED_ONLY = ("lock", "approval", "mandate_signature")

STAYS = """
CREATE FUNCTION only_added() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""
LOCKED = """
CREATE FUNCTION lock_is_true() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    IF NEW.fingerprint IS DISTINCT FROM sha256(convert_to(NEW.manifest, 'UTF8'))
       OR (NEW.manifest::jsonb ->> 'mailing')::bigint IS DISTINCT FROM NEW.mailing_id
       OR (NEW.manifest::jsonb ->> 'number')::int IS DISTINCT FROM NEW.number
    THEN
        RAISE EXCEPTION 'the fingerprint is not that of the manifest' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""
APPROVED = """
CREATE FUNCTION approval_is_true() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    found record;
BEGIN
    NEW.at := clock_timestamp();
    SELECT (l.manifest::jsonb ->> 'author')::bigint AS author, m.state, m.fingerprint INTO found
    FROM lock l JOIN mailing m ON m.id = l.mailing_id
    WHERE l.mailing_id = NEW.mailing_id AND l.number = NEW.lock_number AND l.fingerprint = NEW.fingerprint;
    IF found IS NULL OR found.state <> 'locked' OR found.fingerprint IS DISTINCT FROM NEW.fingerprint THEN
        RAISE EXCEPTION 'nothing is locked by this fingerprint' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.rule = 'two' AND (NEW.operator_id IS NOT DISTINCT FROM found.author OR NOT EXISTS (
        SELECT FROM operator o JOIN operator_role r ON r.operator_id = o.id AND r.role = 'approver'
        WHERE o.id = NEW.operator_id AND o.enrolled_at IS NOT NULL AND o.disabled_at IS NULL
    )) THEN
        RAISE EXCEPTION 'not another operator who may approve' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Create the tables, what guards them, and the rights of each role."""
    _mailings()
    _locks()
    _mandates()
    _approvals()
    for function in (STAYS, LOCKED, APPROVED):
        op.execute(function)
    op.execute("CREATE TRIGGER holds_true BEFORE INSERT ON lock FOR EACH ROW EXECUTE FUNCTION lock_is_true()")
    op.execute("CREATE TRIGGER holds_true BEFORE INSERT ON approval FOR EACH ROW EXECUTE FUNCTION approval_is_true()")
    for table in ADDED_ONLY:
        op.execute(
            f"CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION only_added()"
        )
    _grants()


def _grants() -> None:
    op.execute(f"REVOKE ALL ON {', '.join((*ADDED_ONLY, 'mandate'))} FROM newsletter_web, newsletter_worker")
    op.execute(f"GRANT SELECT ON {', '.join((*ADDED_ONLY, 'mandate'))} TO newsletter_web, newsletter_worker")
    op.execute(f"GRANT INSERT ON {', '.join(ADDED_ONLY)}, mandate TO newsletter_worker")
    op.execute("GRANT UPDATE (ended_at) ON mandate TO newsletter_worker")
    op.execute("GRANT INSERT ON approval, mandate_signature TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _mailings() -> None:
    for column in ("updates", "retracts"):
        op.add_column("mailing", sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_foreign_key(op.f(f"fk_mailing_{column}"), "mailing", "mailing", [column], ["id"])
    op.add_column("mailing", sa.Column("asked_at", MOMENT, nullable=True))
    op.create_index(
        "one_retraction", "mailing", ["retracts"], unique=True, postgresql_where=sa.text("retracts IS NOT NULL")
    )
    op.drop_constraint(op.f("ck_mailing_kind_is_known"), "mailing")
    op.create_check_constraint(op.f("ck_mailing_kind_is_known"), "mailing", f"kind IN {KINDS}")


def _locks() -> None:
    op.create_table(
        "lock",
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_lock_mailing_id")),
        sa.PrimaryKeyConstraint("mailing_id", "number", name=op.f("pk_lock")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_lock_fingerprint")),
    )


def _mandates() -> None:
    op.create_table(
        "mandate",
        _id(),
        sa.Column("holder_id", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(["holder_id"], ["operator.id"], name=op.f("fk_mandate_holder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mandate")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_mandate_fingerprint")),
    )
    op.create_table(
        "mandate_signature",
        sa.Column("mandate_id", sa.BigInteger(), nullable=False),
        sa.Column("signer_id", sa.BigInteger(), nullable=False),
        sa.Column("factor", sa.Text(), nullable=False),
        sa.Column("assertion", sa.Text(), nullable=True),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint(f"factor IN {FACTORS}", name=op.f("ck_mandate_signature_factor_is_known")),
        sa.ForeignKeyConstraint(["mandate_id"], ["mandate.id"], name=op.f("fk_mandate_signature_mandate_id")),
        sa.ForeignKeyConstraint(["signer_id"], ["operator.id"], name=op.f("fk_mandate_signature_signer_id")),
        sa.PrimaryKeyConstraint("mandate_id", "signer_id", name=op.f("pk_mandate_signature")),
    )


def _approvals() -> None:
    op.create_table(
        "approval",
        _id(),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("lock_number", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=True),
        sa.Column("factor", sa.Text(), nullable=True),
        sa.Column("assertion", sa.Text(), nullable=True),
        sa.Column("mandate_id", sa.BigInteger(), nullable=True),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("rule IN ('two', 'few', 'alone', 'mandate')", name=op.f("ck_approval_rule_is_known")),
        sa.CheckConstraint(f"factor IS NULL OR factor IN {FACTORS}", name=op.f("ck_approval_factor_is_known")),
        sa.CheckConstraint(
            "rule NOT IN ('two', 'mandate') OR (operator_id IS NOT NULL AND factor IS NOT NULL)",
            name=op.f("ck_approval_signed_by_somebody"),
        ),
        sa.CheckConstraint(
            "(rule = 'mandate') = (mandate_id IS NOT NULL)", name=op.f("ck_approval_a_mandate_is_named")
        ),
        sa.ForeignKeyConstraint(
            ["mailing_id", "lock_number"],
            ["lock.mailing_id", "lock.number"],
            name=op.f("fk_approval_mailing_id_lock_number"),
        ),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"], name=op.f("fk_approval_operator_id")),
        sa.ForeignKeyConstraint(["mandate_id"], ["mandate.id"], name=op.f("fk_approval_mandate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index(op.f("ix_approval_mailing_id"), "approval", ["mailing_id"])
