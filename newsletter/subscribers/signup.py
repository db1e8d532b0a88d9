"""A wish to join: kept sealed as it came, asked about once, and believed when the owner of the address says yes.

The page stores a row and knows nothing of anybody (standards §23). A worker opens it, decides whether its owner may be asked, and
brings in whoever answered. What nobody answered is forgotten after a month.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, text, update

from newsletter import turns
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.models.signup import Answer as Answer
from newsletter.models.signup import Signup
from newsletter.models.signup import SignupState as SignupState
from newsletter.subscribers import listed
from newsletter.subscribers.waves import NOWHERE, Origin, Why
from newsletter.turns import What
from newsletter.vault import CannotUnseal

PURPOSE = "signup"
BATCH = 500
TRIES, CODE_FOR = 5, timedelta(minutes=60)
KEPT = timedelta(days=31)
"""How long a wish is kept: as long as it counts against asking its owner again."""
ORIGIN_KEPT = timedelta(days=7)
"""How long it is known where a wish came from, as digests: as long as an attack is looked into."""
AGAIN_AFTER = timedelta(minutes=15)
REFUSED_FOR = timedelta(days=30)
"""How long nobody is asked who said that they had not asked for it."""
LIMITS = ((timedelta(days=1), 2), (timedelta(days=30), 4))
"""How many questions that nobody answered one inbox gets at most, within how long, whichever way its address is written."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for on a form.

    address     as it was written, and can be parsed
    choices     rhythm by the key of a digest
    wording     what they agreed to, as it stood on the form; "" where it showed nothing that we know of
    shown       where that was (`agreements.Shown`)
    given       the version of it that the form named
    form        which form: "page", "api", or the name an embedded one gave itself
    page        the address of the page it stood on, "" where no browser said
    network     the truncated address the request came from: "203.0.113.0/24"
    listed      a list named them, and an operator asks: they asked for nothing. No form can say so
    """

    address: str
    language: str
    choices: Mapping[str, str]
    name: str = ""
    wording: str = ""
    form: str = "page"
    page: str = ""
    network: str = ""
    shown: str = ""
    given: str = ""
    listed: bool = False


@dataclass(frozen=True, slots=True)
class SignupView:
    """A wish that a worker looks at.

    answered_wording   the version of the words by which its owner said yes; "" where there were none
    wish               None: it cannot be opened
    released, vouched  an operator let it through; an operator asked (`vouch`), and no stranger sent it
    named              the digests that the mail named which asked about it
    """

    id: int
    mailbox_id: int | None
    came_at: datetime
    answered_at: datetime | None
    answered_by: Answer | None
    answered_wording: str
    wish: Wish | None
    origin: Origin = NOWHERE
    released: bool = False
    vouched: bool = False
    named: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the owner of a mailbox. named: the digests in its mail, while that can be answered.

    inbox        the digest of where that mailbox's mail ends; empty: asked before this was kept
    refused_at   when they said that they had not asked for it
    listed       it is about what a list named them for: its mail may come in weeks
    """

    mailbox_id: int
    inbox: bytes
    asked_at: datetime
    answered_at: datetime | None
    named: frozenset[int]
    refused_at: datetime | None = None
    listed: bool = False


def still_open(found: Collection[Asked]) -> list[Asked]:
    """Return those that were asked since the last answer to any of them, the latest last."""
    last = max((one.answered_at for one in found if one.answered_at), default=datetime.min.replace(tzinfo=UTC))
    return sorted((one for one in found if one.asked_at > last), key=lambda one: one.asked_at)


def has_refused(found: Collection[Asked], *, now: datetime) -> bool:
    """Whether the owner of an inbox said lately that they had not asked for it, and nothing else since.

    Nobody but they end that: by a yes to another question, or by answering that mail anew (`declining.take_back`).
    """
    said = max((one.refused_at for one in found if one.refused_at), default=None)
    if said is None or now - said >= REFUSED_FOR:
        return False
    return not any(one.answered_at and one.answered_at > said for one in found)


def may_ask(unanswered: Sequence[datetime], *, now: datetime) -> bool:
    """Whether the owner of an inbox may be asked once more.

    unanswered   when they were asked since they last answered anything, within the last 30 days, at whatever address of theirs

    One question, once more after a quarter of an hour, two a day, four a month (standards §23).
    """
    if unanswered and now - max(unanswered) < AGAIN_AFTER:
        return False
    return all(sum(now - asked < span for asked in unanswered) < most for span, most in LIMITS)


