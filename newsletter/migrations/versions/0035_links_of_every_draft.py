"""Errands of nobody in particular: the links of every draft are tried, whoever wrote it; and a writer may ask for a lock."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

BEFORE = (
    "draft",
    "edit",
    "check",
    "lock",
    "settle",
    "release",
    "alone",
    "retract",
    "extend",
    "resume",
    "mandate",
    "sign",
    "mandated",
)
ACTS = (*BEFORE, "want-lock")


def upgrade() -> None:
    """Let links be tried for nobody, and one more act be asked for."""
    op.drop_constraint(op.f("ck_errand_act_is_known"), "errand")
    op.create_check_constraint(op.f("ck_errand_act_is_known"), "errand", f"act IN {ACTS}")
    op.alter_column("errand", "operator_id", nullable=True)
    op.create_check_constraint(op.f("ck_errand_somebody_asks"), "errand", "operator_id IS NOT NULL OR act = 'check'")
