"""Pictures of articles: fetched once, served by us."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add one table."""
    op.create_table(
        "picture",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(body IS NULL) = (name IS NULL) AND (body IS NULL) <> (fault IS NULL)",
            name=op.f("ck_picture_kept_or_dropped"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_picture")),
        sa.UniqueConstraint("source", name=op.f("uq_picture_source")),
    )
    op.create_index("pictures_by_name", "picture", ["name"], unique=False)
    op.execute("GRANT SELECT, INSERT, UPDATE ON picture TO newsletter_worker")
    op.execute("GRANT SELECT ON picture TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_worker")
