"""The interface words of e-mail, in every language it speaks."""

import re
import tomllib
from pathlib import Path

import pytest

import newsletter
from newsletter.templating import bundled

LOCALES = Path(newsletter.__file__).parent / "locales"


def catalogue(language: str) -> dict[str, str]:
    """Return the sentences of a language's mail.toml."""
    return tomllib.loads((LOCALES / language / "mail.toml").read_text(encoding="utf-8"))


def asked() -> set[str]:
    """Return the ids that the templates ask for, and those whose end is a fact."""
    texts = [file.read_text(encoding="utf-8") for file in (bundled() / "email").rglob("*.*")]
    ids = {f"mail.{name}" for text in texts for name in re.findall(r'\bt\("([\w-]+)"[,)]', text)}
    rhythms = {f"mail.rhythm-{rhythm}" for rhythm in ("each", "daily", "weekly", "monthly")}
    return ids | rhythms | {"mail.source-and-date", "mail.friend", "mail.why-subscribed"}


@pytest.mark.parametrize("language", ["en", "fa", "ar"])
def test_every_word_of_a_mail_is_there(language: str) -> None:
    """English in the middle of a Persian letter says that nobody read it."""
    assert asked() - set(catalogue(language)) == set()


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_sentences_have_the_same_facts(language: str) -> None:
    """A translation that loses {count} tells less; one that invents a fact breaks the mail."""
    english = catalogue("en")
    for name, sentence in catalogue(language).items():
        assert set(re.findall(r"\{\w+\}", sentence)) == set(re.findall(r"\{\w+\}", english[name])), name
