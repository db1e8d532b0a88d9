"""Somebody wishes to join: their wish is kept, the owner of the address is asked once, and comes in by their own yes.

The page does the same whoever it is: it stores one sealed row and answers. All that depends on who is known is done here by a
worker, a moment later (standards §23).
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape

import structlog

from newsletter import database, languages
from newsletter.addresses import EmailAddress
from newsletter.composer.content import NoticeContent, NoticeKind
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.errors import Invalid
from newsletter.issues import cutting, digests
from newsletter.issues.digests import DigestView
from newsletter.jobs import DELIVER, SIGNUPS
from newsletter.journeys import confirming, consenting, holding, inbound, judging, leaving, notices
from newsletter.journeys.judging import TRAP as TRAP
from newsletter.journeys.notices import To
from newsletter.journeys.parts import NoSender, Parts
from newsletter.ledger import deliveries
from newsletter.ledger.mailings import Lane
from newsletter.subscribers import (
    agreements,
    answers,
    consent,
    declining,
    forms,
    held,
    meanwhile,
    people,
    signup,
    styles,
    subscriptions,
    suppression,
    unproven,
)
from newsletter.subscribers.agreements import Shown
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.declining import Closed
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Answer, SignupView, Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from newsletter.subscribers.waves import Origin

log = structlog.get_logger()

QUESTION_KEEPS, WELCOME_KEEPS = timedelta(days=3), timedelta(days=3)

Group = tuple[str, tuple[str, ...], str]
"""Those who get the same mail: a language, the names of what they asked for, and the style that they chose."""


class NothingChosen(Invalid):
    """A form without a tick."""

    def __init__(self) -> None:
        super().__init__("joining.nothing-chosen")


def ask(parts: Parts, wish: Wish, came: Arrival = Arrival()) -> str:
    """Keep a wish to join, and return the secret that its page is given. Raises BadAddress, Unfit, NothingChosen, UnknownDigest.

    The same is done and said whether or not anybody has this address, and whether or not too many came like it.
    """
    address = EmailAddress.parse(wish.address)
    if not people.fit(wish.name):
        raise people.Unfit
    if not wish.choices:
        raise NothingChosen
    pending = secrets.token_urlsafe(16)
    with parts.database.transaction() as session:
        known = {key: number for number, key in digests.keys(session).items()}
        for key in wish.choices:
            if key not in known:
                raise digests.UnknownDigest(key)
        now = database.now(session)
        wanted = [known[key] for key in wish.choices]
        origin = _origin(session, wish, came, address.provider, now)
        seen = _with_words(session, parts, wish, came, now)
        signup.add(session, pending, seen, now=now, origin=origin, digest_ids=wanted)
    parts.nudger.nudge(SIGNUPS)
    return pending


def _with_words(session: Session, parts: Parts, wish: Wish, came: Arrival, now: datetime) -> Wish:
    """Return a wish with the words that its form showed, and whose form that was: our own comes back with our stamp."""
    found = consenting.known(session, parts, wish.given) if wish.given and not wish.wording else None
    words = found.words if found else wish.wording
    ours = forms.age(session.vault, came.stamp, now=now) is not None
    return replace(wish, wording=words, shown=str(Shown.FORM if ours else Shown.ELSEWHERE) if words else "")


def _origin(session: Session, wish: Wish, came: Arrival, provider: str, now: datetime) -> Origin:
    """Return what a wish is judged by later: the same work for every address."""
    return Origin(
        client=held.digest(session, "client", came.client),
        net=held.digest(session, "net", came.net),
        provider=provider,
        quick=forms.quick(session.vault, came.stamp, now=now),
        proved=forms.proved(session.vault, came, wish.address, now=now),
    )


@dataclass(frozen=True, slots=True)
class Asking:
    """What a form is shown with. stamp: comes back with it. wave: it does a sum, where it can."""

    digests: list[DigestView]
    stamp: str
    wave: bool


def form(parts: Parts, *, stamp: str = "") -> Asking:
    """Return what is to be asked for on a form of ours. stamp: that of the form as it was shown first; who mends it is quick."""
    with parts.database.transaction() as session:
        now = database.now(session)
        known = forms.age(session.vault, stamp, now=now) is not None
        shown = stamp if known else forms.stamp(session.vault, now=now)
        return Asking(digests.listed(session), shown, held.wave(session) is not None)


def embedded(parts: Parts, keys: Sequence[str], *, language: str, name: str) -> str:
    """Return the HTML of a form for somebody else's page. Raises UnknownDigest.

    It gives back the version of the words it shows, and these are kept: so it can be shown later, also when ours have changed.
    """
    spoken = _spoken(language)
    agreement = consenting.agreement(parts, spoken)
    with parts.database.transaction() as session:
        chosen = [digests.by_key(session, key) for key in keys]
        agreements.keep(session, [agreement])
    hidden = {"language": spoken, "form": name, "wording": agreement.version}
    fields = [f'<input type="hidden" name="{field}" value="{escape(value)}">' for field, value in hidden.items()]
    fields += [f'<input type="hidden" name="digest" value="{digest.key}">' for digest in chosen]
    address = escape(languages.say("web.join-address", spoken))
    return "\n".join(
        (
            f'<form method="post" action="{parts.letterhead.base_url}/join" dir="{languages.direction(spoken)}">',
            *fields,
            f'<label>{address} <input name="email" type="email" autocomplete="email" dir="ltr" required></label>',
            f"<p>{escape(agreement.words)}</p>",
            f'<button type="submit">{escape(languages.say("web.join-button", spoken))}</button>',
            "</form>",
        )
    )


def confirm_by_reply(parts: Parts, signup_id: int) -> bool:
    """Say yes by confirming the mail; return False where it is too late. Safe to repeat.

    Whoever calls it has seen that the answer came to an address that was mailed (`confirming.is_signed`).
    """
    with parts.database.transaction() as session:
        known = signup.answer(session, signup_id, by=Answer.REPLY, now=database.now(session))
    if known:
        parts.nudger.nudge(SIGNUPS)
    return known


def ask_again(parts: Parts, signup_id: int) -> bool:
    """Ask once more whoever said no and now answers that mail by a clear yes; return False where they had not said no."""
    with parts.database.transaction() as session:
        wish = declining.take_back(session, signup_id)
        if wish is None:
            return False
        known, now = {key: number for number, key in digests.keys(session).items()}, database.now(session)
        wanted = [known[key] for key in wish.choices if key in known]
        added = signup.add(session, secrets.token_urlsafe(16), wish, now=now, digest_ids=wanted)
        signup.vouch(session, added, now=now)
    parts.nudger.nudge(SIGNUPS)
    return True


def ask_once_more(parts: Parts, signup_id: int) -> bool:
    """Ask anew where a yes came to an address that was not mailed, or was before these could be told; False where none is open."""
    with parts.database.transaction() as session:
        asked = confirming.ask_anew(session, signup_id)
    parts.nudger.nudge(SIGNUPS)
    return asked


def refuse_by_reply(parts: Parts, signup_id: int) -> bool:
    """Say no by confirming the mail; return False where there is nothing to refuse any more. Safe to repeat.

    What a yes to the same mail had brought ends; whatever else they take goes on, and no list brings them what that mail named. Who
    takes nothing stands on the do-not-mail list from then on: no list brings them in, and a yes of their own lifts it.
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        closed = declining.refuse(session, signup_id, now=now)
        if closed is None:
            return False
        due = [asking.to_join(number) for number in closed.questions]
        deliveries.cancel_asked(session, [closed.mailbox_id], due, reason="refused")
        person = people.of_mailbox(session, closed.mailbox_id)
        if not (person and _still_takes(session, person.id, closed, now)):
            # Else the next list that names them, with whatever evidence, has them mailed who said that they want none of it.
            suppression.add(session, closed.mailbox_id, reason=Reason.LEFT, now=now)
    return True


