"""What an alert means for the ones before it: an update replaces them, a retraction waits until they are off the wire.

So does an update, for those alone whom a worker has one of them on the wire for: the newer never comes before the older.

A language that comes later stands beside the alert of which it is one, and under the mail that its reader had of that.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from newsletter import database
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.ledger import deliveries, mailings, translating, wire
from newsletter.ledger.mailings import Kind, MailingView, State

TRANSLATED = frozenset({State.SENDING, State.PAUSED, State.DONE})
"""What takes a further language: it is on its way, or has gone to all."""

REST, LONGEST_REST = timedelta(seconds=0.2), timedelta(seconds=10)
"""How long a shard rests at least and at most in which all wait for the older mail: a quick relay answers within the first."""


class Retracted(Conflict):
    """The alert was taken back: nothing follows it. What is to be said now is an alert of its own."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.was-retracted", mailing=mailing_id)


class NotRetracted(Conflict):
    """Nobody took the alert back, so what would take it back does not go."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.not-retracted", mailing=mailing_id)


class OnTheWire(Conflict):
    """Windows of the alert are still open: who has it is not known yet."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.on-the-wire", mailing=mailing_id)


class Growing(OnTheWire):
    """Not all who get the alert have their row yet, so nobody knows who waits for a further language."""

    def __init__(self, mailing_id: int) -> None:
        Conflict.__init__(self, "alert.growing", mailing=mailing_id)


class Followed(Conflict):
    """Another alert has followed this one already, so that one is followed: two beside each other would both stand."""

    def __init__(self, mailing_id: int, newer: int | None) -> None:
        super().__init__("alert.followed-already", mailing=mailing_id, newer=newer)


class OfAnother(Conflict):
    """The alert is a later language of another one: that is followed, or given a further language."""

    def __init__(self, mailing_id: int, of: int) -> None:
        super().__init__("alert.of-another", mailing=mailing_id, of=of)


