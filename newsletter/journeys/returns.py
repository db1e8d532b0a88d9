"""What came back, and what follows: a wish to leave, a report on a delivery, a complaint, a letter from a person.

A token or a Message-ID that only we can have made names the delivery; whatever names none does nothing at all. Each report counts
once: told again, it changes nothing, not even after an operator has lifted what followed from it.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import structlog

from newsletter import database, mailboxes
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.bounces import arrivals, assent, parting, probing, processing, replies
from newsletter.bounces.assent import Said
from newsletter.bounces.routing import Arrived, Place, Route, raised_in
from newsletter.database import DatabaseUnreachable, Session
from newsletter.delivery import watching
from newsletter.errors import NewsletterError
from newsletter.jobs import RETURNS
from newsletter.journeys import confirming, joining, leaving
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries, mailings, returns, tallies
from newsletter.ledger.returns import Came, Handed
from newsletter.ledger.tallies import Counts
from newsletter.relay.verdict import Class
from newsletter.reports import parse, ses, verdict
from newsletter.reports.parse import Bounce, Complaint, Letter
from newsletter.reports.verdict import Fate, Meaning
from newsletter.subscribers import consent, declining, people, signup, suppression
from newsletter.subscribers.suppression import Reason, SaidBy, Word
from newsletter.tokens import BadToken

log = structlog.get_logger()

ANSWERABLE = timedelta(days=400)
"""How old a mail may be whose answer is a wish to leave that is believed; to an older one it is a letter."""


class Done(StrEnum):
    """What became of a mail that came in."""

    LEFT = "left"
    RETURNED = "returned"
    KEPT = "kept"
    PROBED = "probed"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    ASKED = "asked again"
    NOTHING = "nothing"


def take(parts: Parts, mail: Arrived) -> Done:
    """Do what a mail asks for, or nothing. Safe to repeat. Raises DatabaseUnreachable where it should be brought again."""
    route = parts.router.route(mail.recipient) if parts.router else Route(Place.ELSEWHERE)
    match route.place:
        case Place.NOBODY | Place.ELSEWHERE:
            done = Done.NOTHING
        case Place.PROBE:
            done = _probed(parts, route.probe)
        case Place.LEAVE:
            done = _leave(parts, mail)
        case Place.CONFIRM:
            done = _answered_question(parts, mail, route.signup, signed=route.countersign)
        case Place.RETURN | Place.DESK:
            done = _read(parts, mail, route)
    log.info("came in", place=route.place, done=done)
    return done


def _probed(parts: Parts, number: int) -> Done:
    assert parts.router
    with parts.database.transaction() as session:
        came = probing.came(session, parts.router.domain, number, now=database.now(session))
    return Done.PROBED if came else Done.NOTHING


def _answered_question(parts: Parts, mail: Arrived, signup_id: int, *, signed: str) -> Done:
    """A person's answer to the question whether they wished to join: yes, no, or for a person to read. A machine's is nothing."""
    letter = parse.parse(mail.content)
    if not mail.sender or not isinstance(letter, Letter):
        return Done.NOTHING
    match assent.of(letter, whole=processing.is_whole(mail.content)):
        case Said.YES if not confirming.is_signed(parts, signup_id, signed):
            return _unproven_yes(parts, mail, letter, signup_id)
        case Said.YES:
            if joining.confirm_by_reply(parts, signup_id):
                return Done.CONFIRMED
            again = assent.is_clear(letter) and joining.ask_again(parts, signup_id)
            return Done.ASKED if again else Done.NOTHING
        case Said.NO:
            refused = joining.refuse_by_reply(parts, signup_id)
            kept = assent.says_more(letter) and _kept(parts, mail, letter, signup_id, refused=refused)
            return Done.REFUSED if refused else Done.KEPT if kept else Done.NOTHING
        case Said.UNCLEAR:
            return Done.KEPT if _kept(parts, mail, letter, signup_id) else Done.NOTHING


def _unproven_yes(parts: Parts, mail: Arrived, letter: Letter, signup_id: int) -> Done:
    """Ask once more whose yes came to an address that a thief of keys can make; after a no it is for a person to read."""
    if joining.ask_once_more(parts, signup_id):
        return Done.ASKED
    with parts.database.transaction() as session:
        refused = declining.stands(session, signup_id)
    return Done.KEPT if refused and assent.is_clear(letter) and _kept(parts, mail, letter, signup_id) else Done.NOTHING


def _kept(parts: Parts, mail: Arrived, letter: Letter, signup_id: int, *, refused: bool = False) -> bool:
    with parts.database.transaction() as session:
        now = database.now(session)
        mailbox = signup.mailbox_of(session, signup_id)
        left_at = now if refused else None
        return replies.keep(session, mail.content, letter, mailbox_id=mailbox, left_at=left_at, now=now)


def _leave(parts: Parts, mail: Arrived) -> Done:
    """The token in the subject is the wish; who wrote it does not matter. A hand-written wish is for the operator to read."""
    tokens, is_letter = processing.wishes(mail.content)
    for token in tokens:
        try:
            leaving.leave(parts, token)
        except BadToken:
            continue
        return Done.LEFT
    return _read(parts, mail, Route(Place.DESK)) if is_letter else Done.NOTHING


def _read(parts: Parts, mail: Arrived, route: Route) -> Done:
    report = parse.parse(mail.content)
    match report:
        case Bounce() | Complaint():
            return settle(parts, report, recipient=mail.recipient)
        case Letter() if mail.sender:  # the null sender is never a person
            with parts.database.transaction() as session:
                return _heard(session, parts, mail, report, route, now=database.now(session))
    return Done.NOTHING


def _heard(session: Session, parts: Parts, mail: Arrived, letter: Letter, route: Route, *, now: datetime) -> Done:
    """Keep a letter for the operator, unless it said nothing but what was done: its writer has left."""
    _answered(session, parts, letter, now)
    left = parting.wants_to_leave(letter) and _left(session, parts, letter, route, now)
    if left and not parting.says_more(letter):
        return Done.LEFT
    mailbox = route.mailbox_id or None
    kept = replies.keep(session, mail.content, letter, mailbox_id=mailbox, left_at=now if left else None, now=now)
    return Done.LEFT if left else Done.KEPT if kept else Done.NOTHING


def _left(session: Session, parts: Parts, letter: Letter, route: Route, now: datetime) -> bool:
    """End what the mail was of that is answered; False where nothing proves that they got it: anybody can be From."""
    proven = (route.mailing_id, route.mailbox_id) if route.mailbox_id else _followed(session, parts, letter, now)
    if proven is None:
        return False
    mailing_id, mailbox_id = proven
    person = people.of_mailbox(session, mailbox_id)
    mailing = mailings.get(session, mailing_id)
    if person is None or not parting.wants_to_leave(letter, answered=mailing.subject):
        return False
    # A welcome is of no digest: it names those that were permitted as it was written.
    began = consent.digests_granted_at(session, person.id, mailing.created_at)
    ended = [mailing.digest_id] if mailing.digest_id is not None else began
    for digest_id in ended:
        leaving.end(session, person.id, digest_id)
    return bool(ended)


def _followed(session: Session, parts: Parts, letter: Letter, now: datetime) -> tuple[int, int] | None:
    """Return (mailing, mailbox) of the first mail that a letter answers from where that went; None where it answers none."""
    domain = f"@{parts.letterhead.domain}"
    answers = [one for one in letter.answers if one.endswith(domain)]
    if not answers:
        return None
    sent = _handed_to(session, parse.address(letter.sender), now, limit=1_000, memory=ANSWERABLE)
    ours = {_message_id(parts, handed): handed for handed in reversed(sent)}
    found = next((ours[one] for one in answers if one in ours), None)
    return (found.mailing_id, found.mailbox_id) if found else None


def settle(parts: Parts, report: Bounce | Complaint, *, recipient: str = "") -> Done:
    """Write down what a report says of the delivery it is about, once, and do what follows.

    recipient   whom the report itself was sent to: a return path of ours names the delivery
    """
    meaning = verdict.of(report)
    if meaning.fate is Fate.NOTHING:
        return Done.NOTHING
    with parts.database.transaction() as session:
        now = database.now(session)
        handed = _meant(session, parts, report, recipient, now)
        if handed is None:
            return Done.NOTHING
        # Whatever it says, a server has taken what it speaks of.
        settled = deliveries.reported(session, handed.month, handed.mailing_id, handed.mailbox_id, handed.occasion)
        if meaning.fate is Fate.DELIVERED:
            return Done.RETURNED if _arrived(session, handed, report, now) or settled else Done.NOTHING
        if meaning.fate is Fate.RELAYED or not returns.record(session, handed, _came(meaning), now=now):
            return Done.RETURNED if settled else Done.NOTHING
        _of_the_reader(session, handed, meaning, now)
        _of_the_mailing(session, handed, meaning, now)
    return Done.RETURNED


def _came(meaning: Meaning) -> Came:
    return Came(meaning.fate, meaning.cls and str(meaning.cls), meaning.code, meaning.enhanced)


def _meant(session: Session, parts: Parts, report: Bounce | Complaint, recipient: str, now: datetime) -> Handed | None:
    """By the return path, the envelope id, then the Message-ID: the first that is ours decides."""
    if named := processing.meant(recipient, report, partial(parts.tokens.read_return_path, now=now)):
        return returns.find(session, *named, now=now)
    message_id = report.sent.message_id
    if not message_id.endswith(f"@{parts.letterhead.domain}"):
        return None
    for address in processing.addresses(report):
        for handed in _handed_to(session, address, now):
            if _message_id(parts, handed) == message_id:
                return handed
    return None


def _handed_to(session: Session, address: str, now: datetime, **more: Any) -> list[Handed]:
    try:
        mailbox_id = mailboxes.find(session, EmailAddress.parse(address))
    except BadAddress:
        return []
    return returns.of_mailbox(session, mailbox_id, now=now, **more) if mailbox_id else []


def _arrived(session: Session, handed: Handed, report: Bounce | Complaint, now: datetime) -> bool:
    """That mail arrived is what is expected, so no row is written; but it outweighs what was said before it did."""
    told = report.at if isinstance(report, Bounce) else None
    at = min(told or handed.at or now, now)
    return bool(suppression.arrived(session, [handed.mailbox_id], said_by=SaidBy.REPORT, at=at, now=now))


def _answered(session: Session, parts: Parts, letter: Letter, now: datetime) -> None:
    """Whoever answers a mail of ours from the mailbox it went to has that mailbox: no report outweighs that.

    Its Message-ID is known to nobody but us and whoever got the mail, so a forged sender alone lifts nothing.
    """
    domain = f"@{parts.letterhead.domain}"
    if not any(one.endswith(domain) for one in letter.answers):
        return
    for handed in _handed_to(session, parse.address(letter.sender), now):
        if _message_id(parts, handed) in letter.answers:
            suppression.arrived(session, [handed.mailbox_id], said_by=SaidBy.REPORT, at=now, now=now)
            return


def _message_id(parts: Parts, handed: Handed) -> str:
    facts = (handed.mailing_id, handed.mailbox_id, handed.occasion)
    return parts.tokens.message_id(*facts, parts.letterhead.domain)


def _of_the_reader(session: Session, handed: Handed, meaning: Meaning, now: datetime) -> None:
    """Suppress by the one rule, and cancel what is planned in the same transaction."""
    reason = _reason(meaning)
    if reason and suppression.weigh(session, handed.mailbox_id, Word(reason, SaidBy.REPORT), now=now):
        deliveries.cancel(session, handed.mailbox_id, reason="suppressed")


def _reason(meaning: Meaning) -> Reason | None:
    if meaning.fate is Fate.COMPLAINT:
        return Reason.COMPLAINT
    failed = meaning.fate is Fate.FAILED
    return {Class.DEAD: Reason.DEAD, Class.QUOTA: Reason.QUOTA}.get(meaning.cls) if failed and meaning.cls else None


def _of_the_mailing(session: Session, handed: Handed, meaning: Meaning, now: datetime) -> None:
    """Count it beside the refusals of the session, so that late returns stop what is still due (standards §19)."""
    failed = meaning.fate is Fate.FAILED
    counts = Counts(
        dead=int(failed and meaning.cls is Class.DEAD),
        # Whose fault it is a report need not know: three readers must not be able to stop a mailing in the name of "sender".
        policy=int(failed and meaning.cls in (Class.POLICY, Class.SENDER)),
        complaints=int(meaning.fate is Fate.COMPLAINT),
    )
    if counts.dead or counts.policy or counts.complaints:
        tallies.add(session, handed.mailing_id, handed.provider, counts)
        watching.look(session, handed.mailing_id, handed.lane, handed.provider, now=now)


def receive(parts: Parts, body: bytes, *, network: str = "") -> bool:
    """Take in a notice of Amazon SES, to be dealt with by a worker; return False when it was here before.

    network   it came from, "" where that is not known

    Raises sns.BadNotice, sns.NotBelieved, sns.NotNow, and DatabaseUnreachable.
    """
    assert parts.notices
    with parts.database.transaction() as session:
        now = database.now(session)
    notice = parts.notices.believe(body, now=now, network=network)
    with parts.database.transaction() as session:
        fresh = arrivals.store(session, notice.name, f"{notice.kind}\n{notice.confirm or notice.message}")
    if fresh:
        parts.nudger.nudge(RETURNS)
    return fresh


def work(parts: Parts) -> int:
    """Deal with the notices that wait; return how many. Two workers at once are harmless."""
    with parts.database.transaction() as session:
        waiting = arrivals.waiting(session)
    for one in waiting:
        if one.body is None:
            log.error("notice damaged", arrival=one.id)
        if one.body is None or _dealt_with(parts, one.body):
            with parts.database.transaction() as session:
                arrivals.done(session, one.id, now=database.now(session))
    if waiting:
        tidy(parts)
    return len(waiting)


def _dealt_with(parts: Parts, body: str) -> bool:
    """Deal with one notice; return False when it must wait, so that one that fails holds up no other."""
    kind, _, text = body.partition("\n")
    try:
        _deal_with(parts, kind, text)
    except DatabaseUnreachable:
        raise
    except Exception as error:
        log.error("notice waits", why=type(error).__name__, where=raised_in(error))
        return False
    return True


def _deal_with(parts: Parts, kind: str, text: str) -> None:
    if kind == "Notification":
        report = ses.parse(text)
        if report:
            settle(parts, report)
    elif kind == "SubscriptionConfirmation" and parts.notices:
        try:
            log.info("subscription", confirmed=parts.notices.confirm(text))
        except NewsletterError as refusal:
            # Amazon repeats its question only when asked to: the operator subscribes once more.
            log.error("subscription not confirmed", why=refusal.message)


def any_waiting(parts: Parts) -> bool:
    """Whether `work` has anything to do."""
    with parts.database.transaction() as session:
        return arrivals.any_waiting(session)


def tidy(parts: Parts) -> int:
    """Delete letters and notices whose time is over; return how many rows."""
    with parts.database.transaction() as session:
        now = database.now(session)
        return replies.forget(session, now=now) + arrivals.forget(session, now=now)
