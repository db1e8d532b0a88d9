"""What comes back: reports on deliveries, letters for the operator, notices that wait, mailboxes that are full."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add five small tables and a column without default, which rewrites nothing."""
    op.add_column("suppression", sa.Column("said_by", sa.Text(), nullable=True))
    # NOT VALID and validated apart: the second look holds up nobody who writes.
    known = "CHECK (said_by IN ('reply', 'report'))"
    op.execute(f"ALTER TABLE suppression ADD CONSTRAINT ck_suppression_said_by_is_known {known} NOT VALID")
    op.execute("ALTER TABLE suppression VALIDATE CONSTRAINT ck_suppression_said_by_is_known")
    _returned()
    _reply()
    _arrival()
    _small()
    _grants()


def _grants() -> None:
    """The pages store a notice, sealed, and no more: what follows from it is decided by a worker."""
    tables = "returned, reply, arrival, inbound_test, full_mailbox"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO newsletter_worker")
    op.execute("REVOKE UPDATE ON returned FROM newsletter_worker")
    op.execute("GRANT SELECT ON returned, inbound_test TO newsletter_web")
    op.execute("GRANT SELECT (id, name), INSERT (id, name, body_sealed) ON arrival TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_worker, newsletter_web")


def _returned() -> None:
    op.create_table(
        "returned",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=True),
        sa.Column("code", sa.SmallInteger(), nullable=True),
        sa.Column("enhanced", sa.Text(), nullable=True),
        sa.Column("came_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("fate IN ('failed', 'delayed', 'complaint')", name=op.f("ck_returned_fate_is_known")),
        sa.ForeignKeyConstraint(
            ["mailing_id"], ["mailing.id"], name=op.f("fk_returned_mailing_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_returned_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returned")),
        sa.UniqueConstraint("mailing_id", "mailbox_id", "fate", name="one_return_a_fate"),
    )
    op.create_index(op.f("ix_returned_mailbox_id"), "returned", ["mailbox_id"], unique=False)


def _reply() -> None:
    op.create_table(
        "reply",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("mailbox_id", sa.BigInteger(), nullable=True),
        sa.Column("letter_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("came_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailbox.id"], name=op.f("fk_reply_mailbox_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply")),
        sa.UniqueConstraint("digest", name=op.f("uq_reply_digest")),
    )
    op.create_index(op.f("ix_reply_mailbox_id"), "reply", ["mailbox_id"], unique=False)
    op.create_index("replies_to_read", "reply", ["id"], unique=False, postgresql_where=sa.text("done_at IS NULL"))


def _arrival() -> None:
    op.create_table(
        "arrival",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("came_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.CheckConstraint("done_at IS NULL OR body_sealed IS NULL", name=op.f("ck_arrival_what_is_done_is_emptied")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrival")),
        sa.UniqueConstraint("name", name=op.f("uq_arrival_name")),
    )
    op.create_index("arrivals_to_do", "arrival", ["id"], unique=False, postgresql_where=sa.text("done_at IS NULL"))
    op.create_index("arrivals_by_age", "arrival", ["came_at"], unique=False)


def _small() -> None:
    op.create_table(
        "inbound_test",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("passed_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("domain", name=op.f("pk_inbound_test")),
    )
    op.create_table(
        "full_mailbox",
        sa.Column("mailbox_id", sa.BigInteger(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name=op.f("fk_full_mailbox_mailbox_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", name=op.f("pk_full_mailbox")),
    )
