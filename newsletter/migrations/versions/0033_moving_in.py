"""What an import did, so that it can be told, kept and undone; whom a list names without evidence; parts of the readership."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger()
# What a list said of somebody can be taken back with the list, and by nothing else of ours.
MAY_LIFT = (
    "CASE lifted_by WHEN 'person' THEN reason IN ('left', 'dead', 'quota')"
    " WHEN 'operator' THEN reason IN ('dead', 'quota') WHEN 'arrival' THEN reason IN ('dead', 'quota')"
    " WHEN 'undone' THEN import_id IS NOT NULL"
    " ELSE lifted_by IS NULL OR lifted_by IN ('answered', 'before') END"
)


def upgrade() -> None:
    """Widen the tables of imports, create the two others, and give their rights."""
    op.add_column("import_run", sa.Column("source", sa.Text(), server_default="csv", nullable=False))
    op.add_column("import_run", sa.Column("suppressed", NUMBER, server_default="0", nullable=False))
    op.add_column("import_run", sa.Column("unproven", NUMBER, server_default="0", nullable=False))
    op.add_column("import_run", sa.Column("reach", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("import_run", sa.Column("undone_at", MOMENT, nullable=True))
    op.execute("GRANT UPDATE (suppressed, unproven, reach, undone_at) ON import_run TO newsletter_worker")
    op.add_column("import_reject", sa.Column("part", sa.Text(), server_default="", nullable=False))
    op.drop_constraint("pk_import_reject", "import_reject")
    op.create_primary_key("pk_import_reject", "import_reject", ["import_id", "part", "row"])
    op.add_column("suppression", sa.Column("import_id", NUMBER, nullable=True))
    op.create_foreign_key(op.f("fk_suppression_import_id"), "suppression", "import_run", ["import_id"], ["id"])
    op.drop_constraint(op.f("ck_suppression_lifted_by_who_may"), "suppression")
    op.create_check_constraint(op.f("ck_suppression_lifted_by_who_may"), "suppression", MAY_LIFT)
    brought = sa.text("import_id IS NOT NULL")
    op.create_index("suppressions_of_an_import", "suppression", ["import_id"], postgresql_where=brought)
    op.create_table(
        "unproven",
        sa.Column("subscriber_id", NUMBER, nullable=False),
        sa.Column("digest_id", NUMBER, nullable=False),
        sa.Column("import_id", NUMBER, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["subscriber_id"], ["subscriber.id"], name=op.f("fk_unproven_subscriber_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_unproven_digest_id")),
        sa.ForeignKeyConstraint(["import_id"], ["import_run.id"], name=op.f("fk_unproven_import_id")),
        sa.PrimaryKeyConstraint("subscriber_id", "digest_id", name=op.f("pk_unproven")),
    )
    op.create_index(op.f("ix_unproven_import_id"), "unproven", ["import_id"])
    # Who is erased is looked for by these, among ended rows too.
    for table in ("subscription", "interest"):
        op.create_index(op.f(f"ix_{table}_subscriber_id"), table, ["subscriber_id"])
    # A segment is counted from indexes alone, so these hold the reader's number as well.
    op.create_index("subscribers_by_language", "subscriber", ["language", "id"])
    op.create_index("subscribers_by_age", "subscriber", ["created_at", "id"])
    op.drop_index("readers_of_a_digest", "subscription")
    op.create_index(
        "readers_of_a_digest",
        "subscription",
        ["digest_id", "rhythm"],
        postgresql_where=sa.text("ended_at IS NULL"),
        postgresql_include=["subscriber_id"],
    )
    op.create_table(
        "segment",
        sa.Column("id", NUMBER, sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("conditions", postgresql.JSONB(), nullable=False),
        sa.Column("added_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
        sa.UniqueConstraint("key", name=op.f("uq_segment_key")),
    )
    op.execute("REVOKE ALL ON unproven, segment FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON unproven, segment TO newsletter_worker")
    op.execute("GRANT SELECT ON unproven, segment TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")
