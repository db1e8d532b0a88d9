"""Turns that workers take by rows which the pages' role cannot lock, and two functions that it calls no more.

Any role may take any advisory lock: held by whoever has the pages' password, a large alert stayed at its first readers, nobody who
signed up was asked, and no later language was planned, all of it in silence. The same of retries, which take turns by the rows
themselves since 0021. By the lock that wishes to leave share every wish waited; a table is shared by whoever may insert. And a
month was made, or statistics were looked at, by whoever asked: in a transaction that never ended the first held the whole table
of deliveries.

Workers of before this that still run go by the advisory locks, so an old and a new one may be at the same at once. Two that grow
a mailing write the same rows: the later waits for the former, is refused by `one_delivery_a_mailbox`, and comes again with the
next sweep. Two that ask who signed up may mail the question twice. A list that an old one is bringing in may miss a wish of the
very moment in which it begins or ends.
"""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None

WHAT = ("growing", "later language", "sign-ups")
PLACES = 64
ROLES = "newsletter_web, newsletter_worker"
WORKERS = ("deliveries_of_month(date)", "refresh_statistics(text[])")


def upgrade() -> None:
    """Make the rows, of which there are never others, and give workers what locking one takes."""
    op.create_table(
        "turn",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("what", "place", name="pk_turn"),
    )
    for what in WHAT:
        op.execute(f"INSERT INTO turn (what, place) SELECT '{what}', generate_series(0, {PLACES - 1})")
    op.execute(f"REVOKE ALL ON turn FROM {ROLES}")
    op.execute("GRANT SELECT, UPDATE (place) ON turn TO newsletter_worker")
    _leaving()
    for function in WORKERS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO newsletter_worker")


def _leaving() -> None:
    op.create_table(
        "leaving",
        sa.Column("nothing", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("nothing", name="pk_leaving"),
        sa.CheckConstraint("nothing IS NULL", name="ck_leaving_has_no_row"),
    )
    op.execute(f"REVOKE ALL ON leaving FROM {ROLES}")
    # Whoever may insert holds the table as wishes do, and whoever may delete as a list does, which waits for them.
    op.execute("GRANT INSERT ON leaving TO newsletter_web")
    op.execute("GRANT SELECT, DELETE ON leaving TO newsletter_worker")


def downgrade() -> None:
    """Let pages call the functions again, and drop the rows."""
    for function in WORKERS:
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC")
    op.drop_table("leaving")
    op.drop_table("turn")