def _still_takes(session: Session, subscriber_id: int, closed: Closed, now: datetime) -> bool:
    """End what a reader refused, and return whether they take anything else."""
    meanwhile.speak(session)
    if closed.came:
        for digest_id in closed.named:
            leaving.end(session, subscriber_id, digest_id)
    takes = {one.digest_id for one in subscriptions.of(session, subscriber_id)}
    if takes:
        for digest_id in closed.named:
            if digest_id not in takes:
                consent.refused(session, subscriber_id, digest_id=digest_id, now=now)
    return bool(takes)


def any_due(parts: Parts) -> bool:
    """Whether `work` has anything to do."""
    with parts.database.transaction() as session:
        return signup.any_due(session) or answers.any_due(session) or held.wave(session) is not None


def work(parts: Parts) -> int:
    """Ask the owners of addresses that came in, and bring in those who said yes; return how many wishes were dealt with."""
    done = confirming.judge(parts) + tidy(parts) + holding.tend(parts)
    try:
        parts.letterhead.require()
    except NoSender:
        log.warning("sign-ups wait", why="no sender or postal address is set")
        return done
    try:
        while count := confirming.judge(parts) + _turn(parts):
            done += count
            parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
    except database.HeldUp:
        log.info("sign-ups wait", why="a list that names one of these people is coming in")
    holding.watch(parts)
    return done


