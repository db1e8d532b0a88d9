"""What a tired person overlooks at two in the morning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.campaigns import checks


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Lorries stand at Sarand camp, says Mina Moradi.", ["Sarand", "Mina", "Moradi"]),
        ("**Soldiers** came. They left.\n\n- Write to them.", []),
        ("At Sarand’s gate and Sarand's wall", ["Sarand"]),
        ("URGENT: they took Omid", ["Omid"]),
    ],
)
def test_names_are_words_with_a_capital_inside_a_sentence(text, found):
    """The first word of a sentence is no name, and neither is a shout."""
    assert checks.names(text) == found


def test_a_name_written_in_two_ways_is_shown():
    """Readers who telephone a consulate with the wrong name are not believed."""
    assert checks.spelled_twice(["The camp at Sarand. Call about Sarrand now."]) == [("Sarand", "Sarrand")]
    assert checks.spelled_twice(["We heard from Morady today."], known=["Moradi"]) == [("Morady", "Moradi")]
    assert checks.spelled_twice(["We heard from Moradi today."], known=["Moradi"]) == []
    assert checks.spelled_twice(["They are Kurds, and a Kurd too."]) == []
    assert checks.spelled_twice(["From Omid and Mina and Noor."]) == []


def test_names_are_looked_at_in_every_language_that_has_capitals():
    """A Persian text that quotes a consulate's Latin name is looked through; what cannot be is not called fine."""
    persian = "چهارده کامیون کنار Sarand ایستاده‌اند. به Sarrand زنگ بزنید."
    assert checks.spelled_twice([persian]) == [("Sarand", "Sarrand")]
    assert checks.spelled_twice(["Lastwagen vor Sarand.", "Lorries at Sarrand"]) == [("Sarand", "Sarrand")]
    assert [checks.unread(text) for text in (persian, "Lastwagen vor Sarand.", "Καμιόνια")] == [True, False, False]


@given(st.lists(st.text(max_size=200), max_size=3))
def test_any_text_is_looked_through(texts):
    """Whatever somebody pastes."""
    checks.spelled_twice(texts, known=["Sarand"])