def next_chance(unanswered: Sequence[datetime]) -> datetime | None:
    """Return from when the owner of a mailbox may be asked once more by themselves; None: only once they answered anything.

    A quarter of an hour later, and not when the day or the month has its questions: else a stranger's forms would be mailed about
    for weeks.
    """
    then = max(unanswered) + AGAIN_AFTER
    return then if may_ask(unanswered, now=then) else None


def answer_for(one: SignupView, digest_ids: Collection[int], answers: Sequence[SignupView]) -> SignupView | None:
    """Return the answer by which a wish came true, or None where nobody said yes to it.

    digest_ids   what it asks for

    A yes is one to what its mail named, and to nothing else: also to another wish, where that asks for no more and came before.
    """
    if one in answers:
        return one
    later = (said for said in reversed(answers) if said.answered_at and said.answered_at >= one.came_at)
    return next((said for said in later if said.named.issuperset(digest_ids)), None)


def add(
    session: Session,
    pending: str,
    wish: Wish,
    *,
    now: datetime,
    origin: Origin = Origin(),
    digest_ids: Sequence[int] = (),
) -> int:
    """Store a wish and return its number. The same statements whatever it holds.

    pending      the secret that its page is given: a code counts only beside it
    digest_ids   what it asks for, so that operators can tell waves apart
    """
    number: int = session.execute(text("SELECT nextval(pg_get_serial_sequence('signup', 'id'))")).scalar_one()
    facts = {
        "id": number,
        "pending": session.vault.digest(PURPOSE, pending),
        "sealed": session.vault.seal("signup", "wish", number, json.dumps(asdict(wish), ensure_ascii=False)),
        "now": now,
        "form": wish.form if _FORM(wish.form) else "",
        "digests": list(digest_ids),
    }
    session.execute(_ADD, facts | asdict(origin))
    return number


# A name that we or an organisation's own page gave: what anybody else writes there is not kept in clear.
_FORM = re.compile("[a-z0-9-]{1,40}").fullmatch
_ADD = text("""
    INSERT INTO signup (id, pending, wish_sealed, came_at, client, net, provider, quick, proved, form, digest_ids)
    OVERRIDING SYSTEM VALUE
    VALUES (:id, :pending, :sealed, :now, :client, :net, :provider, :quick, :proved, :form, CAST(:digests AS bigint[]))
""")


def vouch(session: Session, signup_id: int, *, now: datetime, mailbox_id: int | None = None) -> None:
    """Say that an operator asks, the owner of a mailbox where it is known: no limit holds it, these are for what strangers send."""
    _become(session, signup_id, released_at=now, mailbox_id=mailbox_id)


def claim(session: Session) -> bool:
    """Whether this worker may deal with wishes now: one at a time, so that nobody is asked twice by two of them."""
    return turns.take(session, What.SIGNUPS)


def wait(session: Session) -> None:
    """Let no worker deal with wishes until the transaction ends; one that is at it ends first."""
    turns.wait(session, What.SIGNUPS)


def due(session: Session, *, but: Collection[int]) -> list[int]:
    """Return the oldest wishes that nobody has looked at, and the oldest whose owners said yes: a batch of each at most."""
    found: list[int] = []
    for these in (_NEW, _UNSETTLED):
        oldest = select(Signup.id).where(these, Signup.id.not_in(but)).order_by(Signup.id).limit(BATCH)
        found += session.execute(oldest).scalars()
    return found


def waiting(session: Session, signup_ids: Collection[int]) -> list[SignupView]:
    """Return those of some wishes that nobody has looked at. Whoever has the claim calls it."""
    query = select(Signup).where(_NEW, Signup.id.in_(signup_ids)).order_by(Signup.id)
    return [_view(session, one) for one in session.execute(query).scalars()]


def any_due(session: Session) -> bool:
    """Whether there is anything to look at, to settle or to forget."""
    new = (Signup.state == SignupState.WAITING, Signup.state == SignupState.HELD, _UNSETTLED, _TO_UNDO)
    again = select(func.min(Signup.again_at)).where(_UNNAMED).scalar_subquery()
    # The least of each instead of whether there is one: so PostgreSQL takes the index of each, whatever it guesses of their number.
    due: list[ColumnElement[bool]] = [
        select(func.min(Signup.id)).where(one).scalar_subquery().is_not(None) for one in new
    ]
    known = select(func.min(Signup.came_at)).where(Signup.client.is_not(None)).scalar_subquery()
    # Whoever refused is kept for a month from then on, and looked at by `forget` when others are.
    oldest = select(func.min(Signup.came_at)).where(Signup.refused_at.is_(None)).scalar_subquery()
    due += [again <= func.now(), known < func.now() - ORIGIN_KEPT, oldest < func.now() - KEPT]
    return bool(session.execute(select(func.coalesce(or_(*due), False))).scalar_one())