def _turn(parts: Parts) -> int:
    # An import holds the rows of its people to its end, and may come to wait for ours. A turn can be had again, a list of a million
    # cannot: so it is the turn that gives up, before PostgreSQL looks which of the two it breaks.
    with parts.database.impatient() as session:
        now = database.now(session)
        if not signup.claim(session):
            return 0
        signup.look_again(session, now=now)
        asked = signup.waiting(session)
        _ask(session, parts, asked, now)
        said = signup.answered(session)
        if asked or said:
            # Who is asked today may say yes on a page of today when our words have changed.
            agreements.keep(session, consenting.today(parts))
        _bring_in(session, parts, said, now)
    return len(asked) + len(said)


def _ask(session: Session, parts: Parts, found: Sequence[SignupView], now: datetime) -> None:
    """Mail a question to each owner who may be asked, in their language; it names all that is pending for them."""
    named = {digest.id: digest for digest in digests.listed(session)}
    groups: defaultdict[Group, list[To]] = defaultdict(list)
    asked = judging.judge(session, found, keys={one.key: one.id for one in named.values()}, now=now)
    # Whoever reads us already and may not be named by a mail is not named by a question either, whoever has it sent.
    looks = styles.of_mailboxes(session, [one.mailbox_id for one in asked])
    spoken: defaultdict[str, list[int]] = defaultdict(list)
    for one in asked:
        to = To(one.mailbox_id, None, asking.to_join(one.one.id))
        names = tuple(named[number].name for number in one.names if number in named)
        groups[one.wish.language, names, looks.get(one.mailbox_id, "")].append(to)
        spoken[_spoken(one.wish.language)].append(one.one.id)
    for language, numbers in spoken.items():
        signup.worded(session, numbers, consenting.agreement(parts, language).version)
    _post(session, parts, NoticeKind.CONFIRM, groups, keeps=QUESTION_KEEPS, now=now)


def _names(keys: Iterable[str], named: dict[str, DigestView]) -> tuple[str, ...]:
    return tuple(named[key].name for key in keys if key in named)


@dataclass(frozen=True, slots=True)
class _Came:
    """A wish that came true, by the answer to a mail that named all of it."""

    one: SignupView
    answered: SignupView


def _bring_in(session: Session, parts: Parts, found: Sequence[SignupView], now: datetime) -> None:
    """Make readers of those who said yes, with all that the mail named which they answered, and welcome them."""
    named = {digest.key: digest for digest in digests.listed(session)}
    groups: defaultdict[Group, list[To]] = defaultdict(list)
    of_each: defaultdict[int, list[SignupView]] = defaultdict(list)
    for one in found:
        of_each[one.mailbox_id or 0].append(one)
    known = people.of_mailboxes(session, of_each)
    for mailbox_id, theirs in of_each.items():
        came = _settled(session, theirs, named, now)
        answered = next((one.answered for one in reversed(came) if one.answered.wish is not None), None)
        if answered is None or answered.wish is None:
            continue
        wish = answered.wish
        person = people.join(session, mailbox_id, language=wish.language, name=wish.name, now=now)
        suppression.came_back(session, mailbox_id, now=now)
        unproven.answered(session, mailbox_id)
        taken: dict[str, None] = {}
        made = None if mailbox_id in known else person.id
        for true in came:
            permitted = _permit(session, parts, person.id, true, named, now)
            signup.came_of(session, true.one.id, events=list(permitted.values()), made_person=made)
            taken |= dict.fromkeys(permitted)
        look = styles.of(session, person.id).style.code
        groups[wish.language, _names(taken, named), look].append(To(mailbox_id, person.id, f"welcome:{answered.id}"))
    if found:
        signup.look_at_inboxes(session, [one.id for one in found])
    _post(session, parts, NoticeKind.WELCOME, groups, keeps=WELCOME_KEEPS, now=now)


