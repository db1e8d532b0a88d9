"""The proof is true: by which words somebody agreed and where they stood, what a mail named, and what an import wrote over.

Which text is of which version nobody can change, and nobody can keep another text under it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NAMED: sa.Column[Any] = sa.Column("named", postgresql.ARRAY(sa.BigInteger()), server_default="{}", nullable=False)
# Of the last days alone: who asked three weeks ago does not expect a question today.
UNNAMED = """
UPDATE signup s SET again_at = now()
WHERE s.state = 'beside' AND s.undone_at IS NULL AND s.came_at > now() - interval '2 days'
  AND NOT EXISTS (SELECT FROM signup q WHERE q.mailbox_id = s.mailbox_id AND q.asked_at IS NOT NULL AND q.named @> s.digest_ids)
"""


def upgrade() -> None:
    """Create the table of texts, add the columns, and give their rights."""
    op.create_table(
        "wording",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("kept_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "version = left(encode(sha256(convert_to(words, 'UTF8')), 'hex'), 12)",
            name=op.f("ck_wording_version_is_of_its_words"),
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_wording")),
    )
    op.execute("REVOKE ALL ON wording FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT (version, words) ON wording TO newsletter_web, newsletter_worker")
    op.add_column("import_run", sa.Column("altered", sa.BigInteger(), nullable=True))
    op.execute("GRANT UPDATE (altered) ON import_run TO newsletter_worker")
    _signups()


def _signups() -> None:
    """A mail that went before named what its own form asked for, and its yes shall mean that."""
    op.add_column("signup", sa.Column("answered_wording", sa.Text(), nullable=True))
    op.add_column("signup", sa.Column("again_at", MOMENT, nullable=True))
    op.add_column("signup", NAMED)
    op.execute("UPDATE signup SET named = digest_ids WHERE asked_at IS NOT NULL")
    op.execute(UNNAMED)
    waits = sa.text("state = 'beside' AND again_at IS NOT NULL")
    op.create_index("signups_to_ask_about", "signup", ["again_at"], postgresql_where=waits)
    op.execute("GRANT SELECT (answered_wording), UPDATE (answered_wording) ON signup TO newsletter_web")
