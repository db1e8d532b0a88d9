"""The text an operator wrote, and the sentence they get when it cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.issues import manuscript
from newsletter.issues.manuscript import BadManuscript, Manuscript


def test_facts_and_text_are_told_apart():
    """The form that every example in the handbook has."""
    found = manuscript.read(
        "---\nsubject: What to do\nlanguage: fa\naction: Write | https://sarand.example/act\n---\n\nThe *text*.\n",
        language="en",
    )
    assert (found.subject, found.language, found.markdown) == ("What to do", "fa", "The *text*.\n")
    assert found.actions == (("Write", "https://sarand.example/act"),)


def test_without_facts_the_first_heading_is_the_subject():
    """Whoever writes at night writes a heading and goes on."""
    found = manuscript.read("\ufeff# What to do\r\n\r\nThe text.", language="en")
    assert (found.subject, found.headline, found.markdown) == ("What to do", "What to do", "The text.\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The text.", "no subject"),
        ("# Only a heading\n", "no text"),
        ("---\nsubjekt: x\n---\ntext", "Line 2"),
        ("---\nsubject: x\naction: Write to them\n---\ntext", "Line 3"),
        ("---\nsubject: x\naction: Write | javascript:alert(1)\n---\ntext", "Line 3"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(text, words):
    """An operator mends a line, not a parser."""
    with pytest.raises(BadManuscript) as refusal:
        manuscript.read(text, language="en")
    assert words in languages.say(refusal.value.message, **refusal.value.facts)


_LINE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40).map(
    lambda text: " ".join(text.split())
)


@given(
    _LINE.filter(bool), _LINE.filter(bool), st.lists(_LINE.filter(lambda text: text and "|" not in text), max_size=2)
)
def test_what_is_written_is_read_back(subject, body, labels):
    """A text goes from a phone to the desk and back into the phone, and no word of it is lost."""
    actions = tuple((label, "https://sarand.example/act") for label in labels)
    text = Manuscript(subject, subject, "", "fa", "", actions, body + "\n")
    assert manuscript.read(manuscript.write(text), language="en") == text
