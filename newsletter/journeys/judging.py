"""Whether the owners of wishes to join may be asked now: what is known of their mailboxes, and how much like it came lately."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from newsletter import mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.ledger import lanes
from newsletter.subscribers import held, signup, waves
from newsletter.subscribers.signup import SignupView, Wish
from newsletter.subscribers.waves import Taken, Why

TRAP = "#trap"
"""The form of a wish that a program filled in: what no person sees was written into. No page gives its form such a name."""


@dataclass(frozen=True, slots=True)
class To:
    """A wish whose owner is asked, and their mailbox."""

    one: SignupView
    wish: Wish
    mailbox_id: int


@dataclass(slots=True)
class _Box:
    """A mailbox while a batch is looked at. id None: there is none yet. unanswered: when its owner was asked."""

    address: EmailAddress
    id: int | None = None
    unanswered: list[datetime] = field(default_factory=list)


def judge(session: Session, found: Sequence[SignupView], *, now: datetime) -> list[To]:
    """Return those whose owners are asked now, which is written down; the others are held, refused or wait beside a question.

    A mailbox is made for those alone who are asked: of what is held nothing is left once it is undone.
    """
    boxes = _boxes(session, found, now=now)
    room = held.taken(session, [one.origin for one in found], alert=alert(session, now=now), now=now)
    asked: list[To] = []
    beside: list[tuple[int, _Box]] = []
    waits: defaultdict[Why, list[int]] = defaultdict(list)
    for one in found:
        box, wish = boxes.get(one.id), one.wish
        if box is None or wish is None:
            continue
        if not signup.may_ask(box.unanswered, now=now, came_at=one.came_at):
            beside.append((one.id, box))
        elif why := _why(room, one, now):
            waits[why].append(one.id)
        else:
            room.take(one.origin)
            box.unanswered.append(now)
            # Also where there is one: of whom was erased it holds no address.
            box.id = mailboxes.find_or_make(session, box.address)
            signup.asked(session, one.id, box.id, now=now)
            asked.append(To(one, wish, box.id))
    signup.refused(session, [one.id for one in found if one.id not in boxes])
    if beside:
        signup.beside(session, [(number, box.id or 0) for number, box in beside])
    for why, numbers in waits.items():
        signup.hold(session, numbers, why=why, now=now)
    return asked


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
        boxes.setdefault(live, _Box(address, box, asked.get(box or 0, [])))
    return {number: boxes[index[0][1]] for number, index in keys.items()}


def _address(wish: Wish | None) -> EmailAddress | None:
    if wish is None or wish.form == TRAP:
        return None
    try:
        return EmailAddress.parse(wish.address)
    except BadAddress:
        return None
