"""What is promised of an alert before it goes, in sentences: so much by then, the rest from then on and why. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from newsletter.delivery.budget import Pause, Promise
from newsletter.delivery.roads import Sentence


@dataclass(frozen=True, slots=True)
class Promised:
    """What was said of so many readers, at a moment."""

    due: int
    at: datetime
    promise: Promise

    @property
    def facts(self) -> dict[str, Any]:
        """What is stored of it."""
        return {name: _plain(one) for name, one in asdict(self).items()}

    @staticmethod
    def of(facts: Mapping[str, Any]) -> "Promised":
        """Return what `facts` made."""
        said, pause = facts["promise"], facts["promise"]["pause"]
        kept = pause and Pause(
            pause["handed"], pause["reached"], _moment(pause["since"]), _moment(pause["until"]), pause["why"]
        )
        promise = Promise(_moment(said["ends_at"]), tuple(said["by_day"]), said["held_by"], kept)
        return Promised(facts["due"], _moment(facts["at"]), promise)


@dataclass(frozen=True, slots=True)
class Hour:
    """A time that a sentence tells; a page writes it as its language does, in its zone. on: when that is, a day not told."""

    at: datetime
    on: datetime | None = None

    def today(self, zone: tzinfo | None = UTC) -> bool:
        """Return whether it is of the day on which it is said, in a zone; None: this machine's."""
        return self.on is not None and self.at.astimezone(zone).date() == self.on.astimezone(zone).date()

    def __str__(self) -> str:
        at = self.at.astimezone(UTC)
        return f"{at:%H:%M} UTC" if self.today() else f"{at:%d %B, %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of it. over_at: None while it goes. held: so many wait until then, because their provider refuses it."""

    accepted: int
    whole: int
    over_at: datetime | None
    held: int = 0
    held_until: datetime | None = None


def kept(said: Promised, handed: Handed, *, now: datetime) -> tuple[Sentence, ...]:
    """Return a promise and the truth, side by side."""
    facts: dict[str, object] = {"accepted": f"{handed.accepted:,}", "whole": f"{handed.whole:,}"}
    if handed.over_at is not None:
        true: Sentence = ("promise.over", facts | {"at": Hour(handed.over_at, said.at)})
    else:
        facts["percent"] = percent(handed.accepted, handed.whole)
        true = ("promise.late" if now > said.promise.ends_at else "promise.so-far", facts)
    waits: tuple[Sentence, ...] = ()
    if handed.held and handed.held_until is not None:
        waits = (("promise.held", {"held": f"{handed.held:,}", "until": Hour(handed.held_until, said.at)}),)
    return (("promise.made", {"at": Hour(said.at)}), *worded(said), true, *waits)


def worded(said: Promised) -> tuple[Sentence, ...]:
    """Return a promise in sentences; hours of another day than it was made on with their day."""
    ends, pause = Hour(said.promise.ends_at, said.at), said.promise.pause
    if pause is None:
        return (("promise.all", {"count": f"{said.due:,}", "by": ends}),)
    left = said.due - pause.reached
    rest = {"rest": f"{left or said.due - pause.handed:,}", "after": Hour(pause.until, said.at), "ends": ends}
    part = {"percent": percent(pause.handed, said.due), "by": Hour(pause.since, said.at)}
    first: tuple[Sentence, ...] = (("promise.part", part),) if pause.handed else ()
    return (*first, ("promise.rest" if left else "promise.by-and-by", rest), (f"promise.why-{pause.why}", {}))


def percent(part: int, whole: int) -> int:
    """Return how much of a whole a part is, in hundredths and never too many."""
    return 100 * part // whole if whole else 100


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
