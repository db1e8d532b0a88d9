"""The language of a reader is kept in one spelling: "FA" and "fa" are one, and whoever looks for either finds both.

Lists were taken as they were written, and a segment, which looks by the index, found its own spelling alone. Workers of the
version before go on writing the languages of our pages, which are small; only a list that writes "FA" is refused by them meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

KNOWN = sa.text("SELECT DISTINCT language FROM subscriber WHERE language ~ '[A-Z]'")
WRITE = sa.text("UPDATE subscriber SET language = :now WHERE language = :before")


def upgrade() -> None:
    """Write each spelling that is not the one anew, found by the index; then none can come in any more."""
    connection = op.get_bind()
    for before in connection.execute(KNOWN).scalars().all():
        if (now := _canonical(before)) != before:
            connection.execute(WRITE, {"before": before, "now": now})
    # NOT VALID and validated apart: the second look holds up nobody who writes.
    op.execute(
        "ALTER TABLE subscriber ADD CONSTRAINT ck_subscriber_language_is_small CHECK (language !~ '^[^-]*[A-Z]') NOT VALID"
    )
    op.execute("ALTER TABLE subscriber VALIDATE CONSTRAINT ck_subscriber_language_is_small")


def _canonical(tag: str) -> str:
    """As `languages.canonical` was when this was written (RFC 5646 §2.1.1)."""
    first, *rest = tag.split("-")
    cases = {2: str.upper, 4: str.title}
    return "-".join([first.lower(), *(cases.get(len(part), str.lower)(part) for part in rest)])
