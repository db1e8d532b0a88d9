"""How a reader at risk wants a mail to look: the marks of a style, and which of those that exist serves them. Pure.

A mail may be seen by whoever looks over a shoulder, owns the line, or takes the telephone. What a reader asked for is never
made less: where their own version was not composed, they get one that does all of it and more, or none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import combinations

LETTERS = "dfmt"
"""The marks as they are stored, in order: discreet, full, mirror, text."""
EVERY = tuple("".join(chosen) for size in range(len(LETTERS) + 1) for chosen in combinations(LETTERS, size))
FULLEST = LETTERS
BRIEF_MOOT = "f"
"""Of what is written whole in the mail anyway, such as an alert, there is no fuller version."""


@dataclass(frozen=True, slots=True)
class Style:
    """The marks of a style.

    discreet   a neutral sender name and subject; no name of ours before the footer
    full       articles whole in the mail, where there would be links
    mirror     links by the second host
    text       one part of plain text, no HTML
    """

    discreet: bool = False
    full: bool = False
    mirror: bool = False
    text: bool = False

    @property
    def code(self) -> str:
        """The marks as they are stored: "dt"."""
        return "".join(field.name[0] for field in fields(self) if getattr(self, field.name))

    def __or__(self, other: "Style") -> "Style":
        """Return the style that does all that either does."""
        return Style.parse(self.code + other.code)

    @staticmethod
    def parse(code: str) -> "Style":
        """Return the style of a stored code; letters that are no marks say nothing."""
        return Style(*(letter in code for letter in LETTERS))


PLAIN = Style()


def without(code: str, moot: str) -> str:
    """Return a code less the marks that make no difference."""
    return "".join(letter for letter in code if letter not in moot)


def serves(made: str, wanted: str, *, moot: str = "") -> bool:
    """Return whether a version does all that a reader asked for."""
    return set(without(wanted, moot)) <= set(made)


def nearest(wanted: str, made: Iterable[str], *, moot: str = "") -> str | None:
    """Return the version that does all a reader asked for and as little else as can be; None where none does."""
    serving = [one for one in made if serves(one, wanted, moot=moot)]
    return min(serving, key=lambda one: (len(one), one), default=None)


def to_compose(found: Iterable[str], *, moot: str = "") -> tuple[str, ...]:
    """Return the styles in which a mailing is composed, the plain one first.

    found   those of its readers

    Where any has one the fullest is made as well: it serves whoever chooses a style after the mailing was composed.
    """
    wanted = {without(one, moot) for one in found} - {""}
    return ("", *sorted(wanted | {without(FULLEST, moot)})) if wanted else ("",)
