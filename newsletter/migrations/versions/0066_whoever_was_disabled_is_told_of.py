"""That the team was told who was disabled is written where the pages' role locks nothing.

It stood in a column of `operator`, whose rows that role may change and therefore lock: whoever had just disabled somebody by its
password, and held their row, kept the mail of it back for as long as they stayed connected. A row of its own, without a foreign
key, is made by workers alone; of two that make the same the later waits for the former and has nothing to tell.
"""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None

ROLES = "newsletter_web, newsletter_worker"


def upgrade() -> None:
    """Make the table, bring over of whom the team was told, and drop the column: no release has known it."""
    op.create_table(
        "disabling",
        sa.Column("operator_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("operator_id", "at", name="pk_disabling"),
    )
    op.execute(
        "INSERT INTO disabling (operator_id, at) SELECT id, disabled_at FROM operator"
        " WHERE disabled_at IS NOT NULL AND told_at IS NOT NULL"
    )
    op.execute(f"REVOKE ALL ON disabling FROM {ROLES}")
    op.execute("GRANT SELECT, INSERT ON disabling TO newsletter_worker")
    op.drop_column("operator", "told_at")


def downgrade() -> None:
    """Write it in the operators' rows again."""
    op.add_column("operator", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE operator o SET told_at = d.at FROM disabling d WHERE d.operator_id = o.id AND d.at = o.disabled_at"
    )
    op.drop_table("disabling")
