"""Pages write what a reader said on them: of no list, no operator's undoing, and nothing on the do-not-mail list.

They had the whole of each table since 0001; `undoes` (0055) made that a withdrawal in an operator's name. And they know a fresh
link by what a worker kept of it as it went (docs/adr/0028): one that was mailed before is one of a newsletter to them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

SAID = {
    "consent_event": "subscriber_id, kind, basis, purpose, at",
    "subscription": "subscriber_id, digest_id, rhythm, had_to, granted_by, started_at",
}


def upgrade() -> None:
    """Leave the columns that the page of preferences writes, and give what a fresh link is known by."""
    op.execute(f"REVOKE INSERT ON {', '.join(SAID)}, suppression FROM newsletter_web")
    for table, columns in SAID.items():
        op.execute(f"GRANT INSERT ({columns}) ON {table} TO newsletter_web")
    op.add_column("fresh_link", sa.Column("proof", sa.LargeBinary(), nullable=True))
    op.execute("GRANT SELECT (subscriber_id, proof) ON fresh_link TO newsletter_web")
