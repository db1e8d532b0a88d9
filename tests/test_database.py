"""The one database: what it says when a statement fails."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError


def test_a_failed_statement_keeps_its_values_to_itself(database):
    """Errors end in logs and on screens; an address must not."""
    with pytest.raises(DBAPIError) as failed, database.transaction() as session:
        session.execute(text("SELECT 1 / 0 WHERE :value <> ''"), {"value": "ann@example.org"})
    assert "ann@example.org" not in str(failed.value)
