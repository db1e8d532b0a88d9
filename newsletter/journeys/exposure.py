"""What a thief would know: with a copy of the database, with a key file, with both; told in words for whoever answers for it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from newsletter import database
from newsletter.database import Session
from newsletter.journeys.parts import Parts
from newsletter.operators import people as operators
from newsletter.subscribers import exposure
from newsletter.subscribers.exposure import FEW, Crowd, Held
from newsletter.vault import LETTERS

PAGES = "newsletter_web"

CLEAR = (
    "subscriber.reference",
    "subscriber.language",
    "subscriber.time_zone",
    "subscriber.area",
    "subscriber.style",
    "subscriber.paused_until",
    "mailbox.provider",
    "subscription",
    "interest",
    "unproven",
    "stayed_silent",
    "segment",
    "consent_event",
    "delivery",
    "suppression",
    "operator_role",
    "audit",
    "article",
)
"""What stands in clear and says something of people, each with its sentence: "exposure.clear.NAME"."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is known by whoever has something. says: sentences of the catalogue with their facts."""

    what: str
    says: tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Radius:
    """The answer. split: whether the pages that run now hold only their part of the keys; None where none run."""

    crowd: Crowd
    held: Held
    operators: int
    split: bool | None
    clear: tuple[str, ...]
    losses: tuple[Loss, ...] = field(repr=False)


def radius(parts: Parts) -> Radius:
    """Return what a stolen copy, key file, or both reveal of the people who are in the database now."""
    with parts.database.transaction() as session:
        crowd, held = exposure.crowd(session), exposure.held(session)
        team, split = len(operators.mailboxes_of_all(session)), pages_split(session)
    return Radius(crowd, held, team, split, CLEAR, _losses(crowd, held, team))


def pages_split(session: Session) -> bool | None:
    """Return whether every page that runs now holds its part of the keys alone; None where none is connected."""
    pages = [label for role, label in database.others(session) if role == PAGES]
    return all(not label.startswith(LETTERS["seal"]) for label in pages) if pages else None


def _losses(crowd: Crowd, held: Held, team: int) -> tuple[Loss, ...]:
    facts: dict[str, Any] = asdict(held) | {
        "people": crowd.people,
        "small": crowd.people_in_small_groups,
        "groups": crowd.small_groups,
        "alone": crowd.alone,
        "few": FEW,
        "team": team,
    }
    dump = ("dump", "dump.few", "dump.not") if crowd.small_groups else ("dump", "dump.not")
    told = {
        "dump": dump,
        "index": ("index", "index.not"),
        "pages": ("pages", "pages.not", "pages.held"),
        "key": ("key",),
        "both": ("both",),
    }
    return tuple(Loss(what, tuple((f"exposure.{one}", facts) for one in says)) for what, says in told.items())
