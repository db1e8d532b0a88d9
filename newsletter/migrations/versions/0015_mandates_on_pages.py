"""Mandates on pages: written down, signed and used by errands, so that a worker looks at every code and every signature.

With that the pages' role need sign no mandate and use none, and may not: it adds another operator's approval and nothing else.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BEFORE = ("draft", "edit", "check", "lock", "settle", "release", "alone", "retract", "extend", "resume")
ACTS = (*BEFORE, "mandate", "sign", "mandated")


def upgrade() -> None:
    """Let three more acts be asked for, and take from the pages what these make needless."""
    op.drop_constraint(op.f("ck_errand_act_is_known"), "errand")
    op.create_check_constraint(op.f("ck_errand_act_is_known"), "errand", f"act IN {ACTS}")
    op.execute("REVOKE INSERT ON mandate_signature FROM newsletter_web")
    op.execute("DROP TRIGGER second_words_alone ON approval")
    op.execute(
        "CREATE TRIGGER second_words_alone BEFORE INSERT ON approval FOR EACH ROW"
        " WHEN (current_user = 'newsletter_web' AND NEW.rule <> 'two') EXECUTE FUNCTION refused_to_pages()"
    )
