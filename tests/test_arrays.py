"""Arrays of all kinds arrive as they were, however they are written."""

import pytest
from sqlalchemy import text

ODD = ["", "null", "NULL", "a,b", "a b", 'say "yes"', "back\\slash", "{x}", "سلام", "a\tb", "a\u2003b"]


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        ("bigint", [1, -5, 2**40, 0]),
        ("bigint", []),
        ("bigint", [1, None, 3]),
        ("text", ["accepted", "2.0.0", "-"]),
        ("text", ["2.0.0", None]),
        ("boolean", [True, False]),
        *(("text", ["plain", one]) for one in ODD),
        *(("text", [one]) for one in ODD),
    ],
)
def test_an_array_arrives_as_it_was(session, kind, items):
    """What became of each message is written so: a comma within one would move the outcomes of all that follow."""
    asked = text(f"SELECT CAST(:items AS {kind}[])")
    assert session.execute(asked, {"items": items}).scalar_one() == items
