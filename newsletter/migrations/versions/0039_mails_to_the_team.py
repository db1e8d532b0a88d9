"""Mails to the team name who did what: their text is sealed, as the names are elsewhere. That of those that went is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

# What is under way goes on as it is. A block that another message joins stays; no row of a mailing or of the books goes.
FORGET = (
    """CREATE TEMPORARY TABLE told ON COMMIT DROP AS
    SELECT v.id, v.blocks FROM variant v JOIN mailing m ON m.id = v.mailing_id
    WHERE m.kind = 'notice' AND m.state IN ('done', 'stopped', 'cancelled') AND m.id IN (
        SELECT d.mailing_id FROM delivery d JOIN operator o ON o.mailbox_id = d.mailbox_id)""",
    "UPDATE variant SET blocks = '{}' WHERE id IN (SELECT id FROM told)",
    """DELETE FROM block WHERE id IN (SELECT unnest(blocks) FROM told)
    AND id NOT IN (SELECT unnest(blocks) FROM variant)""",
)


def upgrade() -> None:
    """Give a variant a sealed body of its own, and forget the text of mails that went to the team."""
    op.add_column("variant", sa.Column("body_sealed", sa.LargeBinary(), nullable=True))
    op.create_check_constraint(
        op.f("ck_variant_sealed_or_shared"), "variant", "body_sealed IS NULL OR cardinality(blocks) = 0"
    )
    for statement in FORGET:
        op.execute(statement)
