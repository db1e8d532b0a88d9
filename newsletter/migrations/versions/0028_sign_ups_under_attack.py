"""Sign-ups under attack: where a wish came from, as keyed digests; why it is held; what an operator asked for; waves.

The pages' role may see all of that but what was wished and by whom, and ask for a release or an undoing, which the worker does.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = ("waiting", "asked", "beside", "refused", "settled")
WHY = ("client", "net", "provider", "overall", "quick")
NUMBERS = postgresql.ARRAY(sa.BigInteger())
ADDED: tuple[sa.Column[Any], ...] = (
    sa.Column("client", sa.LargeBinary(), nullable=True),
    sa.Column("net", sa.LargeBinary(), nullable=True),
    sa.Column("provider", sa.Text(), server_default="other", nullable=False),
    sa.Column("form", sa.Text(), server_default="", nullable=False),
    sa.Column("digest_ids", NUMBERS, server_default="{}", nullable=False),
    sa.Column("quick", sa.Boolean(), server_default="false", nullable=False),
    sa.Column("proved", sa.Boolean(), server_default="false", nullable=False),
    sa.Column("held_why", sa.Text(), nullable=True),
    sa.Column("held_at", MOMENT, nullable=True),
    sa.Column("released_at", MOMENT, nullable=True),
    sa.Column("undone_at", MOMENT, nullable=True),
    sa.Column("events", NUMBERS, server_default="{}", nullable=False),
    sa.Column("made_person", sa.BigInteger(), nullable=True),
)
UNANSWERED = sa.text("asked_at IS NOT NULL AND answered_at IS NULL")


def upgrade() -> None:
    """Add the columns, the table of waves and the rights."""
    for column in ADDED:
        op.add_column("signup", column)
    _checks()
    _indexes()
    op.create_table(
        "signup_wave",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signup_wave")),
    )
    op.execute("REVOKE ALL ON signup_wave FROM newsletter_web, newsletter_worker")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON signup_wave TO newsletter_worker")
    op.execute("GRANT SELECT ON signup_wave TO newsletter_web")
    came = "client, net, provider, form, digest_ids, quick, proved"
    op.execute(f"GRANT INSERT ({came}) ON signup TO newsletter_web")
    seen = "net, provider, form, digest_ids, quick, proved, state, came_at, held_why, held_at, released_at, undone_at"
    op.execute(f"GRANT SELECT ({seen}) ON signup TO newsletter_web")
    op.execute("GRANT UPDATE (released_at, undone_at) ON signup TO newsletter_web")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO newsletter_web, newsletter_worker")


def _checks() -> None:
    op.drop_constraint(op.f("ck_signup_state_is_known"), "signup", type_="check")
    op.create_check_constraint(op.f("ck_signup_state_is_known"), "signup", f"state IN {(*STATES, 'held', 'undone')}")
    op.create_check_constraint(op.f("ck_signup_why_is_known"), "signup", f"held_why IS NULL OR held_why IN {WHY}")
    reason = "state <> 'held' OR (held_why IS NOT NULL AND held_at IS NOT NULL)"
    op.create_check_constraint(op.f("ck_signup_held_for_a_reason"), "signup", reason)


def _indexes() -> None:
    op.drop_index("signups_answered", "signup")
    for name, columns, where in (
        ("signups_answered", ["id"], "answered_at IS NOT NULL AND state <> 'settled' AND state <> 'undone'"),
        ("signups_of_known_origin", ["came_at"], "client IS NOT NULL"),
        ("signups_held", ["id"], "state = 'held'"),
        ("signups_to_undo", ["id"], "undone_at IS NOT NULL AND state <> 'undone'"),
    ):
        op.create_index(name, "signup", columns, postgresql_where=sa.text(where))
    op.create_index("unanswered_of_a_client", "signup", ["client", "asked_at"], postgresql_where=UNANSWERED)
    op.create_index("unanswered_of_a_net", "signup", ["net", "asked_at"], postgresql_where=UNANSWERED)
    op.create_index("unanswered", "signup", ["asked_at"], postgresql_where=UNANSWERED)