_NEW = (Signup.state == SignupState.WAITING) & Signup.undone_at.is_(None)
_UNSETTLED = (
    Signup.answered_at.is_not(None)
    & (Signup.state != SignupState.SETTLED)
    & (Signup.state != SignupState.UNDONE)
    & Signup.undone_at.is_(None)
)
_TO_UNDO = Signup.undone_at.is_not(None) & (Signup.state != SignupState.UNDONE)
_UNNAMED = (Signup.state == SignupState.BESIDE) & Signup.again_at.is_not(None) & Signup.undone_at.is_(None)


def inbox(session: Session, address: EmailAddress) -> list[bytes]:
    """Return the keyed digests of the inbox of an address, that under the live index key first.

    Once an older index key is dropped, questions from under it are counted by their mailbox alone: for a month at most.
    """
    return [digest for _, digest in session.vault.index(f"inbox {address.inbox}")]


def questions(session: Session, mailbox_ids: Iterable[int], inboxes: Iterable[bytes], *, now: datetime) -> list[Asked]:
    """Return what the owners of mailboxes, and of those of the same inboxes, were asked within a month, and their answers."""
    since = now - max(span for span, _ in LIMITS)
    rows = session.execute(_QUESTIONS, {"ids": list(mailbox_ids), "inboxes": list(inboxes), "since": since})
    return [
        Asked(
            row.mailbox_id, row.inbox, row.asked_at, row.answered_at, frozenset(row.named), row.refused_at, row.listed
        )
        for row in rows
    ]


_QUESTIONS = text(f"""
    SELECT mailbox_id, coalesce(inbox, '') AS inbox, coalesce(asked_at, came_at) AS asked_at, answered_at, refused_at,
        CASE WHEN undone_at IS NULL AND state <> 'refused' THEN named ELSE '{{}}' END AS named, {listed.IS} AS listed
    FROM signup
    WHERE (mailbox_id = ANY (CAST(:ids AS bigint[])) OR inbox = ANY (CAST(:inboxes AS bytea[])))
        AND mailbox_id IS NOT NULL AND (asked_at > :since OR answered_at IS NOT NULL OR refused_at IS NOT NULL)
""")  # noqa: S608


def asked(
    session: Session, signup_id: int, mailbox_id: int, *, inbox: bytes, named: Sequence[int], now: datetime
) -> None:
    """Write down that its owner is being asked, by a mail that names these digests."""
    facts = {"mailbox_id": mailbox_id, "inbox": inbox, "asked_at": now, "named": list(named)}
    _become(session, signup_id, state=SignupState.ASKED, **facts)


def worded(session: Session, signup_ids: Iterable[int], wording: str) -> None:
    """Write down the version of the words in the mail that asks about wishes: whoever answers it has read those."""
    these = update(Signup).where(Signup.id.in_(list(signup_ids))).values(answered_wording=wording)
    session.execute(these.execution_options(synchronize_session=False))


def beside(session: Session, found: Iterable[tuple[int, int | None, bytes, datetime | None]]) -> None:
    """Write down that wishes wait for the answer to another question.

    found   a wish, its mailbox where it has one (another address of its inbox may have been asked), its inbox, and from when its
            owner is asked about it by itself; None: once they answer, if it was not named
    """
    numbers, boxes, inboxes, moments = map(list, zip(*found, strict=True))
    session.execute(_BESIDE, {"ids": numbers, "boxes": boxes, "inboxes": inboxes, "moments": moments})


_BESIDE = text("""
    UPDATE signup s SET state = 'beside', mailbox_id = v.box, inbox = v.inbox, again_at = v.moment
    FROM unnest(CAST(:ids AS bigint[]), CAST(:boxes AS bigint[]), CAST(:inboxes AS bytea[]), CAST(:moments AS timestamptz[]))
        AS v (id, box, inbox, moment)
    WHERE s.id = v.id
""")


def are_named(session: Session, mailbox_ids: Iterable[int]) -> None:
    """Write down that a mail names all that waits for the answer to a question of these mailboxes."""
    session.execute(_ARE_NAMED, {"ids": list(mailbox_ids)})