class OtherDigest(Conflict):
    """What follows an alert is for the readers of another digest: those who wait for the alert would hear of neither."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.other-digest", mailing=mailing_id)


class NotGoing(Conflict):
    """No language is added to an alert that has not begun, or was ended: nobody waits for it."""

    def __init__(self, mailing_id: int, state: State) -> None:
        super().__init__("alert.not-going", mailing=mailing_id, state=state)


def require(session: Session, mailing_id: int, *, digest: int | None, by: int | None = None) -> None:
    """Raise Retracted, Followed, OfAnother or OtherDigest where an alert cannot be followed by another. Raises UnknownMailing.

    digest   of whose readers the one is that follows
    by       the one that follows; None: one that is yet to be written
    """
    view = mailings.get(session, mailing_id)
    if view.digest_id != digest:
        raise OtherDigest(mailing_id)
    if view.state is State.RETRACTED:
        raise Retracted(mailing_id)
    if view.translates is not None:
        raise OfAnother(mailing_id, view.translates)
    if (newer := mailings.follower(session, mailing_id, but=by)) is not None:
        raise Followed(mailing_id, newer)


def require_going(session: Session, mailing_id: int, *, held: bool = False) -> MailingView:
    """Return an alert that takes a further language: on its way or gone to all. Raises NotGoing, Followed, OfAnother.

    held   nobody else ends it until the transaction is over: asked for last, since whoever stops it waits for that
    """
    view = mailings.take(session, mailing_id) if held else mailings.get(session, mailing_id)
    if view.translates is not None:
        raise OfAnother(mailing_id, view.translates)
    if view.state not in TRANSLATED:
        raise NotGoing(mailing_id, view.state)
    if (newer := mailings.follower(session, mailing_id)) is not None:
        raise Followed(mailing_id, newer)
    return view


def require_grown(session: Session, mailing: MailingView) -> None:
    """Raise Growing where readers of a later language may still get a row of its alert, or of another such language."""
    alert = mailings.get(session, mailing.translates or mailing.id)
    wanted, later = (translating.terms(mailing).get("languages", []), translating.terms(alert).get("later", []))
    if alert.growing and not set(wanted) <= set(later):
        raise Growing(alert.id)
    for one in mailings.translations(session, alert.id):
        if one.growing and one.id != mailing.id:
            raise Growing(one.id)


def supersede(session: Session, update: MailingView, *, now: datetime) -> list[int]:
    """End what an update follows, in all its languages, as far as it has not gone; return which alerts that ended.

    Raises Retracted, OfAnother, OtherDigest.

    Nothing more of them goes from the commit on. Their rows are cancelled afterwards, by whoever released it or by the sweep:
    the update does not wait for a million of them.
    """
    before = mailings.followed(session, update.id)
    every = mailings.take_all(
        session, lambda: [two for one in before for two in mailings.in_all_languages(session, one)]
    )
    if before:  # asked with it in our hands: whoever took it back a moment ago is heard
        require(session, before[0], digest=update.digest_id, by=update.id)
    # Not before the update was planned: by that it is known that nobody stopped them (`ledger.hushed`).
    ended_at = max(now, database.now(session))
    return [one for one in every if _end(session, mailings.get(session, one), now=ended_at)]


def overtaken(session: Session, mailing: MailingView, readers: Sequence[int]) -> set[int]:
    """Return which of these mailboxes would have an alert before the one that it follows, in whatever language: they wait."""
    before = mailings.followed(session, mailing.translates or mailing.id)
    every = [two for one in before for two in mailings.in_all_languages(session, one)]
    return wire.reaching(session, every, readers) if every and readers else set()


def rest(planned_at: datetime, *, now: datetime) -> timedelta:
    """Return how long a shard rests in which all wait since then: a tenth of that, so that a wire that hangs is asked seldom."""
    return min(max((now - planned_at) / 10, REST), LONGEST_REST)


def answered(session: Session, mailing: MailingView) -> tuple[int, ...]:
    """Return what a mailing answers, for whoever had no later language of any of it: the first of the thread, and the last."""
    before = mailings.followed(session, mailing.translates or mailing.id)
    return tuple(dict.fromkeys((before[-1], before[0]))) if before else ()


def answered_by_each(session: Session, mailing: MailingView, readers: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return by mailbox what a mailing answers where that is another than `answered` says: the mail this very reader had.

    Whoever had a later language has that mail and not the alert's own; of both it is the later one.
    """
    before = mailings.followed(session, mailing.translates or mailing.id)
    chain = [mailing.translates, *before] if mailing.translates is not None else before
    languages = {one: mailings.in_all_languages(session, one) for one in chain if one is not None}
    if mailing.retracts is not None:
        languages[mailing.retracts] = [mailing.retracts]  # each language is taken back under itself
    if not readers or (mailing.translates is None and all(len(found) == 1 for found in languages.values())):
        return {}
    asked = [mailings.get(session, one) for found in languages.values() for one in found if one != mailing.id]
    had = deliveries.had(session, asked, readers)
    threads = {}
    for reader, theirs in had.items():
        # Where they had none the alert itself stands for it, but for the one of which this is a language: they waited.
        mails = [
            max(theirs.intersection(found), default=None if one == mailing.translates else one)
            for one, found in languages.items()
        ]
        known = [one for one in mails if one is not None]
        threads[reader] = tuple(dict.fromkeys((known[-1], known[0]))) if known else ()
    return threads


def _end(session: Session, alert: MailingView, *, now: datetime) -> bool:
    match alert.state:
        case State.SENDING | State.PAUSED:
            mailings.move(session, alert.id, State.STOPPED, finished_at=now)
        case State.DRAFT | State.LOCKED | State.APPROVED:
            mailings.move(session, alert.id, State.CANCELLED)
        case _:
            return False
    return True


def taken_back(session: Session, retraction: MailingView) -> MailingView:
    """Return the alert that a retraction takes back, once all that have it are known. Raises NotRetracted, OnTheWire."""
    alert = mailings.get(session, retraction.retracts or 0)
    if alert.kind is not Kind.ALERT or alert.state is not State.RETRACTED:
        raise NotRetracted(alert.id)
    if not wire.close(session, alert.id):
        raise OnTheWire(alert.id)
    return alert
