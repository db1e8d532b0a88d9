"""In which order messages of CAP count, whatever order they come in: decided from values alone.

Of each alert one message stands: the newest of itself and the updates that name it, directly or through another. A cancel ends an
alert for good. What names nothing that is known is held, and follows in the order of `sent` once that has come.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from newsletter.campaigns.cap import CapMessage, Kind, Reference, Scope, Status
from newsletter.models.cap import State as State


class Why(StrEnum):
    """Why a message is held or ignored; `cap.why-…` words it."""

    UNKNOWN = "unknown"
    NAMES_NONE = "names-none"
    DUPLICATE = "duplicate"
    NOT_ACTUAL = "not-actual"
    NOT_PUBLIC = "not-public"
    NO_NEWS = "no-news"
    NO_WORDS = "no-words"
    OLDER = "older"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


# Ignored, and yet of its alert: what names such a message means the alert.
_OF_THEIR_ALERT = (Why.SUPERSEDED, Why.CANCELLED)


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of a message that came before."""

    name: Reference
    kind: Kind
    refers_to: tuple[Reference, ...]
    state: State
    why: Why | None = None


class Move(StrEnum):
    """What is done to an alert."""

    NEW = "new"
    UPDATE = "update"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. of: the alert; by: the message that says it."""

    move: Move
    of: Reference
    by: Reference


@dataclass(frozen=True, slots=True)
class Apply:
    """The message counts. Almost always one step; a cancel of two alerts has two."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is done until what the message names has come."""

    why: Why


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing is done, ever."""

    why: Why


Decision = Apply | Hold | Ignore


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alert stands: the message whose words hold, and the one that cancelled it."""

    words: Reference
    cancelled_by: Reference | None = None


def decide(known: Sequence[Noted], message: CapMessage) -> Decision:
    """Return what to do about a message that has just come, given all that came before."""
    same = next((one for one in known if one.name.key == message.name.key), None)
    if same is None:
        return _weigh(known, message)
    if not gives_way(same, message):
        return Ignore(Why.DUPLICATE)
    return _weigh([one for one in known if one is not same], message)


def follow(known: Sequence[Noted], held: Iterable[CapMessage]) -> tuple[CapMessage, Decision] | None:
    """Return the first of the held messages, by `sent`, whose time has come, and what to do about it; None when none has."""
    for message in sorted(held, key=lambda one: one.name):
        decision = _weigh([one for one in known if one.name.key != message.name.key], message)
        if not isinstance(decision, Hold):
            return message, decision
    return None


def gives_way(old: Noted, new: CapMessage) -> bool:
    """Whether a message of the same identifier takes an earlier one's place.

    Some send a cancel that names nothing and, seconds later, the same with its references: only the second can do its work.
    """
    return old.why is Why.NAMES_NONE and bool(new.references)


def noted(message: CapMessage, decision: Decision) -> Noted:
    """Return what is to be remembered of a message."""
    refers = message.references if message.kind in (Kind.UPDATE, Kind.CANCEL) else ()
    match decision:
        case Apply():
            return Noted(message.name, message.kind, refers, State.APPLIED)
        case Hold(why):
            return Noted(message.name, message.kind, refers, State.HELD, why)
        case Ignore(why):
            return Noted(message.name, message.kind, refers, State.IGNORED, why)


def standings(known: Iterable[Noted]) -> Mapping[Reference, Standing]:
    """Return where each alert stands."""
    counting = [one for one in known if one.state is State.APPLIED or one.why in _OF_THEIR_ALERT]
    naming: defaultdict[Reference, list[Noted]] = defaultdict(list)
    for one in counting:
        for named in one.refers_to:
            naming[named].append(one)
    return {one.name: _standing(one, naming) for one in counting if one.kind is Kind.ALERT}


def _standing(alert: Noted, naming: Mapping[Reference, Sequence[Noted]]) -> Standing:
    found = {alert.name: alert}
    ways = [alert.name]
    while ways:
        for one in naming.get(ways.pop(), ()):
            if one.name not in found:
                found[one.name] = one
                ways.append(one.name)
    cancels = [name for name, one in found.items() if one.kind is Kind.CANCEL]
    words = max(name for name, one in found.items() if one.kind is not Kind.CANCEL)
    return Standing(words, min(cancels, default=None))


def _weigh(known: Sequence[Noted], message: CapMessage) -> Decision:
    if why := _never(message):
        return Ignore(why)
    before, after = standings(known), standings([*known, noted(message, Apply(()))])
    mine = _alerts_of(known, message)
    if not mine:
        return Hold(Why.UNKNOWN if message.references else Why.NAMES_NONE)
    if steps := tuple(_steps(before, after)):
        return Apply(steps)
    over = all(after[alert].cancelled_by for alert in mine)
    return Ignore(Why.CANCELLED if over else Why.SUPERSEDED)


def _never(message: CapMessage) -> Why | None:
    """Why a message is never acted on, whatever else is known."""
    if message.status is not Status.ACTUAL:
        return Why.NOT_ACTUAL
    if message.scope is not Scope.PUBLIC:
        return Why.NOT_PUBLIC
    if message.kind in (Kind.ACK, Kind.ERROR):
        return Why.NO_NEWS
    if message.kind is not Kind.ALERT and any(named.sent > message.sent for named in message.references):
        return Why.OLDER
    return None


def _alerts_of(known: Sequence[Noted], message: CapMessage) -> set[Reference]:
    """Return the alerts a message is about: itself, or those it names, directly or through others."""
    if message.kind is Kind.ALERT:
        return {message.name}
    counting = {one.name: one for one in known if one.state is State.APPLIED or one.why in _OF_THEIR_ALERT}
    seen: set[Reference] = set()
    ways = list(message.references)
    while ways:
        name = ways.pop()
        if name in counting and name not in seen:
            seen.add(name)
            ways.extend(counting[name].refers_to)
    return {name for name in seen if counting[name].kind is Kind.ALERT}


def _steps(before: Mapping[Reference, Standing], after: Mapping[Reference, Standing]) -> Iterable[Step]:
    """Yield what turns one picture into the other; an alert that came after its cancel is never begun."""
    for alert, now in sorted(after.items()):
        was = before.get(alert)
        if now.cancelled_by:
            if was and not was.cancelled_by:
                yield Step(Move.CANCEL, alert, now.cancelled_by)
        elif was is None:
            yield Step(Move.NEW, alert, now.words)
        elif was.words != now.words:
            yield Step(Move.UPDATE, alert, now.words)
