"""What is asked for on pages: the pages may ask and look, a worker does it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ACTS = ("draft", "edit", "check", "lock", "settle", "release", "alone", "retract", "extend", "resume")


def upgrade() -> None:
    """Create the table and the rights on it."""
    op.create_table(
        "errand",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.BigInteger(), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=True),
        sa.Column("facts", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("begun_at", MOMENT, nullable=True),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.Column("refused", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(f"act IN {ACTS}", name=op.f("ck_errand_act_is_known")),
        sa.ForeignKeyConstraint(["operator_id"], ["operator.id"], name=op.f("fk_errand_operator_id")),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_errand_mailing_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_errand")),
    )
    op.create_index("errands_to_run", "errand", ["id"], postgresql_where=sa.text("done_at IS NULL"))
    op.execute("REVOKE ALL ON errand FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT ON errand TO newsletter_web, newsletter_worker")
    op.execute("GRANT UPDATE (begun_at, done_at, refused, mailing_id) ON errand TO newsletter_worker")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
