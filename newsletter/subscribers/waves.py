"""When a wish to join is held: a rule of values.

What is counted are questions that nobody answered. Whoever bombs strangers gets no answer, so their room fills up and stays full;
real people answer within minutes, and each answer gives back the room it took. So one network may bring thousands who are real, and
an attack only as many mails as stand here, whatever it posts (docs/adr/0020-sign-ups-under-attack.md).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from newsletter.models.signup import Why as Why

SHORT, LONG = timedelta(minutes=10), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many unanswered questions wishes of one kind may have open. within: counted back from now."""

    why: Why
    within: timedelta
    usual: int
    in_alert: int


LIMITS = (
    # A household or a stall at a market; in an alert, a mobile network behind one address.
    Limit(Why.CLIENT, SHORT, 10, 1_000),
    Limit(Why.CLIENT, LONG, 40, 3_000),
    # A school; in an alert, a town: 3,000 in ten minutes.
    Limit(Why.NET, SHORT, 40, 3_000),
    Limit(Why.NET, LONG, 200, 6_000),
    # What one provider of mailboxes may be sent that its users did not ask for, before it takes us for a nuisance.
    Limit(Why.PROVIDER, SHORT, 400, 10_000),
    Limit(Why.PROVIDER, LONG, 2_000, 40_000),
    Limit(Why.OVERALL, SHORT, 600, 15_000),
    Limit(Why.OVERALL, LONG, 4_000, 60_000),
)
PROVED = 4
"""So many times the room of its address and network has a wish whose form did some work for it."""
EVERYBODY = "other"
"""The provider group of all mailboxes whose provider we do not know: that is no provider."""
QUICK_WAITS = timedelta(minutes=5)
"""How long a form that was sent too soon waits outside of waves: in one it waits for an operator."""
GOES_BY_ITSELF = timedelta(days=2)
"""How long after it came a held wish still goes as soon as there is room; an older one only when an operator lets it."""
ALERT_LASTS = timedelta(hours=24)
"""How long after its start an alert brings people."""
WAVE_FROM, WAVE_OVER = 50, timedelta(minutes=30)
"""A wave begins when so many are held, and is over when so long none was."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a wish came from, and what its form says of whoever filled it in.

    client, net   keyed digests of the address and of its /24 or /48; None: unknown, counted nowhere
    provider      the group of the mailbox it names
    quick         our own form came back sooner than a person reads it
    proved        our own form did its sum, as it does in a wave where it can
    """

    client: bytes | None = None
    net: bytes | None = None
    provider: str = EVERYBODY
    quick: bool = False
    proved: bool = False


NOWHERE = Origin()
"""Where a wish came from of which nothing is known."""
Key = tuple[Why, bytes | str]


def keys(origin: Origin) -> list[Key]:
    """Return what a wish is counted by."""
    found: list[tuple[Why, bytes | str | None]] = [
        (Why.CLIENT, origin.client),
        (Why.NET, origin.net),
        (Why.PROVIDER, None if origin.provider == EVERYBODY else origin.provider),
        (Why.OVERALL, ""),
    ]
    return [(why, key) for why, key in found if key is not None]


@dataclass(slots=True)
class Taken:
    """How much room is taken, while wishes are looked at one after another. alert: one has begun lately. wave: one goes on."""

    alert: bool = False
    wave: bool = False
    counts: Counter[tuple[Key, timedelta]] = field(default_factory=Counter)

    def why_held(self, origin: Origin, *, came_at: datetime, now: datetime) -> Why | None:
        """Return why a wish has to wait, or None where its owner may be asked."""
        if origin.quick and (self.wave or now - came_at < QUICK_WAITS):
            return Why.QUICK
        room = {key[0]: key for key in keys(origin)}
        full = (limit.why for limit in LIMITS if limit.why in room and self._full(room[limit.why], limit, origin))
        return next(full, None)

    def _full(self, key: Key, limit: Limit, origin: Origin) -> bool:
        most = limit.in_alert if self.alert else limit.usual
        more = PROVED if origin.proved and limit.why in (Why.CLIENT, Why.NET) else 1
        return self.counts[key, limit.within] >= most * more

    def take(self, origin: Origin) -> None:
        """Count a wish whose owner is asked now."""
        self.counts.update((key, span) for key in keys(origin) for span in (SHORT, LONG))


def begins(held: int) -> bool:
    """Whether so many held wishes are a wave, of which the team is told."""
    return held >= WAVE_FROM


def over(last_held: datetime | None, *, now: datetime) -> bool:
    """Whether a wave is over. last_held: when a wish was held last."""
    return last_held is None or now - last_held >= WAVE_OVER


def different(origins: Iterable[Origin], why: Why) -> list[bytes | str]:
    """Return the different keys of one kind among some origins."""
    return sorted({key for origin in origins for kind, key in keys(origin) if kind is why})
