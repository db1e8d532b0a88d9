"""Whoever adds something by a fresh link lifts what kept them out, by the pages' own role: as the person, and no further.

What a person may lift by a link (`left`, `dead`, `quota`) the table's own constraint says; pages can say of nobody that they
answered a confirmation, and so lift no complaint.
"""

from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

BY_PERSON = """
CREATE FUNCTION lifted_by_person() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'pages lift what the person may, and nothing else' USING ERRCODE = 'insufficient_privilege';
END $$
"""
TRIGGER = """
CREATE TRIGGER pages_act_for_persons BEFORE UPDATE ON suppression FOR EACH ROW
WHEN (current_user = 'newsletter_web' AND (OLD.lifted_at IS NOT NULL OR NEW.lifted_by IS DISTINCT FROM 'person'))
EXECUTE FUNCTION lifted_by_person()
"""


def upgrade() -> None:
    """Grant it, and bound it."""
    op.execute(BY_PERSON)
    op.execute(TRIGGER)
    op.execute("GRANT UPDATE (lifted_at, lifted_why, lifted_by) ON suppression TO newsletter_web")
