"""A language of an alert that is finished later is an alert of its own, which knows of which it is one.

Whoever stops an alert stops all of its languages: the function by which the pages stop does so too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

# The newest is taken first, as by whoever lets a later language go: two who wait for each other would undo one of the two.
STOP = """
CREATE OR REPLACE FUNCTION stop_mailing(number bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    became text;
BEGIN
    PERFORM FROM mailing WHERE id = number OR translates = number ORDER BY id DESC FOR NO KEY UPDATE;
    WITH ended AS (
        UPDATE mailing SET
            state = CASE WHEN state IN ('sending', 'paused') THEN 'stopped' ELSE 'cancelled' END,
            finished_at = CASE WHEN state IN ('sending', 'paused') THEN clock_timestamp() ELSE finished_at END
        WHERE (id = number OR translates = number) AND kind IN ('digest', 'mailing', 'alert', 'retraction')
          AND (state IN ('sending', 'paused') OR (kind = 'alert' AND state IN ('draft', 'locked', 'approved')))
        RETURNING id, state
    )
    SELECT coalesce(max(state) FILTER (WHERE id = number), max(state)) INTO became FROM ended;
    RETURN became;
END $$
"""


def upgrade() -> None:
    """Add the column, what it may say, and the wider stop."""
    op.add_column("mailing", sa.Column("translates", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_mailing_translates"), "mailing", "mailing", ["translates"], ["id"])
    op.create_check_constraint(
        op.f("ck_mailing_a_later_language_is_an_alert"),
        "mailing",
        "translates IS NULL OR (kind = 'alert' AND updates IS NULL AND translates <> id)",
    )
    op.create_index("later_languages", "mailing", ["translates"], postgresql_where=sa.text("translates IS NOT NULL"))
    op.execute(STOP)
