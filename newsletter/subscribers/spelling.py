"""How what a cell says is compared: people and their programs write one word in many ways. Pure."""

import re
import unicodedata
from collections.abc import Sequence

_UNSEEN = frozenset(("Cc", "Cf", "Mn"))
_APART = "\x1f"
_BETWEEN = re.compile(r"[\W_]+")
_MARKS = {place: None for place in range(128) if not chr(place).isalnum() and chr(place) != _APART}


def seen(text: str) -> str:
    """Return what can be seen of a cell, in small letters of usual width, without the blanks around it.

    Marks of direction, blanks of no width and what makes a tick an emoji are not seen; blanks that do not break and letters of
    full width are what they look like (NFKC, Unicode UAX #15).
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(one for one in text if unicodedata.category(one) not in _UNSEEN)
    return text.strip().casefold()


def letters(text: str) -> str:
    """Return the letters and figures of a cell alone: “Opted-Out”, “opted out.” and “(OPTED OUT)” say the same."""
    if text.isascii():
        return text.lower().translate(_MARKS)
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", text).casefold())


def all_letters(cells: Sequence[str]) -> list[str]:
    """Return the `letters` of all cells of a row: at once where that can be, for a list of a million people has twenty million."""
    row = _APART.join(cells)
    return row.lower().translate(_MARKS).split(_APART) if row.isascii() else list(map(letters, cells))
