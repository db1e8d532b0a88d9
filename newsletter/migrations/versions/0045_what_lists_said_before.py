"""Who was asked because of a list and stayed silent is not asked again; an entry that two lists name outlives the undoing of one.

A mark stands by the number of a mailbox whose address is gone, as entries of the do-not-mail list do: the keyed digest that is left
knows the address again when a list brings it. Which lists named an entry before this was kept nobody knows: there it is one.
The text of mails to the team ends as well, and is found by an index of the few there are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger()


def upgrade() -> None:
    """Create the two tables, count in imports, and give the rights."""
    op.create_table(
        "stayed_silent",
        sa.Column("mailbox_id", NUMBER, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name=op.f("fk_stayed_silent_mailbox_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", name=op.f("pk_stayed_silent")),
    )
    op.create_index("silent_by_age", "stayed_silent", ["at"])
    op.create_table(
        "suppression_naming",
        sa.Column("suppression_id", NUMBER, nullable=False),
        sa.Column("import_id", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["suppression_id"],
            ["suppression.id"],
            name=op.f("fk_suppression_naming_suppression_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["import_id"], ["import_run.id"], name=op.f("fk_suppression_naming_import_id")),
        sa.PrimaryKeyConstraint("suppression_id", "import_id", name=op.f("pk_suppression_naming")),
    )
    op.create_index(op.f("ix_suppression_naming_import_id"), "suppression_naming", ["import_id"])
    sealed = sa.text("body_sealed IS NOT NULL")
    op.create_index("sealed_variants", "variant", ["mailing_id"], postgresql_where=sealed)
    op.add_column("import_run", sa.Column("silent", NUMBER, server_default="0", nullable=False))
    op.execute("GRANT UPDATE (silent) ON import_run TO newsletter_worker")
    op.execute("REVOKE ALL ON stayed_silent, suppression_naming FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON stayed_silent, suppression_naming TO newsletter_worker")
