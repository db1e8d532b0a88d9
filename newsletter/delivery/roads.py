"""By which road an alert will travel, told before it goes: lane, relays, pace, quota, reserve, and what goes beside it. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from newsletter.delivery.budget import Limits, share
from newsletter.ledger.mailings import Lane


@dataclass(frozen=True, slots=True)
class Bearer:
    """One relay of an alert's, as a plan looks at it.

    name     host and port, no password
    daily    the whole of its day; None: it has none
    reserve  what of the day bulk mail leaves to alerts
    away     it does not answer
    bulk     digests go by it as well
    """

    name: str
    limits: Limits
    daily: int | None = None
    reserve: int = 0
    away: bool = False
    bulk: bool = True

    def left(self, now: datetime) -> int | None:
        """Return what is left of its day for an alert; None: nothing limits it."""
        return self.limits.left_today(now)

    def pace(self, *, digest: bool) -> float | None:
        """Messages a second for an alert, beside a digest or alone; None: as fast as it takes them."""
        beside = [Lane.BULK] if digest and self.bulk else []
        return None if self.limits.pace == math.inf else self.limits.pace * share(Lane.URGENT, beside)


Sentence = tuple[str, Mapping[str, object]]
"""An id of the catalogue with its facts."""


def plan(
    due: int, bearers: Sequence[Bearer], *, digest: bool, now: datetime, halted: tuple[Sentence, ...] = ()
) -> tuple[Sentence, ...]:
    """Return by which road an alert will travel, in sentences: lane, relays, pace, quota, reserve, and what goes beside it.

    due      how many it goes to
    digest   whether bulk mail goes at this moment
    halted   what is said of a lane that stands still
    """
    said: list[Sentence] = [*(halted or [("plan.lane", {})])]
    for one in bearers:
        said += _borne(one, digest=digest, now=now)
    lefts = [one.left(now) for one in bearers if not one.away]
    limited = [left for left in lefts if left is not None]
    if limited and len(limited) == len(lefts) and sum(limited) < due:
        said.append(("plan.short", {"missing": f"{due - sum(limited):,}"}))
    if not digest:
        return (*said, ("plan.alone", {}))
    shared = [one for one in bearers if one.bulk]
    slowed = any(one.limits.pace < math.inf for one in shared)
    return (*said, (f"plan.digest-{'shares' if slowed else 'behind' if shared else 'apart'}", {}))


def _borne(one: Bearer, *, digest: bool, now: datetime) -> list[Sentence]:
    """What one relay bears, and whether digests may use up its day."""
    if one.away:
        return [("plan.away", {"relay": one.name})]
    pace = one.pace(digest=digest)
    facts: dict[str, object] = {"relay": one.name}
    said: list[Sentence] = [("plan.free", facts) if pace is None else ("plan.pace", facts | {"pace": f"{pace:.3g}"})]
    if one.limits.hourly is not None:
        said.append(("plan.hourly", {"hourly": f"{one.limits.hourly:,}"}))
    left = one.left(now)
    if left is not None and one.daily is not None:
        said.append(("plan.day", {"left": f"{left:,}", "daily": f"{one.daily:,}"}))
        if one.bulk:
            kept = {"reserve": f"{one.reserve:,}"}
            said.append(("plan.reserve", kept) if one.reserve else ("plan.no-reserve", {}))
    return said
