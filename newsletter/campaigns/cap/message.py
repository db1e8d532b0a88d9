"""A message of the Common Alerting Protocol as a value, in the standard's words."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from newsletter.models.cap import Kind as Kind
from newsletter.models.cap import Status as Status

# A sender and an identifier stand together in an index, whose rows must not grow beyond 2,700 bytes.
LONGEST_NAME = 300
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
# CAP 1.2 §3.2.1: no spaces, commas or restricted characters (< and &) in an identifier or a sender.
_NAME = re.compile(r"[^\s,<&]+")


class NoZone(ValueError):
    """A time without its zone, which is no time."""


class Scope(StrEnum):
    """For whom a message is meant."""

    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


class Category(StrEnum):
    """What an event is about."""

    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class Response(StrEnum):
    """What kind of thing readers are asked to do."""

    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    """When to act."""

    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    """How grave it is."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    """How sure the sender is."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A message's full name, as another names it. sent: UTC, whole seconds."""

    sent: datetime
    sender: str
    identifier: str

    @property
    def key(self) -> tuple[str, str]:
        """What may exist once: an identifier is its sender's own."""
        return self.sender, self.identifier

    def __str__(self) -> str:
        return f"{self.sender},{self.identifier},{moment(self.sent)}"


@dataclass(frozen=True, slots=True)
class Area:
    """Where. polygons, circles: WGS 84 as they stand in the message; geocodes: (name, value)."""

    description: str
    polygons: tuple[str, ...] = ()
    circles: tuple[str, ...] = ()
    geocodes: tuple[tuple[str, str], ...] = ()
    altitude: str = ""
    ceiling: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A file that belongs to a message; it is named, never fetched."""

    description: str
    mime_type: str
    size: str = ""
    uri: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Info:
    """What a message says in one language. Texts are plain text; times are aware, UTC."""

    event: str
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    categories: tuple[Category, ...]
    language: str = "en-US"
    responses: tuple[Response, ...] = ()
    audience: str = ""
    event_codes: tuple[tuple[str, str], ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    resources: tuple[Resource, ...] = ()
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True)
class CapMessage:
    """A message. sent: aware, UTC, whole seconds."""

    identifier: str
    sender: str
    sent: datetime
    status: Status
    kind: Kind
    scope: Scope
    infos: tuple[Info, ...] = ()
    references: tuple[Reference, ...] = ()
    source: str = ""
    restriction: str = ""
    addresses: str = ""
    codes: tuple[str, ...] = ()
    note: str = ""
    incidents: str = ""

    @property
    def name(self) -> Reference:
        """How other messages name this one."""
        return Reference(self.sent, self.sender, self.identifier)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it speaks, in its order."""
        return tuple(dict.fromkeys(info.language for info in self.infos))


def reference(text: str) -> Reference | None:
    """Return the name "sender,identifier,sent" as a value, or None when it is none."""
    parts = text.split(",")
    if len(parts) != 3 or not all(is_name(part) for part in parts[:2]):
        return None
    try:
        return Reference(time(parts[2]), parts[0], parts[1])
    except ValueError:
        return None


def is_name(text: str) -> bool:
    """Whether a text can be an identifier or a sender."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def time(text: str) -> datetime:
    """Return a time in UTC, without fractions of a second. Raises NoZone, ValueError.

    "Z" is taken, though CAP 1.2 §3.3.2 forbids it: many write it, and it can mean only one thing.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(text)
    if not found.group(2):
        raise NoZone(text)
    try:
        return datetime.fromisoformat("".join(found.groups())).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def moment(at: datetime) -> str:
    """Return a time as CAP writes it (§3.3.2): no fractions, and UTC as "-00:00", never "Z"."""
    at = at.astimezone(UTC)
    return f"{at.year:04d}-{at:%m-%dT%H:%M:%S}-00:00"
