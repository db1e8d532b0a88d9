"""A frame: an alert whose words were agreed on in daylight, with gaps for what the night will say. Pure.

A frame is a manuscript with `{{ gaps }}`, facts and all. Whoever writes by it copies the file and fills the gaps; everything
else stays word for word. A gap takes a few words on one line: no link, nothing a mail program would make one of, no HTML and
nothing that markdown reads as structure. So two people who sign a frame in the evening know what can go out by it at night.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newsletter.errors import Invalid

LONGEST = 300
"""Characters in one gap."""
MOST_GAPS = 12
MOST_READINGS = 50
"""Ways in which a text may be read at once: words that mean something have two or three, and whoever plays has thousands."""
# Merge tags of mail (composer.prose.TAGS): they stay as they are, and are no gaps.
TAGS = ("name", "reference")
_GAP = re.compile(r"\{\{\s*([^{}\n]+?)\s*\}\}")
_FACTS = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_OPENS, _CLOSES = " \n\"“‘«'(", " \n\"”’»').,:!?،؛؟。"
_STRUCTURE = frozenset("<>[]{}|\\`*_~#@=^")
_JOINERS = "\u200c\u200d"
"""Persian cannot be written without the first, nor Hindi without the second; everything else that cannot be seen is refused."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# A scheme, what a mail program underlines by itself (a.b, www, four numbers), and an entity that would become one of them.
_LINK = re.compile(
    r"://|\bwww\b|\b(?:https?|mailto|tel|sms|data|javascript):|[.。｡]\w*[^\W\d_]|\d+(?:\.\d+){3}|&#?\w+;", re.IGNORECASE
)


class BadFrame(Invalid):
    """The file is no frame; the sentence says why."""

    def __init__(self, name: str, problem: str, **facts: object) -> None:
        super().__init__(f"frame.{problem}", frame=name, **facts)


class NotKept(Invalid):
    """The words leave the frame they name; where: the first fixed words that are missing, or follow a gap that says too much."""

    def __init__(self, name: str, where: str) -> None:
        super().__init__("frame.not-kept", frame=name, where=where)


class GapOpen(Invalid):
    """Gaps of a frame are not filled; where: the line in which the first of them stands."""

    def __init__(self, name: str, gaps: Sequence[str], where: str) -> None:
        super().__init__("frame.gap-open", frame=name, gaps=", ".join(gaps), where=where)


class GapUnfit(Invalid):
    """A gap is to say what none may."""

    def __init__(self, name: str, gap: str) -> None:
        super().__init__("frame.gap-unfit", frame=name, gap=gap, longest=LONGEST)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was read. fixed: the words between the gaps, in order; gaps: what each asks for."""

    name: str
    text: str
    fixed: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def id(self) -> str:
        """The name with the beginning of the text's SHA-256: what a mandate names, so that no other text bears the name."""
        return f"{self.name}@{hashlib.sha256(self.text.encode()).hexdigest()[:32]}"


def named(name: str) -> str:
    """Return the path of a frame below the templates folder. Raises BadFrame."""
    if not _NAME.fullmatch(name):
        raise BadFrame(name[:40], "bad-name")
    return f"frames/{name}.md"


def read(name: str, text: str) -> Frame:
    """Return the frame of a file's text. Raises BadFrame."""
    text = _plain(text)
    found = _FACTS.match(text)
    if not found:
        raise BadFrame(name, "no-facts")
    facts = [tuple(part.strip() for part in line.partition(":")[::2]) for line in found.group(1).splitlines()]
    stated = [what.lower() for what, _ in facts]
    if [value for what, value in facts if what.lower() == "frame"] != [name] or "subject" not in stated:
        raise BadFrame(name, "names-another")
    if any(_gaps(value) for what, value in facts if what.lower() not in ("subject", "headline", "preheader")):
        raise BadFrame(name, "gap-in-fact")
    fixed, gaps = _cut(name, text)
    if not 0 < len(gaps) <= MOST_GAPS:
        raise BadFrame(name, "no-gap", most=MOST_GAPS)
    return Frame(name, text, fixed, gaps)


