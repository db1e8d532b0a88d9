"""Languages: direction, and the sentences the product says, by message id.

Catalogues are `locales/LANGUAGE/*.toml`: flat tables of `"message.id" = "A sentence with {facts}."`. A language that lacks a
sentence says it in English; an id nobody worded is a defect and is shown as it is.
"""

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import Any

RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"})


_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")


def tag(text: str) -> str | None:
    """Return a language tag as BCP 47 writes it ("en_GB" → "en-GB"), or None when it is none."""
    text = text.strip().replace("_", "-")
    return text if _TAG.fullmatch(text) else None


def direction(language: str) -> str:
    """Return "rtl" or "ltr" for a BCP 47 tag such as "fa" or "en-GB"."""
    return "rtl" if language.split("-")[0].lower() in RIGHT_TO_LEFT else "ltr"


def say(message: str, language: str = "en", /, **facts: Any) -> str:
    """Return the sentence of a message id with its facts filled in.

    Falls back to English, then to the id followed by the facts, so a refusal is never empty.
    """
    sentence = _catalogue(language.split("-")[0].lower()).get(message) or _catalogue("en").get(message)
    if sentence is None:
        return f"{message}: " + ", ".join(f"{name} {value}" for name, value in facts.items())
    return sentence.format(**facts)


def plural(count: int, language: str) -> str:
    """Return the form of the words beside a whole number: zero, one, two, few, many or other (Unicode CLDR, plural rules).

    English has two forms, Persian two, Arabic all six.
    """
    base = language.split("-")[0].lower()
    if base == "ar":
        return _arabic(count)
    one = count in (0, 1) if base == "fa" else count == 1
    return "one" if one else "other"


def _arabic(count: int) -> str:
    if count <= 2:
        return ("zero", "one", "two")[count]
    rest = count % 100
    return "few" if 3 <= rest <= 10 else "many" if rest >= 11 else "other"


def counted(message: str, language: str, /, number: int, **facts: Any) -> str:
    """Return the sentence of a message id in the form for a number: "ID.few" where the language has it, else "ID" itself."""
    form = f"{message}.{plural(number, language)}"
    return say(form if form in _catalogue(language.split("-")[0].lower()) else message, language, **facts)


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


def speaks(language: str) -> bool:
    """Return whether there is a catalogue of a language."""
    return bool(_catalogue(language.split("-")[0].lower()))


@cache
def _catalogue(language: str) -> dict[str, str]:
    folder = resources.files("newsletter").joinpath("locales", language)
    if not language.isalpha() or not folder.is_dir():
        return {}
    sentences: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            sentences.update(tomllib.loads(file.read_text(encoding="utf-8")))
    return sentences