def _settled(
    session: Session, theirs: Sequence[SignupView], named: dict[str, DigestView], now: datetime
) -> list[_Came]:
    """Write down which wishes of one mailbox came true, and return them, the latest answer last.

    What waited beside a mail that did not name it is asked about by itself.
    """
    answers = sorted(
        (one for one in theirs if one.answered_at is not None), key=lambda one: (one.answered_at or now, one.id)
    )
    came, left = [], []
    for one in theirs:
        wanted = [named[key].id for key in one.wish.choices if key in named] if one.wish else []
        answered = signup.answer_for(one, wanted, answers) if one.wish or one in answers else None
        if answered is not None:
            came.append(_Came(one, answered))
        else:
            left.append(one.id)
    for answered in answers:
        assert answered.answered_by is not None
        numbers = [one.one.id for one in came if one.answered is answered]
        signup.settled(session, numbers, by=answered.answered_by, now=now)
    if left:
        signup.look_at(session, left)
    return sorted(came, key=lambda one: answers.index(one.answered))


def _permit(
    session: Session,
    parts: Parts,
    subscriber_id: int,
    came: _Came,
    named: dict[str, DigestView],
    now: datetime,
) -> dict[str, int]:
    """Record the permission of one wish with its proof, and open what rests on it; return the event of each digest, by key."""
    wish = came.one.wish
    if wish is None:
        return {}
    told = _proof(session, parts, wish, came)
    chosen = {key: Rhythm(rhythm) for key, rhythm in wish.choices.items() if key in named}
    events: dict[str, int] = {}
    for key, rhythm in chosen.items():
        digest = named[key]
        events[key] = event = consent.granted(
            session,
            subscriber_id,
            basis=Basis.CONSENT,
            purpose=consent.of_digest(digest.id),
            now=now,
            details=told,
        )
        had_to = cutting.last_cut(session, digest.id, rhythm)
        subscriptions.take(session, subscriber_id, digest.id, rhythm=rhythm, had_to=had_to, granted_by=event, now=now)
    return events


def _proof(session: Session, parts: Parts, wish: Wish, came: _Came) -> dict[str, str]:
    """Return how a permission was given: by which form, by which words, where these stood, and by what it was confirmed."""
    said = came.answered
    assert said.answered_at is not None
    confirmed = consenting.known(session, parts, said.answered_wording) if said.answered_wording else None
    where = Shown.MAIL if said.answered_by is Answer.REPLY else Shown.CONFIRMING
    return {
        "language": wish.language,
        "form": wish.form,
        "page": wish.page,
        "network": wish.network,
        **agreements.proof(words=wish.wording, shown=wish.shown, given=wish.given, confirmed=confirmed, where=where),
        "asked_at": came.one.came_at.isoformat(),
        "confirmed_by": str(said.answered_by),
        "confirmed_at": said.answered_at.isoformat(),
    }


def _post(
    session: Session,
    parts: Parts,
    kind: NoticeKind,
    groups: dict[Group, list[To]],
    *,
    keeps: timedelta,
    now: datetime,
) -> None:
    # Every worker loads this story, and those that only send never load premailer and lxml (decision 4).
    from newsletter.composer import notice

    reply_domain = inbound.reply_domain(session, parts) if kind is NoticeKind.CONFIRM else ""
    for (language, lists, look), to in groups.items():
        spoken = _spoken(language)
        frame = parts.letterhead.notice_frame(
            lists[0] if lists else "", language=spoken, reply_domain=reply_domain, style=Style.parse(look)
        )
        words = consenting.wording(parts, spoken) if kind is NoticeKind.CONFIRM else ""
        content = NoticeContent(kind, lists, written_on=now.date(), agreement=words)
        compiled = notice.compose(content, frame, parts.layout)
        notices.post(session, compiled, to, subject=str(kind), language=spoken, expires_at=now + keeps, now=now)


def _spoken(language: str) -> str:
    return language if languages.speaks(language) else "en"


def tidy(parts: Parts) -> int:
    """Forget the wishes that nobody answered within a month, and the addresses that nobody else has a use for."""
    with parts.database.transaction() as session:
        return holding.forget_boxes(session, signup.forget(session, now=database.now(session)))
