"""What refusals say of a mailing as it goes, why one stopped by itself, and the plan by which a new relay warms up."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Messages of bulk mail on each day of a relay's life; after the last there is no such limit.
PLAN = (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000)


def upgrade() -> None:
    """Add two small tables and a column."""
    op.add_column("mailing", sa.Column("halted", sa.Text(), nullable=True))
    op.create_table(
        "tally",
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in ("tried", "dead", "policy", "sender", "complaints")
        ),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailing.id"], name=op.f("fk_tally_mailing_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mailing_id", "provider", name=op.f("pk_tally")),
    )
    warmup = op.create_table(
        "warmup",
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("day >= 1 AND most >= 1", name=op.f("ck_warmup_is_a_plan")),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_warmup")),
    )
    op.bulk_insert(warmup, [{"day": day, "most": most} for day, most in enumerate(PLAN, start=1)])
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON tally TO newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON warmup TO newsletter_worker")
    op.execute("GRANT SELECT ON tally, warmup TO newsletter_web")
