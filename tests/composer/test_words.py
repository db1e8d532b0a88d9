"""The interface words of e-mail, in every language it speaks."""

import re
import tomllib
from pathlib import Path

import babel
import pytest

import newsletter
from newsletter import languages
from newsletter.templating import bundled

LOCALES = Path(newsletter.__file__).parent / "locales"


def catalogue(language: str) -> dict[str, str]:
    """Return the sentences of a language's mail.toml."""
    return tomllib.loads((LOCALES / language / "mail.toml").read_text(encoding="utf-8"))


def asked() -> set[str]:
    """Return the ids that the templates ask for, and those whose end is a fact."""
    texts = [file.read_text(encoding="utf-8") for file in (bundled() / "email").rglob("*.*")]
    ids = {f"mail.{name}" for text in texts for name in re.findall(r'\b(?:t|counted)\("([\w-]+)"[,)]', text)}
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
        said, meant = (set(re.findall(r"\{\w+\}", one)) for one in (sentence, english[base(name)]))
        # One and two are words, as is none.
        without = {"{count}"} if name.endswith((".zero", ".one", ".two")) else set()
        assert said == meant - without, name


def base(name: str) -> str:
    """Return the id of a sentence without its plural form."""
    return re.sub(r"\.(zero|one|two|few|many)$", "", name)


def counting() -> set[str]:
    """Return the ids of sentences in which a number is said, as the templates ask for them."""
    texts = [file.read_text(encoding="utf-8") for file in (bundled() / "email").rglob("*.*")]
    return {f"mail.{name}" for text in texts for name in re.findall(r'\bcounted\("([\w-]+)"', text)}


def test_arabic_says_a_number_in_all_of_its_six_forms() -> None:
    """Three articles, eleven articles and a hundred articles are three different words; one and two are no numbers at all."""
    assert counting() == {"mail.and-more", "mail.signatories"}
    arabic = catalogue("ar")
    for name in counting():
        said = [languages.counted(name, "ar", count, count=count) for count in (0, 1, 2, 3, 11, 100)]
        forms = [arabic[f"{name}.{form}"] for form in ("zero", "one", "two", "few", "many")]
        assert said == [
            form.format(count=count) for form, count in zip([*forms, arabic[name]], (0, 1, 2, 3, 11, 100), strict=True)
        ]
        assert len(set(said)) == 6


def test_no_other_sentence_says_a_count() -> None:
    """A count in a sentence without forms is wrong for most numbers, in Arabic."""
    known = counting()
    for file in ("mail", "web"):
        sentences = tomllib.loads((LOCALES / "ar" / f"{file}.toml").read_text(encoding="utf-8"))
        assert {base(name) for name, sentence in sentences.items() if "{count}" in sentence} <= known


@pytest.mark.parametrize("language", ["en", "fa", "ar"])
def test_plural_forms_are_those_of_unicode(language: str) -> None:
    """The rules are a few lines here; whoever keeps them for the world judges them."""
    rule = babel.Locale.parse(language).plural_form
    assert all(languages.plural(count, language) == rule(count) for count in range(1_300))
