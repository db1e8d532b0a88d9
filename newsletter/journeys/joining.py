"""Somebody wishes to join: their wish is kept, the owner of the address is asked once, and comes in by their own yes.

The page does the same whoever it is: it stores one sealed row and answers. All that depends on who is known is done here by a
worker, a moment later (standards §23).
"""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape

import structlog

from newsletter import database, languages
from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.errors import Invalid
from newsletter.issues import digests
from newsletter.issues.digests import DigestView
from newsletter.jobs import DELIVER, SIGNUPS
from newsletter.journeys import confirming, consenting, holding, leaving, owners
from newsletter.journeys.judging import TRAP as TRAP
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
    spelling,
    subscriptions,
    suppression,
    tables,
)
from newsletter.subscribers.agreements import Shown
from newsletter.subscribers.declining import Closed
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Answer, Wish
from newsletter.subscribers.suppression import Reason
from newsletter.subscribers.waves import Origin

log = structlog.get_logger()


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


def form_name(given: str) -> str:
    """Return the name that a form gives itself; another for one under which workers write consents that came by no form."""
    return f"form-{spelling.seen(given)}" if spelling.seen(given) in _OURS else given


_OURS = frozenset({"import", "preferences"})
# Hidden by the attribute: a site's own rules may forbid styles in a page, and a person who sees the field fills it in.
_LURE = '<div hidden><input name="website" type="text" tabindex="-1" autocomplete="off" aria-hidden="true"></div>'


def embedded(parts: Parts, keys: Sequence[str], *, language: str, name: str) -> str:
    """Return the HTML of a form for somebody else's page. Raises UnknownDigest.

    It gives back the version of the words it shows, and these are kept: so it can be shown later, also when ours have changed.
    """
    spoken = languages.or_english(language)
    agreement = consenting.agreement(parts, spoken)
    with parts.database.transaction() as session:
        chosen = [digests.by_key(session, key) for key in keys]
        agreements.keep(session, [agreement])
    hidden = {"language": spoken, "form": form_name(name), "wording": agreement.version}
    fields = [f'<input type="hidden" name="{field}" value="{escape(value)}">' for field, value in hidden.items()]
    fields += [f'<input type="hidden" name="digest" value="{digest.key}">' for digest in chosen]
    address = escape(languages.say("web.join-address", spoken))
    return "\n".join(
        (
            f'<form method="post" action="{parts.letterhead.base_url}/join" dir="{languages.direction(spoken)}">',
            *fields,
            f'<label>{address} <input name="email" type="email" autocomplete="email" dir="ltr" required></label>',
            _LURE,
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
        known = confirming.hear(session, signup_id, by=Answer.REPLY, now=database.now(session))
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
        # Also where a list had named them: now it is they who ask, and no undo of the list takes that back.
        asks = replace(wish, listed=False, form="" if wish.listed else wish.form)
        added = signup.add(session, secrets.token_urlsafe(16), asks, now=now, digest_ids=wanted)
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
    # It has the turn of sign-ups, and wants rows of its reader's; a list that is being undone has these, and waits for the turn.
    for _ in range(_GIVES_WAY):
        with suppress(database.HeldUp), parts.database.impatient() as session:
            return _refuse(session, signup_id)
    with parts.database.transaction() as session:
        return _refuse(session, signup_id)


_GIVES_WAY = 20
"""How often a no lets others have the turn that wait for it, half a second apart."""


def _refuse(session: Session, signup_id: int) -> bool:
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
    held_up = dict[int, str]()
    while due := _due(parts, but=set(held_up)):
        # A yes that is heard counts from now on: whoever left since they said it, while the database was away, is heard before.
        leaving.drain(parts)
        waiting = len(held_up)
        count = _take(parts, due, held_up)
        done += count
        if not count and len(held_up) == waiting:
            break  # another worker is at it
        done += confirming.judge(parts)  # somebody waits before a page for this
    if held_up:
        _say_held_up(parts, held_up)
    holding.watch(parts)
    return done


def _say_held_up(parts: Parts, held_up: Mapping[int, str]) -> None:
    """A list that comes in lets go of its people by itself; what stands in the way without one may do so for ever."""
    with parts.database.transaction() as session:
        alone = tables.none_comes_in(session)
    facts = {"count": len(held_up), "numbers": sorted(held_up)[:10], "causes": dict(Counter(held_up.values()))}
    if alone:
        log.warning("sign-ups wait", why="something else stands in their way, and no list is coming in", **facts)
    else:
        log.info("sign-ups wait", why="a list is coming in", **facts)


def _due(parts: Parts, *, but: set[int]) -> list[int]:
    """Return the next wishes to be dealt with, by number; none where another worker is at it."""
    with parts.database.transaction() as session:
        if not signup.claim(session):
            return []
        signup.look_again(session, now=database.now(session))
        return signup.due(session, but=but)


def _take(parts: Parts, due: Sequence[int], held_up: dict[int, str]) -> int:
    """Deal with some wishes in one turn, but for those that another transaction is at; return how many were.

    An import holds the rows of its people to its end, a minute on, and may come to wait for ours. A turn can be had again, a list
    of a million cannot: so it is the turn that gives up, before PostgreSQL looks which of the two it breaks. It is had again by
    portions, each a transaction of its own, until those are left whom the import names: nobody else waits for it.
    """
    try:
        count = _turn(parts, due)
    except database.HeldUp as held:
        if len(due) == 1:
            held_up[due[0]] = held.cause
            return 0
        step = -(-len(due) // _PORTIONS)
        return sum(_take(parts, due[place : place + step], held_up) for place in range(0, len(due), step))
    parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
    return count


def _turn(parts: Parts, due: Sequence[int]) -> int:
    with parts.database.impatient(_PATIENCE) as session:
        if not signup.claim(session):
            return 0
        now = database.now(session)
        asked = signup.waiting(session, due)
        owners.ask(session, parts, asked, now)
        said = signup.answered(session, due)
        if asked or said:
            # Who is asked today may say yes on a page of today when our words have changed.
            agreements.keep(session, consenting.today(parts))
        owners.bring_in(session, parts, said, now)
    return len(asked) + len(said)


_PATIENCE = 200
"""How many milliseconds a turn waits for what another transaction holds."""
_PORTIONS = 20
"""Into how many a turn is cut that was held up: by halves, what is done in vain would be most of the work where many are named."""


def tidy(parts: Parts) -> int:
    """Forget the wishes that nobody answered within a month, and the addresses that nobody else has a use for."""
    with parts.database.transaction() as session:
        if not tables.none_comes_in(session):
            return 0
        return holding.forget_boxes(session, signup.forget(session, now=database.now(session)))
