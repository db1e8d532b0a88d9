"""Alerts that somebody stopped: how they are asked for. What follows from it: tests/web/test_publicity.py, test_halting.py."""

from newsletter.ledger import hushed


def test_the_question_is_put_into_words_once():
    """Twice for each look at an alert's page, twenty milliseconds each: a tenth of what 300 a second leave of a core."""
    assert hushed.numbers() is hushed.numbers()
