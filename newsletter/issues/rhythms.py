"""To whom an issue goes, by how often they want their digest. Pure.

An issue in the digest's own rhythm goes to all who want it that often or more often: whoever wants more must not have less. One
that is cut besides, in another rhythm, goes to those who chose that. What a reader has had already, `had_to` leaves out.
"""

from datetime import timedelta

from newsletter.subscribers.subscriptions import ISSUED, Rhythm

PERIOD = {Rhythm.DAILY: timedelta(days=1), Rhythm.WEEKLY: timedelta(days=7), Rhythm.MONTHLY: timedelta(days=31)}
"""Within which time whoever waits for an issue of a rhythm expects one."""


def readers_of(issue: str, *, own: Rhythm) -> tuple[Rhythm, ...]:
    """Return the rhythms of those to whom an issue goes. own: the digest's."""
    return tuple(reader for reader in ISSUED if _reaches(issue, reader, own))


def issues_for(reader: str, *, own: Rhythm) -> tuple[Rhythm, ...]:
    """Return in which rhythms the issues are cut that go to a reader; none for whoever takes emergencies only."""
    return tuple(issue for issue in ISSUED if _reaches(issue, reader, own))


def more_seldom(own: Rhythm) -> tuple[Rhythm, ...]:
    """Return the rhythms of those to whom no issue of the digest's own goes: they wait for one of theirs."""
    return ISSUED[ISSUED.index(own) + 1 :]


def _reaches(issue: str, reader: str, own: Rhythm) -> bool:
    if reader not in ISSUED:
        return False
    return reader == issue or (issue == own and reader not in more_seldom(own))
