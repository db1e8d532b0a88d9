"""The owners of addresses that came by a form: asked once by mail, and let in by their own yes. A worker's half of `joining`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter import languages
from newsletter.composer.content import NoticeContent, NoticeKind
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.issues import cutting, digests
from newsletter.issues.digests import DigestView
from newsletter.journeys import consenting, inbound, judging, notices
from newsletter.journeys.notices import To
from newsletter.journeys.parts import Parts
from newsletter.ledger import deliveries
from newsletter.ledger.mailings import Lane
from newsletter.subscribers import (
    agreements,
    consent,
    people,
    signup,
    styles,
    subscriptions,
    suppression,
    unproven,
)
from newsletter.subscribers.agreements import Shown
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Answer, SignupView, Wish
from newsletter.subscribers.subscriptions import Rhythm

KEEPS = timedelta(days=3)
LISTED_KEEPS = signup.KEPT - KEEPS
"""How long a question to somebody whom a list named is worth mailing: as long as its answer counts, and there is time for one.

It goes with bulk mail, at the pace of a relay that is warming up or of its quota: three thousand may take weeks.
"""

Group = tuple[str, tuple[str, ...], str]
"""Those who get the same mail: a language, the names of what they asked for, and the style that they chose."""


_QUESTIONS = (NoticeKind.CONFIRM, NoticeKind.LISTED)


def ask(session: Session, parts: Parts, found: Sequence[SignupView], now: datetime) -> None:
    """Mail a question to each owner who may be asked, in their language; it names all that is pending for them."""
    named = {digest.id: digest for digest in digests.listed(session)}
    groups: dict[NoticeKind, defaultdict[Group, list[To]]] = {kind: defaultdict(list) for kind in _QUESTIONS}
    asked = judging.judge(session, found, keys={one.key: one.id for one in named.values()}, now=now)
    # Whoever reads us already and may not be named by a mail is not named by a question either, whoever has it sent.
    looks = styles.of_mailboxes(session, [one.mailbox_id for one in asked])
    spoken: defaultdict[str, list[int]] = defaultdict(list)
    for one in asked:
        to = To(one.mailbox_id, None, asking.to_join(one.one.id))
        names = tuple(named[number].name for number in one.names if number in named)
        kind = NoticeKind.LISTED if one.wish.listed else NoticeKind.CONFIRM
        groups[kind][one.wish.language, names, looks.get(one.mailbox_id, "")].append(to)
        spoken[languages.or_english(one.wish.language)].append(one.one.id)
    for language, numbers in spoken.items():
        signup.worded(session, numbers, consenting.agreement(parts, language).version)
    for kind, these in groups.items():
        _post(session, parts, kind, these, now=now)


def _names(keys: Iterable[str], named: dict[str, DigestView]) -> tuple[str, ...]:
    return tuple(named[key].name for key in keys if key in named)


@dataclass(frozen=True, slots=True)
class _Came:
    """A wish that came true, by the answer to a mail that named all of it."""

    one: SignupView
    answered: SignupView


def bring_in(session: Session, parts: Parts, found: Sequence[SignupView], now: datetime) -> None:
    """Make readers of those who said yes, with all that the mail named which they answered, and welcome them."""
    named = {digest.key: digest for digest in digests.listed(session)}
    groups: defaultdict[Group, list[To]] = defaultdict(list)
    of_each: defaultdict[int, list[SignupView]] = defaultdict(list)
    for one in found:
        of_each[one.mailbox_id or 0].append(one)
    known = people.hold_of(session, of_each)
    for mailbox_id, theirs in of_each.items():
        came = _settled(session, theirs, named, now)
        answered = next((one.answered for one in reversed(came) if one.answered.wish is not None), None)
        if answered is None or answered.wish is None:
            continue
        wish = answered.wish
        person = people.join(session, mailbox_id, language=wish.language, name=wish.name, now=now)
        unproven.answered(session, mailbox_id)
        taken: dict[str, None] = {}
        made = None if mailbox_id in known else person.id
        for true in came:
            permitted = _permit(session, parts, person.id, true, named, now)
            signup.came_of(session, true.one.id, events=list(permitted.values()), made_person=made)
            taken |= dict.fromkeys(permitted)
        if not taken:
            continue
        suppression.came_back(session, mailbox_id, now=now, answered_at=answered.answered_at)
        look = styles.of(session, person.id).style.code
        groups[wish.language, _names(taken, named), look].append(To(mailbox_id, person.id, f"welcome:{answered.id}"))
    if found:
        signup.look_at_inboxes(session, [one.id for one in found])
    _post(session, parts, NoticeKind.WELCOME, groups, now=now)


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
    # A list's question may have waited for days: whoever said yes to another mail is not asked any more.
    if listed := [one.one for one in came if one.one.wish and one.one.wish.listed]:
        boxes = {one.mailbox_id or 0 for one in listed}
        deliveries.cancel_asked(session, boxes, [asking.to_join(one.id) for one in listed], reason="answered")
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
    if said := came.answered.answered_at:
        # Their yes may have waited for a worker while they left.
        chosen = {
            key: one
            for key, one in chosen.items()
            if not consent.left_since(session, subscriber_id, named[key].id, said)
        }
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
    now: datetime,
) -> None:
    """Mail a notice to each. What nobody waits for goes with bulk mail, begun by a sweep: nobody who waits stands behind it."""
    # Every worker loads this story, and those that only send never load premailer and lxml (decision 4).
    from newsletter.composer import notice

    asks, listed = kind in _QUESTIONS, kind is NoticeKind.LISTED
    lane, expires_at = (Lane.BULK, now + LISTED_KEEPS) if listed else (Lane.TRANSACTIONAL, now + KEEPS)
    reply_domain = inbound.reply_domain(session, parts) if asks else ""
    for (language, lists, look), to in groups.items():
        spoken = languages.or_english(language)
        frame = parts.letterhead.notice_frame(
            lists[0] if lists else "", language=spoken, reply_domain=reply_domain, style=Style.parse(look)
        )
        words = consenting.wording(parts, spoken) if asks else ""
        content = NoticeContent(kind, lists, written_on=now.date(), agreement=words)
        compiled = notice.compose(content, frame, parts.layout)
        notices.post(
            session,
            compiled,
            to,
            subject=str(kind),
            language=spoken,
            expires_at=expires_at,
            now=now,
            lane=lane,
        )
