"""The interface words of e-mail, in every language it speaks. What is true of all catalogues: tests/test_catalogues.py."""

import re

import pytest

from newsletter import languages
from newsletter.templating import bundled
from tests import catalogues


def asked() -> set[str]:
    """Return the ids that the templates ask for, and those whose end is a fact."""
    texts = [file.read_text(encoding="utf-8") for file in (bundled() / "email").rglob("*.*")]
    ids = {f"mail.{name}" for text in texts for name in re.findall(r'\b(?:t|counted)\("([\w-]+)"[,)]', text)}
    rhythms = {f"mail.rhythm-{rhythm}" for rhythm in ("each", "daily", "weekly", "monthly")}
    return ids | rhythms | {"mail.source-and-date", "mail.friend", "mail.why-subscribed"}


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_every_word_of_a_mail_is_there(language: str) -> None:
    """English in the middle of a Persian letter says that nobody read it."""
    assert asked() - set(catalogues.entries(catalogues.read(catalogues.place(language, "mail")))) == set()


def counting() -> set[str]:
    """Return the ids of sentences in which a number is said, as the templates ask for them."""
    texts = [file.read_text(encoding="utf-8") for file in (bundled() / "email").rglob("*.*")]
    return {f"mail.{name}" for text in texts for name in re.findall(r'\bcounted\("([\w-]+)"', text)}


def test_arabic_says_a_number_in_all_of_its_six_forms() -> None:
    """Three articles, eleven articles and a hundred articles are three different words; one and two are no numbers at all."""
    assert counting() == {"mail.and-more", "mail.signatories"}
    arabic = catalogues.entries(catalogues.read(catalogues.place("ar", "mail")))
    for name in counting():
        numbers = (0, 1, 2, 3, 11, 100)
        said = [languages.counted(name, "ar", count, count=count) for count in numbers]
        forms = catalogues.forms(arabic[name])
        assert said == [form.format(count=count) for form, count in zip(forms, numbers, strict=True)]
        assert len(set(said)) == 6


def test_english_and_what_we_do_not_speak_count_in_english() -> None:
    """A digest in German is still framed by sentences that somebody wrote."""
    for language in ("en", "en-GB", "de"):
        assert languages.counted("mail.and-more", language, 3, count=3) == "And 3 more."


def test_a_country_speaks_its_language() -> None:
    """Afghan readers are written to in fa-AF."""
    assert languages.say("mail.unsubscribe", "fa-AF") == languages.say("mail.unsubscribe", "fa") != "Unsubscribe"
