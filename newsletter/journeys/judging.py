"""Whether the owners of wishes to join may be asked now: what is known of their mailboxes, and how much like it came lately."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from newsletter import mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.ledger import lanes
from newsletter.subscribers import held, naming, signup, waves
from newsletter.subscribers.signup import Asked, SignupView, Wish
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
    """A mailbox while a batch is looked at. id None: there is none yet.

    inbox        the digest of where its mail ends
    unanswered   when the owner of that inbox was asked: one list for all mailboxes that share it
    named        the digests in the mails that asked at this address, but because of lists; latest: when the last of them did
    asked        its owner is asked by this batch, and the mail names all that waits beside it
    by_list      its owner is being asked because of a list: one question is for all of these
    refused      the owner of that inbox said lately that they had not asked for it
    """

    address: EmailAddress
    inbox: bytes
    unanswered: list[datetime]
    id: int | None = None
    named: frozenset[int] = frozenset()
    latest: datetime | None = None
    asked: bool = False
    by_list: bool = False
    refused: bool = False


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
    refused: list[int] = []
    for one in found:
        box, wish = boxes.get(one.id), one.wish
        if box is None or wish is None or box.refused:
            refused.append(one.id)
            continue
        if (
            _old(box, one, now)
            or _mailed_since(box, one, _wanted(wish, keys))
            or (wish.listed and box.by_list)
            or not signup.may_ask(box.unanswered, now=now)
        ):
            beside.append((one, wish, box))
        elif why := _why(room, one, now):
            waits[why].append(one.id)
        else:
            if not one.vouched:
                room.take(one.origin)
            box.unanswered.append(now)
            # Also where there is one: of whom was erased it holds no address.
            box.id = mailboxes.find_or_make(session, box.address)
            # What is asked because of a list may be mailed in weeks: no wish of its owner's own waits for that mail.
            box.by_list, box.asked = box.by_list or wish.listed, box.asked or not wish.listed
            asked.append((one, wish, box))
    signup.refused(session, refused)
    if beside:
        again = [
            (one.id, box.id, box.inbox, None if _old(box, one, now) else _again(box, wish, _wanted(wish, keys)))
            for one, wish, box in beside
        ]
        signup.beside(session, again)
    for why, numbers in waits.items():
        signup.hold(session, numbers, why=why, now=now)
    return _asked(session, asked, keys, now)


def _wanted(wish: Wish, keys: Mapping[str, int]) -> list[int]:
    return [keys[key] for key in wish.choices if key in keys]


def _old(box: _Box, one: SignupView, now: datetime) -> bool:
    """Whether a wish was held for a day and its inbox was asked since it came: it waits for an answer, at whatever address."""
    return now - one.came_at >= signup.LIMITS[0][0] and any(one.came_at < asked for asked in box.unanswered)


def _mailed_since(box: _Box, one: SignupView, wanted: list[int]) -> bool:
    """Whether a question was mailed after a wish came and names all of it: it asks about that wish as well."""
    return box.latest is not None and one.came_at < box.latest and box.named.issuperset(wanted)


def _again(box: _Box, wish: Wish, wanted: list[int]) -> datetime | None:
    """Return from when to ask about a wish by itself; None where a mail that its owner has names all of it, or no more may go.

    Whom a list is asking hears nothing of another list before they answer: if they do, they are asked about that as well.
    """
    named = box.asked or box.named.issuperset(wanted) or (wish.listed and box.by_list)
    return None if named else signup.next_chance(box.unanswered)


def _asked(
    session: Session, found: list[tuple[SignupView, Wish, _Box]], keys: Mapping[str, int], now: datetime
) -> list[To]:
    """Write down who is asked, each about all that is pending for them: their yes is one to what the mail names.

    Whom a list named is asked about what lists named them for: for what may be a stranger's form that mail has no words.
    """
    boxes = [box.id or 0 for _, _, box in found]
    pending = naming.pending(session, boxes) if found else {}
    of_lists = naming.of_lists(session, boxes) if found else {}
    tos = []
    for number, (one, wish, box) in zip(boxes, found, strict=True):
        waits = (of_lists if wish.listed else pending).get(number, ())
        names = tuple(dict.fromkeys([*_wanted(wish, keys), *waits]))
        signup.asked(session, one.id, number, inbox=box.inbox, named=names, now=now)
        tos.append(To(one, wish, number, names))
    if found:
        signup.are_named(
            session, [number for number, (_, wish, _) in zip(boxes, found, strict=True) if not wish.listed]
        )
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
    inboxes = {number: signup.inbox(session, address) for number, address in addresses.items()}
    asked = signup.questions(session, known.values(), chain.from_iterable(inboxes.values()), now=now)
    live = {digest: digests[0] for digests in inboxes.values() for digest in digests}
    at = {box: inboxes[number][0] for number, index in keys.items() if (box := known.get(index[0][1]))}
    ending, own = _sorted(asked, live, at)
    unanswered = {inbox: [one.asked_at for one in signup.still_open(theirs)] for inbox, theirs in ending.items()}
    closed = {inbox for inbox, theirs in ending.items() if signup.has_refused(theirs, now=now)}
    boxes: dict[bytes, _Box] = {}
    for number, address in addresses.items():
        index, inbox = keys[number][0][1], inboxes[number][0]
        box = known.get(index)
        here = signup.still_open(own.get(box or 0, ()))
        mailed = [one for one in here if not one.listed]
        named = frozenset(chain.from_iterable(one.named for one in mailed))
        latest = mailed[-1].asked_at if mailed else None
        made = _Box(address, inbox, unanswered.setdefault(inbox, []), box, named, latest, refused=inbox in closed)
        made.by_list = any(one.listed and one.named for one in here)
        boxes.setdefault(index, made)
    return {number: boxes[index[0][1]] for number, index in keys.items()}


def _sorted(
    asked: Iterable[Asked], live: Mapping[bytes, bytes], at: Mapping[int, bytes]
) -> tuple[dict[bytes, list[Asked]], dict[int, list[Asked]]]:
    """Return questions by the inbox that they ended in, and by mailbox.

    live   the digest of an inbox under the live key, by that under each key
    at     the inbox of a mailbox: for what was asked before inboxes were kept
    """
    ending: defaultdict[bytes, list[Asked]] = defaultdict(list)
    own: defaultdict[int, list[Asked]] = defaultdict(list)
    for one in asked:
        if inbox := live.get(one.inbox) or at.get(one.mailbox_id):
            ending[inbox].append(one)
        own[one.mailbox_id].append(one)
    return ending, own


def _address(wish: Wish | None) -> EmailAddress | None:
    if wish is None or wish.form == TRAP:
        return None
    try:
        return EmailAddress.parse(wish.address)
    except BadAddress:
        return None