def _plain(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip() + "\n"


def _gaps(text: str) -> list[re.Match[str]]:
    return [found for found in _GAP.finditer(text) if found[1] not in TAGS]


def _cut(name: str, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    fixed, gaps, place = [], [], 0
    for gap in _gaps(text):
        before, after = text[place : gap.start()], text[gap.end() : gap.end() + 1]
        # Apart from everything: what is in a gap must not become part of a link, a word or another gap.
        if before[-1:] not in _OPENS or after not in _CLOSES or not before or re.search(r"\]\([^)]*\Z", before):
            raise BadFrame(name, "gap-not-apart", gap=gap[1])
        fixed.append(before)
        gaps.append(gap[1])
        place = gap.end()
    return (*fixed, text[place:]), tuple(gaps)


def written(frame: Frame, said: Mapping[str, str], markdown: str) -> str:
    """Return the file of a text by a frame, from a form: what else the frame states stands there as it is.

    said   what the form has for a fact by its name; the subject is taken, and of the others those in which the frame has gaps
    """
    found = _FACTS.match(frame.text)
    assert found is not None  # `read` refuses a frame without facts
    body = frame.text[found.end() :]
    blank = body[: len(body) - len(body.lstrip())]
    facts = [_fact(line, said) for line in found[1].splitlines()]
    return "\n".join(("---", *facts, "---", f"{blank}{markdown.strip()}\n"))


def _fact(line: str, said: Mapping[str, str]) -> str:
    name = line.partition(":")[0].strip().lower()
    theirs = name in said and (name == "subject" or _gaps(line))
    return f"{name}: {' '.join(said[name].split())}" if theirs else line


def open_gaps(*texts: str) -> list[str]:
    """Return what the gaps ask for that texts still have: each once, in their order."""
    return list(dict.fromkeys(gap[1] for text in texts for gap in _gaps(text)))


def filled(text: str, said: Mapping[str, str]) -> str:
    """Return a text with its gaps filled; one of which nothing is said, or what no gap may say, stays open."""
    able = {gap: words for gap, words in said.items() if fills(words)}
    return _GAP.sub(lambda gap: able.get(gap[1], gap[0]) if gap[1] not in TAGS else gap[0], text)


def require_filled(frame: Frame, words: str, said: Mapping[str, str]) -> None:
    """Raise GapUnfit where a gap was to say what none may, GapOpen where another is open still."""
    left = open_gaps(words)
    for gap in left:
        if said.get(gap):
            raise GapUnfit(frame.name, gap)
    if left:
        raise GapOpen(frame.name, left, _line(next(line for line in words.splitlines() if _gaps(line))))


def _line(line: str) -> str:
    """Return a line as people are shown it: without the name of a fact, its gaps in brackets."""
    return _shown(_GAP.sub(r"[\1]", re.sub(r"\A(?:subject|headline|preheader):", "", line)))


def keeps(frame: Frame, words: str) -> bool:
    """Return whether words are the frame's, with its gaps filled as gaps may be."""
    return missed(frame, words) is None


def require(frame: Frame, words: str) -> str:
    """Return the id of the frame that the words keep to. Raises NotKept."""
    if (where := missed(frame, words)) is not None:
        raise NotKept(frame.name, where)
    return frame.id


def missed(frame: Frame, words: str) -> str | None:
    """Return the first fixed words that do not follow, or None where all do.

    Every place at which a piece may end is followed up, so that a gap which repeats the words after it misleads nobody.
    """
    words = _plain(words)
    if not words.startswith(frame.fixed[0]):
        return _shown(frame.fixed[0])
    ends = {len(frame.fixed[0])}
    for piece in frame.fixed[1:]:
        ends = {place + len(piece) for end in ends for place in _places(words, end, piece)}
        if not 0 < len(ends) <= MOST_READINGS:
            return _shown(piece)
    return None if len(words) in ends else _shown(frame.fixed[-1])


def _places(words: str, end: int, piece: str) -> list[int]:
    """Return where a piece begins after a gap that begins at `end`."""
    found, place = [], words.find(piece, end + 1, end + LONGEST + len(piece))
    while place >= 0:
        if fills(words[end:place]):
            found.append(place)
        place = words.find(piece, place + 1, end + LONGEST + len(piece))
    return found


def fills(said: str) -> bool:
    """Return whether a gap may say this."""
    if not 0 < len(said) <= LONGEST or said != said.strip() or not (said[0].isalnum() or said[0] in "\"“‘«'("):
        return False
    if any(
        letter in _STRUCTURE or (letter not in _JOINERS and unicodedata.category(letter) in _HIDDEN) for letter in said
    ):
        return False
    # As a mail program may read it: in its plainest letters, an ellipsis aside.
    seen = unicodedata.normalize("NFKC", said.replace("…", " ")).translate(dict.fromkeys(map(ord, _JOINERS)))
    return not _LINK.search(seen) and not _STRUCTURE & set(seen)


def _shown(piece: str) -> str:
    line = next((line for line in piece.splitlines() if line.strip(" -:")), piece)
    return line.strip()[:80]
