"""Why something did not go stands beside it, and the team is told of it once."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table. A worker adds to it and says that the team was told; it rewrites no reason."""
    op.create_table(
        "refusal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("told_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["mailing_id"], ["mailing.id"], name=op.f("fk_refusal_mailing_id_mailing"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusal")),
    )
    op.create_index("refusals_of", "refusal", ["mailing_id"])
    op.create_index("refusals_untold", "refusal", ["at"], postgresql_where=sa.text("told_at IS NULL"))
    op.execute("REVOKE ALL ON refusal FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT ON refusal TO newsletter_worker")
    op.execute("GRANT UPDATE (told_at) ON refusal TO newsletter_worker")
    op.execute("GRANT SELECT ON refusal TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
