"""People who log in, and the chain of what they did.

The pages' role cannot make an operator, give a role or make an invitation, and can only add to the audit.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("now()")
ALL = (
    "operator",
    "operator_role",
    "passkey",
    "recovery_code",
    "invitation",
    "rescue",
    "operator_session",
    "login_throttle",
    "api_token",
)
ADDED_ONLY = ("audit", "audit_mail")
WEB_INSERTS = (
    "audit",
    "passkey",
    "recovery_code",
    "rescue",
    "rescue_signature",
    "operator_session",
    "login_throttle",
    "api_token",
)
WEB_UPDATES = (
    "operator (password_hash, totp_sealed, totp_step, tries, locked_until, enrolled_at, disabled_at)",
    "passkey (count, used_at)",
    "recovery_code (used_at)",
    "invitation (ended_at)",
    "rescue (ended_at)",
    "operator_session (device_sealed, seen_at, ended_at, factor, factor_at, challenge, challenge_for, challenge_at)",
    "login_throttle (tries, since)",
    "api_token (used_at, ended_at)",
)
WEB_DELETES = ("passkey", "recovery_code", "login_throttle")

# Whoever may add a row may only add the next one, over the digest of the last; the lock makes two at once two in a row.
CONTINUES = """
CREATE FUNCTION audit_continues() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit'));
    SELECT number, digest INTO last FROM audit ORDER BY number DESC LIMIT 1;
    IF NEW.number IS DISTINCT FROM coalesce(last.number, 0) + 1 OR NEW.digest IS DISTINCT FROM
        sha256(coalesce(last.digest, decode(repeat('00', 32), 'hex')) || convert_to(NEW.content, 'UTF8'))
    THEN
        RAISE EXCEPTION 'the row does not continue the audit' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""
