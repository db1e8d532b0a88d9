"""What readers may have, as the first screen offers it: three choices that most people mean. Pure."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from newsletter.errors import Invalid
from newsletter.subscribers.subscriptions import Rhythm


class Level(StrEnum):
    """How much somebody wants of us."""

    EVERYTHING = "everything"
    WEEKLY = "weekly"
    EMERGENCIES = "emergencies"


class BadChoice(Invalid):
    """The form asks for something that is not offered. field: which."""

    def __init__(self, field: str) -> None:
        super().__init__("preferences.bad-choice", field=field)


_RHYTHM = {
    Level.EVERYTHING: Rhythm.EACH,
    Level.WEEKLY: Rhythm.WEEKLY,
    Level.EMERGENCIES: Rhythm.EMERGENCIES,
}


def rhythms(level: Level, *, taken: Collection[int], every: Collection[int]) -> dict[int, Rhythm]:
    """Return the rhythm of each digest after one of the three choices.

    taken   the digests that they have now; without any, all are meant
    every   all digests there are: "everything" means those
    """
    meant = every if level is Level.EVERYTHING or not taken else taken
    return dict.fromkeys(sorted(meant), _RHYTHM[level])


def level(now: Mapping[int, Rhythm], *, every: Collection[int]) -> Level | None:
    """Return which of the three somebody has, or None where they chose otherwise or nothing."""
    for one in Level:
        if now and dict(now) == rhythms(one, taken=now.keys(), every=every):
            return one
    return None
