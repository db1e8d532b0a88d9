"""Drills: what is known of the urgent lane by trying it, and the kind of mail that tries it.

The pages' role reads them for the lamp. `stop_mailing` and the other functions of the owner's do not know the kind, so that
whoever takes the pages over can neither stop nor cancel the mail that would show it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
KINDS = ("digest", "mailing", "alert", "retraction", "notice", "test", "drill")


def upgrade() -> None:
    """Create the table, its rights, and the kind."""
    op.create_table(
        "drill",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=True),
        sa.Column("terms_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mailboxes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reach", sa.BigInteger(), nullable=True),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("accepted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("(mailing_id IS NULL) = (terms_sealed IS NULL)", name=op.f("ck_drill_sent_under_seal")),
        sa.CheckConstraint(
            "ended_at IS NULL OR fault IS NOT NULL OR first_at IS NOT NULL", name=op.f("ck_drill_proved_by_a_message")
        ),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_drill_mailing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill")),
        sa.UniqueConstraint("day", name=op.f("uq_drill_day")),
        sa.UniqueConstraint("mailing_id", name=op.f("uq_drill_mailing_id")),
    )
    op.execute("REVOKE ALL ON drill FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT ON drill TO newsletter_worker")
    sent = "mailing_id, terms_sealed, mailboxes, reach, quota"
    op.execute(f"GRANT UPDATE ({sent}, accepted, first_at, ended_at, fault) ON drill TO newsletter_worker")
    op.execute("GRANT SELECT ON drill TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
    op.drop_constraint(op.f("ck_mailing_kind_is_known"), "mailing")
    op.create_check_constraint(op.f("ck_mailing_kind_is_known"), "mailing", f"kind IN {KINDS}")
