"""Mails to the team name who did what: their text is sealed, as the names are elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give a variant a sealed body of its own. What was mailed before stays as it was until it is deleted with its mailing."""
    op.add_column("variant", sa.Column("body_sealed", sa.LargeBinary(), nullable=True))
    op.create_check_constraint(
        op.f("ck_variant_sealed_or_shared"), "variant", "body_sealed IS NULL OR cardinality(blocks) = 0"
    )
