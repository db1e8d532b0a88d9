"""Languages: direction, and the sentences the product says, by message id.

Catalogues are gettext's. `locales/DOMAIN.pot` holds the English: `msgctxt` is the message id, `msgid` the sentence with its
{facts}, `msgid_plural` the one beside other numbers than one. `locales/LANGUAGE/LC_MESSAGES/DOMAIN.po` translates it. They are
read as they stand, once a process and language, when something is first said; there is no compiled file that could be an old one. A
language that lacks a sentence says it in English; an id nobody worded is a defect and is shown as it is.
"""

import gettext
import io
import re
import unicodedata
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from newsletter.once import once

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

# The domains of what a reader may meet, complete in every language (tests/test_catalogues.py): a public page says nothing else.
READERS = frozenset({"mail", "web"})
RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")


def tag(text: str) -> str | None:
    """Return a language tag as BCP 47 writes it ("en_GB" → "en-GB"), or None when it is none."""
    text = text.strip().replace("_", "-")
    return text if _TAG.fullmatch(text) else None


def canonical(tag: str) -> str:
    """Return a language tag in the letters that RFC 5646 §2.1.1 asks for ("FA-ARAB-ir" → "fa-Arab-IR")."""
    first, *rest = tag.split("-")
    return "-".join([first.lower(), *(_CASES.get(len(part), str.lower)(part) for part in rest)])


_CASES = {2: str.upper, 4: str.title}


def direction(language: str) -> str:
    """Return "rtl" or "ltr" for a BCP 47 tag such as "fa" or "en-GB"."""
    return "rtl" if base(language) in RIGHT_TO_LEFT else "ltr"


def say(message: str, language: str = "en", /, **facts: Any) -> str:
    """Return the sentence of a message id with its facts filled in.

    Falls back to English, then to the id followed by the facts, so a refusal is never empty.
    """
    sentence = _english().get(message)
    if sentence is None:
        return _unworded(message, facts)
    return _spoken_in(base(language)).pgettext(message, sentence.one).format(**facts)


def counted(message: str, language: str, /, number: int, **facts: Any) -> str:
    """Return the sentence of a message id in the form for a whole number, which the plural rule of the language chooses."""
    sentence = _english().get(message)
    if sentence is None:
        return _unworded(message, facts)
    return _spoken_in(base(language)).npgettext(message, sentence.one, sentence.other, number).format(**facts)


def for_readers(message: str) -> bool:
    """Return whether a sentence is one that readers may meet, and so is there in every language."""
    sentence = _english().get(message)
    return sentence is not None and sentence.domain in READERS


def worded(message: str) -> bool:
    """Return whether there is a sentence of this id."""
    return message in _english()


def paged(message: str) -> str:
    """Return the id by which a page says what an id says: a command helps nobody who holds a phone, and no page names a path."""
    return f"web.refused.{message}" if worded(f"web.refused.{message}") else message


def _unworded(message: str, facts: dict[str, Any]) -> str:
    return f"{message}: " + ", ".join(f"{name} {value}" for name, value in facts.items())


LEFT_TO_RIGHT_MARK, RIGHT_TO_LEFT_MARK = "\u200e", "\u200f"


def leaning(text: str) -> str | None:
    """Return the direction of the first letter that has one (UAX 9, P2), or None where none has."""
    sides = (unicodedata.bidirectional(letter) for letter in text)
    first = next((side for side in sides if side in ("L", "R", "AL")), None)
    return None if first is None else "ltr" if first == "L" else "rtl"


def mark(language: str) -> str:
    """Return the invisible letter of a language's direction: what stands beside it is ordered as the language is read."""
    return RIGHT_TO_LEFT_MARK if direction(language) == "rtl" else LEFT_TO_RIGHT_MARK


def quoted(text: str, language: str) -> str:
    """Return a text as a sentence of a language may quote it: where it begins or ends against its direction, between marks."""
    against = {leaning(text), leaning(text[::-1])} - {direction(language), None}
    return f"{mark(language)}{text}{mark(language)}" if against else text


def comma(language: str) -> str:
    """Return what stands between words in a row."""
    return "، " if direction(language) == "rtl" else ", "


def base(language: str) -> str:
    """Return the language of a tag without its country or script: "fa" of "fa-AF"."""
    return language.split("-")[0].lower()


@once
def spoken() -> tuple[str, ...]:
    """Return the languages there are catalogues of, English first."""
    return ("en", *sorted(entry.name for entry in _locales().iterdir() if _files(entry.name)))


def learn() -> None:
    """Read every catalogue now: for whoever is soon asked by many at once."""
    for language in spoken():
        _spoken_in(language)
    _english()


def speaks(language: str) -> bool:
    """Return whether there is a catalogue of a language."""
    return base(language) in spoken()


def or_english(language: str) -> str:
    """Return a language that we speak: this one, or English."""
    return language if speaks(language) else "en"


@dataclass(frozen=True, slots=True)
class _Sentence:
    """English: one is said beside 1, other beside every other number; domain is the file it stands in."""

    one: str
    other: str
    domain: str


def _locales() -> Traversable:
    return resources.files("newsletter").joinpath("locales")


def _files(language: str) -> list[Traversable]:
    folder = _locales().joinpath(language, "LC_MESSAGES")
    return [file for file in folder.iterdir() if file.name.endswith(".po")] if folder.is_dir() else []


@once
def _english() -> dict[str, _Sentence]:
    found = {}
    for file in _locales().iterdir():
        if file.name.endswith(".pot"):
            for message in _read(file):
                if not message.id:
                    continue
                forms = [message.id] if isinstance(message.id, str) else message.id
                found[str(message.context)] = _Sentence(forms[0], forms[-1], file.name.removesuffix(".pot"))
    return found


@once
def _spoken_in(language: str) -> gettext.NullTranslations:
    """Return the translations of a language; of English, and of one we do not speak, none: what is asked comes back."""
    if language not in spoken()[1:]:
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo

    first, *rest = [_read(file) for file in _files(language)]
    for message in (message for catalogue in rest for message in catalogue if message.id):
        first[message.id] = message
    compiled = io.BytesIO()
    write_mo(compiled, first)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _read(file: Traversable) -> "Catalog":
    # Here, since whoever only sends says nothing, and shall not carry it (tests/workers/test_weight.py).
    from babel.messages.pofile import read_po

    return read_po(io.BytesIO(file.read_bytes()))
