"""A language of an alert that is finished later is an alert of its own, which knows of which it is one.

Whatever had one language in its audience before has none that comes later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and what it may say."""
    op.add_column("mailing", sa.Column("translates", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_mailing_translates"), "mailing", "mailing", ["translates"], ["id"])
    op.create_check_constraint(
        op.f("ck_mailing_a_later_language_is_an_alert"),
        "mailing",
        "translates IS NULL OR (kind = 'alert' AND updates IS NULL AND translates <> id)",
    )
    op.create_index("later_languages", "mailing", ["translates"], postgresql_where=sa.text("translates IS NOT NULL"))
