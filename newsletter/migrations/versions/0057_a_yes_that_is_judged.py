"""A yes on a page is written down, and believed by a worker where it is proved by what was mailed (docs/adr/0032).

Who was mailed before is asked once more when they press the button of that mail.
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

ROLES = "newsletter_web, newsletter_worker"


def upgrade() -> None:
    """Let the pages write down what was said, and take from them to say that somebody answered."""
    op.create_table(
        "signup_answer",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("signup_id", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), server_default="", nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.Column("said_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("believed", sa.Boolean(), nullable=True),
        sa.CheckConstraint("by IN ('link', 'code')", name=op.f("ck_signup_answer_way_is_a_page")),
        sa.ForeignKeyConstraint(
            ["signup_id"], ["signup.id"], name=op.f("fk_signup_answer_signup_id_signup"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signup_answer")),
    )
    op.create_index(op.f("ix_signup_answer_signup_id"), "signup_answer", ["signup_id"])
    op.create_index("signup_answers_to_judge", "signup_answer", ["id"], postgresql_where=sa.text("believed IS NULL"))
    op.execute(f"REVOKE ALL ON signup_answer FROM {ROLES}")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON signup_answer TO newsletter_worker")
    op.execute("GRANT INSERT (signup_id, by, wording, proof) ON signup_answer TO newsletter_web")
    op.execute("GRANT SELECT (id, believed) ON signup_answer TO newsletter_web")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLES}")
    op.execute("REVOKE UPDATE (answered_at, answered_by, answered_wording) ON signup FROM newsletter_web")
