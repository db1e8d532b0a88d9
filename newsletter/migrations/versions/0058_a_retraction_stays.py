"""What lies ready to take an alert back is not given up while the alert is there: nothing else takes the page back.

Those that were, as if they were ordinary drafts, lie ready again; their bytes were never deleted, and the alert's lock names them.
"""

from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give them back, and forbid it. Not valid: one whose alert was taken back already stays as it is, and mails nobody now."""
    op.execute(
        "UPDATE mailing SET state = 'draft', fingerprint = NULL, start_at = NULL"
        " WHERE kind = 'retraction' AND state = 'cancelled'"
        " AND retracts IN (SELECT id FROM mailing WHERE state <> 'retracted')"
    )
    op.create_check_constraint(
        op.f("ck_mailing_a_retraction_stays"),
        "mailing",
        "kind <> 'retraction' OR state <> 'cancelled'",
        postgresql_not_valid=True,
    )