_ARE_NAMED = text("""
    UPDATE signup SET again_at = NULL
    WHERE mailbox_id = ANY (CAST(:ids AS bigint[])) AND state = 'beside' AND again_at IS NOT NULL
""")


def look_again(session: Session, *, now: datetime) -> None:
    """Let wishes be looked at that no mail named, and whose owners may be asked again."""
    due = select(Signup.id).where(_UNNAMED, Signup.again_at <= now).order_by(Signup.again_at).limit(BATCH)
    look_at(session, session.execute(due.with_for_update(skip_locked=True)).scalars())


def look_at(session: Session, signup_ids: Iterable[int]) -> None:
    """Let those of some wishes be looked at anew that wait beside another one; whose own question went out has that."""
    these = update(Signup).where(Signup.id.in_(list(signup_ids)), Signup.state == SignupState.BESIDE)
    anew = these.values(state=SignupState.WAITING, again_at=None)
    session.execute(anew.execution_options(synchronize_session=False))


def look_at_inboxes(session: Session, answered_ids: Iterable[int]) -> None:
    """Let wishes be looked at anew that waited for the answer to a question at another address of their inbox."""
    session.execute(_INBOXES, {"ids": list(answered_ids)})


_INBOXES = text("""
    UPDATE signup s SET state = 'waiting', again_at = NULL
    WHERE s.state = 'beside' AND s.undone_at IS NULL
        AND s.inbox IN (SELECT inbox FROM signup WHERE id = ANY (CAST(:ids AS bigint[])) AND answered_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM signup q WHERE q.mailbox_id = s.mailbox_id AND q.state = 'asked')
""")


def refused(session: Session, signup_ids: Iterable[int]) -> None:
    """Write down that nothing follows from wishes."""
    these = update(Signup).where(Signup.id.in_(list(signup_ids)))
    session.execute(these.values(state=SignupState.REFUSED).execution_options(synchronize_session=False))


def hold(session: Session, signup_ids: Iterable[int], *, why: Why, now: datetime) -> None:
    """Write down that wishes wait for room, or for an operator."""
    these = update(Signup).where(Signup.id.in_(list(signup_ids)))
    held = these.values(state=SignupState.HELD, held_why=why, held_at=func.coalesce(Signup.held_at, now))
    session.execute(held.execution_options(synchronize_session=False))


def came_of(session: Session, signup_id: int, *, events: Sequence[int], made_person: int | None) -> None:
    """Write down what came of a wish: events of consent, and the person where they were nobody before."""
    _become(session, signup_id, events=list(events), made_person=made_person)


def _become(session: Session, signup_id: int, **facts: Any) -> None:
    session.execute(update(Signup).where(Signup.id == signup_id).values(**facts))


def answer(session: Session, signup_id: int, *, by: Answer, now: datetime, wording: str = "") -> bool:
    """Write down that its owner said yes; return False where there is no such wish any more. Safe to repeat.

    wording   the version of the words on the page on which they did; "" where there were none. By a reply they are the mail's
    """
    facts = {"id": signup_id, "by": by, "now": now, "wording": wording or None, "replied": by is Answer.REPLY}
    return session.execute(_ANSWER, facts).rowcount > 0  # type: ignore[attr-defined, no-any-return]


# Only what was asked about can be answered: by whoever got the mail. Until it is heard the last yes counts: a no may be before it.
_ANSWER = text("""
    UPDATE signup SET answered_at = CASE WHEN state = 'settled' THEN answered_at ELSE greatest(answered_at, :now) END,
        answered_by = CASE WHEN answered_at IS NULL THEN :by ELSE answered_by END,
        answered_wording = CASE WHEN answered_at IS NULL AND NOT :replied THEN :wording ELSE answered_wording END
    WHERE id = :id AND asked_at IS NOT NULL AND undone_at IS NULL AND state <> 'refused'
""")


def is_asked(session: Session, signup_id: int) -> bool:
    """Whether its owner was asked and has not said no: a yes counts."""
    these = (Signup.asked_at.is_not(None), Signup.undone_at.is_(None), Signup.state != SignupState.REFUSED)
    return session.execute(select(Signup.id).where(Signup.id == signup_id, *these)).first() is not None


