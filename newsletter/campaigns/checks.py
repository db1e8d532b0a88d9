"""What somebody should look at before an alert goes, found in its words: pure.

Nothing here forbids anything: at night a name that is written in two ways may be two people.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W\d_][\w’'-]+")
_ENDS = re.compile(r"[.!?:؟۔\n>]\s*$")
ALIKE = 0.8


def names(text: str) -> list[str]:
    """Return the names in a text in order: capitalised words that do not only stand at the beginning of a sentence."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(text):
        word = match[0].strip("’'-").removesuffix("’s").removesuffix("'s")
        if len(word) > 3 and word[0].isupper() and not word.isupper() and not _begins(text[: match.start()]):
            found.setdefault(word)
    return list(found)


def _begins(before: str) -> bool:
    bare = before.rstrip(' *_#"“„«([-')
    return not bare or bool(_ENDS.search(bare + "\n" if before.endswith("\n") else bare))


def unread(text: str) -> bool:
    """Return whether a text has words in letters without capitals, such as Arabic ones: no name is found among these."""
    return any(unicodedata.category(letter) == "Lo" for letter in text)


def spelled_twice(texts: Iterable[str], known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return pairs of names that look like two spellings of one: (as written here, as it stands elsewhere).

    known   names of earlier texts, which are taken for right
    """
    here = list(dict.fromkeys(name for text in texts for name in names(text)))
    right = set(known)
    pairs = []
    for place, name in enumerate(here):
        if name in right:
            continue
        others = [other for other in (*right, *here[place + 1 :]) if _folded(other) != _folded(name) or other in right]
        close = difflib.get_close_matches(name, others, n=1, cutoff=ALIKE)
        if close and not _inflected(name, close[0]):
            pairs.append((name, close[0]))
    return pairs


def _folded(word: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(one))


def _inflected(one: str, other: str) -> bool:
    """A plural or a genitive is no second spelling: "Kurd", "Kurds"."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return long.startswith(short) and long[len(short) :] in ("s", "n", "es", "en", "e", "ish", "ian", "i", "is")
