"""Languages: direction, and the sentences the product says, by message id.

Catalogues are `locales/LANGUAGE/*.toml`: flat tables of `"message.id" = "A sentence with {facts}."`. A language that lacks a
sentence says it in English; an id nobody worded is a defect and is shown as it is.
"""

import re
import tomllib
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