def open_wish(session: Session, signup_id: int, *, settled: bool = False) -> Wish | None:
    """Return what was asked for where its owner was asked and has not answered, or where it came true; None for all else."""
    unheard = and_(Signup.state == SignupState.ASKED, Signup.answered_at.is_(None))
    these = (Signup.state == SignupState.SETTLED if settled else unheard, Signup.undone_at.is_(None))
    found = session.execute(select(Signup).where(Signup.id == signup_id, *these)).scalar_one_or_none()
    return opened(session, found) if found else None


def mailbox_of(session: Session, signup_id: int) -> int | None:
    """Return the mailbox whose owner was asked; None where that is forgotten, or was never."""
    return session.execute(select(Signup.mailbox_id).where(Signup.id == signup_id)).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Try:
    """A code that is being tried. number: the wish of its form; left: how many tries remain.

    Both are the same whether or not there is anything to confirm: else the page would tell who was not asked.
    """

    number: int
    left: int


def count_try(session: Session, pending: str, *, now: datetime) -> Try | None:
    """Count a try at the code of a form, and say which wish it is for: five tries, within an hour of the form. None: none is left.

    By the form's hour alone: that of the question would show whether there was one. Whoever believes a code counts again.
    """
    facts = {"pending": session.vault.digest(PURPOSE, pending), "most": TRIES, "since": now - CODE_FOR}
    found = session.execute(_TRY, facts).one_or_none()
    return Try(found.id, TRIES - found.tries) if found else None


_TRY = text("""
    UPDATE signup SET tries = tries + 1 WHERE pending = :pending AND tries < :most AND came_at > :since
    RETURNING tries, id
""")


def answered(session: Session, signup_ids: Collection[int]) -> list[SignupView]:
    """Return those of some wishes whose owners said yes, with all that their mailboxes asked for besides and have not got."""
    first = select(Signup.mailbox_id).where(_UNSETTLED, Signup.id.in_(signup_ids))
    pending = Signup.state.in_([SignupState.ASKED, SignupState.BESIDE]) & Signup.undone_at.is_(None)
    query = select(Signup).where(Signup.mailbox_id.in_(first.scalar_subquery()), pending).order_by(Signup.id)
    return [_view(session, one) for one in session.execute(query).scalars()]


def settled(session: Session, signup_ids: Iterable[int], *, by: Answer, now: datetime) -> None:
    """Write down that their owner has what they asked for."""
    facts = {"ids": list(signup_ids), "by": by, "now": now}
    session.execute(_SETTLED, facts)


_SETTLED = text("""
    UPDATE signup SET state = 'settled', again_at = NULL,
        answered_at = coalesce(answered_at, :now), answered_by = coalesce(answered_by, :by)
    WHERE id = ANY (CAST(:ids AS bigint[]))
""")


def forget(session: Session, *, now: datetime) -> list[int]:
    """Delete the wishes whose time is over, and whence older ones came; return the mailboxes for which no other wish is."""
    known = (Signup.client.is_not(None), Signup.came_at < now - ORIGIN_KEPT)
    session.execute(update(Signup).where(Signup.id.in_(_free(*known))).values(client=None, net=None))
    over = (Signup.came_at < now - KEPT, or_(Signup.refused_at.is_(None), Signup.refused_at < now - REFUSED_FOR))
    gone = delete(Signup).where(Signup.id.in_(_free(*over))).returning(Signup.mailbox_id)
    boxes = {box for box in session.execute(gone).scalars() if box is not None}
    left = select(Signup.mailbox_id).where(Signup.mailbox_id.in_(boxes))
    return sorted(boxes - set(session.execute(left).scalars()))


def _free(*these: ColumnElement[bool]) -> Select[Any]:
    """Those of some wishes that nobody holds: the pages' role may hold any, and the others are not to wait for it."""
    return select(Signup.id).where(*these).with_for_update(skip_locked=True)


def _view(session: Session, found: Signup) -> SignupView:
    origin = Origin(found.client, found.net, found.provider, found.quick, found.proved)
    return SignupView(
        found.id,
        found.mailbox_id,
        found.came_at,
        found.answered_at,
        Answer(found.answered_by) if found.answered_by else None,
        found.answered_wording or "",
        opened(session, found),
        origin=origin,
        released=found.released_at is not None,
        vouched=found.released_at is not None and found.held_at is None,
        named=frozenset(found.named),
    )


def opened(session: Session, found: Signup) -> Wish | None:
    """Return what somebody asked for; None where it is damaged: one such row must not keep the others waiting."""
    try:
        return Wish(**json.loads(session.vault.unseal("signup", "wish", found.id, found.wish_sealed)))
    except (CannotUnseal, ValueError, TypeError):
        return None
