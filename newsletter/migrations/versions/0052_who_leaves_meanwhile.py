"""Who leaves while a list comes in is heeded, also where the process of the import ended before it could.

An import notes after which event the words stand that it may not have seen. Imports before this are taken to have seen all.
A topic may be removed, and knows the list that made it: undoing that removes it. Of those there are nobody knows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number, which a worker may take away, and the two columns of topics."""
    op.add_column("import_run", sa.Column("unheard_after", sa.BigInteger(), nullable=True))
    op.add_column("topic", sa.Column("import_id", sa.BigInteger(), nullable=True))
    op.add_column("topic", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(op.f("fk_topic_import_id"), "topic", "import_run", ["import_id"], ["id"])
    op.execute("GRANT UPDATE (unheard_after) ON import_run TO newsletter_worker")