STAYS = """
CREATE FUNCTION audit_stays() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only ever added to' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def upgrade() -> None:
    """Create the tables, the two triggers, and the rights of each role."""
    for make in (_people, _factors, _enrolment, _sessions, _audit):
        make()
    op.execute(CONTINUES)
    op.execute(STAYS)
    op.execute("CREATE TRIGGER continues BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_continues()")
    op.execute(
        "CREATE TRIGGER stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_stays()"
    )
    _grants()


def _grants() -> None:
    every = ", ".join((*ALL, *ADDED_ONLY, "rescue_signature"))
    op.execute(f"REVOKE ALL ON {every} FROM newsletter_web, newsletter_worker")
    op.execute(f"GRANT SELECT ON {every} TO newsletter_web, newsletter_worker")
    op.execute(f"GRANT INSERT, UPDATE, DELETE ON {', '.join(ALL)} TO newsletter_worker")
    op.execute(f"GRANT INSERT ON {', '.join(ADDED_ONLY)} TO newsletter_worker")
    op.execute(f"GRANT INSERT ON {', '.join(WEB_INSERTS)} TO newsletter_web")
    for columns in WEB_UPDATES:
        table, _, names = columns.partition(" ")
        op.execute(f"GRANT UPDATE {names} ON {table} TO newsletter_web")
    op.execute(f"GRANT DELETE ON {', '.join(WEB_DELETES)} TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _owner(table: str, column: str = "operator_id") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["operator.id"], name=op.f(f"fk_{table}_{column}"))


def _people() -> None:
    op.create_table(
        "operator",
        _id(),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("locked_until", MOMENT, nullable=True),
        sa.Column("enrolled_at", MOMENT, nullable=True),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "enrolled_at IS NULL OR (password_hash IS NOT NULL AND totp_sealed IS NOT NULL)",
            name=op.f("ck_operator_enrolled_with_two_factors"),
        ),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_operator_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator")),
        sa.UniqueConstraint("mailbox_id", name=op.f("uq_operator_mailbox_id")),
    )
    op.create_table(
        "operator_role",
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "role IN ('writer', 'sender', 'approver', 'data-officer', 'auditor')",
            name=op.f("ck_operator_role_role_is_known"),
        ),
        _owner("operator_role"),
        sa.PrimaryKeyConstraint("operator_id", "role", name=op.f("pk_operator_role")),
    )


def _factors() -> None:
    op.create_table(
        "passkey",
        _id(),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("credential", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("added_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        _owner("passkey"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("credential", name=op.f("uq_passkey_credential")),
    )
    op.create_index(op.f("ix_passkey_operator_id"), "passkey", ["operator_id"])
    op.create_table(
        "recovery_code",
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        _owner("recovery_code"),
        sa.PrimaryKeyConstraint("operator_id", "digest", name=op.f("pk_recovery_code")),
    )
    op.create_table(
        "api_token",
        _id(),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.TEXT()), nullable=False),
        sa.Column("made_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        _owner("api_token"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_token_digest")),
    )
    op.create_index(op.f("ix_api_token_operator_id"), "api_token", ["operator_id"])


def _enrolment() -> None:
    op.create_table(
        "invitation",
        _id(),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("calling", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("calling IN ('new', 'lost')", name=op.f("ck_invitation_calling_is_known")),
        _owner("invitation"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("digest", name=op.f("uq_invitation_digest")),
    )
    _one_open("one_open_invitation", "invitation")
    op.create_table(
        "rescue",
        _id(),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        _owner("rescue"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescue")),
        sa.UniqueConstraint("id", "operator_id", name=op.f("uq_rescue_id_operator_id")),
    )
    _one_open("one_open_rescue", "rescue")
    op.create_table(
        "rescue_signature",
        sa.Column("rescue_id", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("signer_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.CheckConstraint("signer_id <> operator_id", name=op.f("ck_rescue_signature_signed_by_another")),
        sa.ForeignKeyConstraint(
            ["rescue_id", "operator_id"],
            ["rescue.id", "rescue.operator_id"],
            name=op.f("fk_rescue_signature_rescue_id_operator_id"),
        ),
        _owner("rescue_signature", "signer_id"),
        sa.PrimaryKeyConstraint("rescue_id", "signer_id", name=op.f("pk_rescue_signature")),
    )


def _one_open(name: str, table: str) -> None:
    where = sa.text("ended_at IS NULL")
    op.create_index(name, table, ["operator_id"], unique=True, postgresql_where=where)


def _sessions() -> None:
    op.create_table(
        "operator_session",
        _id(),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("device_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("began_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("factor", sa.Text(), nullable=True),
        sa.Column("factor_at", MOMENT, nullable=True),
        sa.Column("challenge", sa.LargeBinary(), nullable=True),
        sa.Column("challenge_for", sa.Text(), nullable=True),
        sa.Column("challenge_at", MOMENT, nullable=True),
        sa.CheckConstraint("stage IN ('half', 'full')", name=op.f("ck_operator_session_stage_is_known")),
        sa.CheckConstraint(
            "factor IS NULL OR factor IN ('totp', 'passkey', 'recovery')",
            name=op.f("ck_operator_session_factor_is_known"),
        ),
        sa.CheckConstraint(
            "stage = 'half' OR factor IS NOT NULL", name=op.f("ck_operator_session_full_by_a_second_factor")
        ),
        sa.CheckConstraint(
            "(factor IS NULL) = (factor_at IS NULL)", name=op.f("ck_operator_session_a_factor_has_its_moment")
        ),
        _owner("operator_session"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_operator_session_digest")),
    )
    where = sa.text("ended_at IS NULL")
    op.create_index("live_sessions", "operator_session", ["operator_id"], postgresql_where=where)
    op.create_table(
        "login_throttle",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_login_throttle")),
    )
    op.create_index(op.f("ix_login_throttle_since"), "login_throttle", ["since"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_table(
        "audit_mail",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_audit_mail")),
    )
