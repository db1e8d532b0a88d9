"""Whether the owners of wishes to join may be asked now: what is known of their mailboxes, and how much like it came lately."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from newsletter import mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.ledger import lanes
from newsletter.subscribers import held, signup, waves
from newsletter.subscribers.signup import Open, SignupView, Wish
from newsletter.subscribers.waves import Taken, Why

TRAP = "#trap"
"""The form of a wish that a program filled in: what no person sees was written into. No page gives its form such a name."""


@dataclass(frozen=True, slots=True)
class To:
    """A wish whose owner is asked, their mailbox, and the digests that the mail names."""

    one: SignupView
    wish: Wish
    mailbox_id: int
    names: tuple[int, ...]


@dataclass(slots=True)
class _Box:
    """A mailbox while a batch is looked at. id None: there is none yet. unanswered: when its owner was asked.

    named   the digests in the mails that asked
    asked   its owner is asked by this batch, and the mail names all that waits beside it
    """

    address: EmailAddress
    id: int | None = None
    unanswered: list[datetime] = field(default_factory=list)
    named: frozenset[int] = frozenset()
    asked: bool = False


def judge(session: Session, found: Sequence[SignupView], *, keys: Mapping[str, int], now: datetime) -> list[To]:
    """Return those whose owners are asked now, which is written down; the others are held, refused or wait beside a question.

    keys   the number of each digest by its key

    A mailbox is made for those alone who are asked: of what is held nothing is left once it is undone.
    """
    boxes = _boxes(session, found, now=now)
    room = held.taken(session, [one.origin for one in found], alert=alert(session, now=now), now=now)
    asked: list[tuple[SignupView, Wish, _Box]] = []
    beside: list[tuple[SignupView, Wish, _Box]] = []
    waits: defaultdict[Why, list[int]] = defaultdict(list)
    for one in found:
        box, wish = boxes.get(one.id), one.wish
        if box is None or wish is None:
            continue
        named = one.came_at if box.named.issuperset(_wanted(wish, keys)) else None
        if not signup.may_ask(box.unanswered, now=now, came_at=named):
            beside.append((one, wish, box))
        elif why := _why(room, one, now):
            waits[why].append(one.id)
        else:
            room.take(one.origin)
            box.unanswered.append(now)
            # Also where there is one: of whom was erased it holds no address.
            box.id, box.asked = mailboxes.find_or_make(session, box.address), True
            asked.append((one, wish, box))
    signup.refused(session, [one.id for one in found if one.id not in boxes])
    if beside:
        again = [(one.id, box.id or 0, _again(box, _wanted(wish, keys))) for one, wish, box in beside]
        signup.beside(session, again)
    for why, numbers in waits.items():
        signup.hold(session, numbers, why=why, now=now)
    return _asked(session, asked, keys, now)


def _wanted(wish: Wish, keys: Mapping[str, int]) -> list[int]:
    return [keys[key] for key in wish.choices if key in keys]


def _again(box: _Box, wanted: list[int]) -> datetime | None:
    """Return from when to ask about a wish by itself; None where a mail that its owner has names all of it, or no more may go."""
    named = box.asked or box.named.issuperset(wanted)
    return None if named else signup.next_chance(box.unanswered)


def _asked(
    session: Session, found: list[tuple[SignupView, Wish, _Box]], keys: Mapping[str, int], now: datetime
) -> list[To]:
    """Write down who is asked, each about all that is pending for them: their yes is one to what the mail names."""
    asked = [(one, wish, box.id or 0) for one, wish, box in found]
    pending = signup.pending(session, [box for _, _, box in asked]) if asked else {}
    tos = []
    for one, wish, box in asked:
        names = tuple(dict.fromkeys([*_wanted(wish, keys), *pending.get(box, ())]))
        signup.asked(session, one.id, box, named=names, now=now)
        tos.append(To(one, wish, box, names))
    if asked:
        signup.are_named(session, [box for _, _, box in asked])
    return tos


def alert(session: Session, *, now: datetime) -> bool:
    """Whether an alert brings people now."""
    return lanes.alert_since(session, now - waves.ALERT_LASTS)


def _why(room: Taken, one: SignupView, now: datetime) -> Why | None:
    return None if one.released else room.why_held(one.origin, came_at=one.came_at, now=now)


def _boxes(session: Session, found: Sequence[SignupView], *, now: datetime) -> dict[int, _Box]:
    """Return the mailbox of each wish, one for all of an address; missing: a program's, damaged, or no address."""
    addresses = {one.id: address for one in found if (address := _address(one.wish))}
    keys = {number: session.vault.index(address.normal) for number, address in addresses.items()}
    known = mailboxes.find_all(session, list(keys.values()))
    asked = signup.unanswered(session, known.values(), now=now)
    boxes: dict[bytes, _Box] = {}
    for number, address in addresses.items():
        live = keys[number][0][1]
        box = known.get(live)
        was = asked.get(box or 0, Open())
        boxes.setdefault(live, _Box(address, box, list(was.moments), was.named))
    return {number: boxes[index[0][1]] for number, index in keys.items()}


def _address(wish: Wish | None) -> EmailAddress | None:
    if wish is None or wish.form == TRAP:
        return None
    try:
        return EmailAddress.parse(wish.address)
    except BadAddress:
        return None
