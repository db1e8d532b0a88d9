"""Fresh links to the address on file, and what a reader changes by one: name and postcode, language and zone."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table and its rights."""
    op.create_table(
        "fresh_link",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_fresh_link_subscriber_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fresh_link")),
    )
    op.create_index(op.f("ix_fresh_link_subscriber_id"), "fresh_link", ["subscriber_id"])
    op.create_index("fresh_links_to_mail", "fresh_link", ["id"], postgresql_where=sa.text("done_at IS NULL"))
    op.execute("REVOKE ALL ON fresh_link FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON fresh_link TO newsletter_worker")
    op.execute("GRANT INSERT (subscriber_id) ON fresh_link TO newsletter_web")
    op.execute("GRANT UPDATE (language, time_zone, name_sealed, postcode_sealed) ON subscriber TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
