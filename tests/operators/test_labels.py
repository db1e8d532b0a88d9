"""Labels of tokens and passkeys: words of the team, kept as they are seen."""

import pytest

from newsletter.operators import labels


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" my phone ", "my phone"),
        ("a\0b\x1b[2J", "ab[2J"),
        ("گوشی\u200cام", "گوشی\u200cام"),
        ("\0\n ", "token"),
        ("x" * 90, "x" * 60),
    ],
)
def test_a_label_holds_what_a_database_and_a_terminal_take(written: str, kept: str) -> None:
    """PostgreSQL stores no NUL, and who lists tokens in a terminal must not be told what to do by one."""
    assert labels.clean(written, otherwise="token") == kept
