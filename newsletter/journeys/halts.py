"""The team is told by mail that an alert does not go on, and why: somebody stopped it, gave it up, paused it, or lets it go on.

Whoever halts something does it as the pages' role, which plans no mail: the database writes down a call of the hook with it, by
whatever statement, by which the next sweep finds it. Who did it stands in the audit; where it does not, it was somebody. What was
paused and resumed between two sweeps is no news.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from newsletter import database
from newsletter.database import Session
from newsletter.journeys import announcing, telling
from newsletter.journeys.announcing import KEEPS, News
from newsletter.journeys.parts import Parts
from newsletter.ledger import books, halts, hushed, mailings, variants, wire
from newsletter.ledger.halts import Told
from newsletter.ledger.mailings import MailingView, State
from newsletter.operators import audit, hooks, people
from newsletter.operators.audit import Entry
from newsletter.operators.hooks import Event, Said
from newsletter.operators.people import OperatorView

EVENTS = (Event.STOPPED, Event.PAUSED, Event.RESUMED)
ACTS = {State.STOPPED: "alert.stopped", State.CANCELLED: "alert.stopped", State.PAUSED: "alert.paused"}
"""What is written of whoever halts an alert, by what it became."""
_HEARD = {"stopped": Event.STOPPED, "given-up": Event.STOPPED, "paused": Event.PAUSED, "resumed": Event.RESUMED}
_DIGITS = 18  # of a number that the database takes
ANSWERED = timedelta(minutes=2)
"""So long the mail waits for what is on the wire: a lost worker's lease, its machine's turn, and a sweep."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Who halted an alert and when. by: their name, None: nobody who could be named; how: as "link", "shell" or "somebody" then."""

    state: State
    by: str | None
    how: str
    at: datetime


def halt_of(session: Session, view: MailingView) -> Halt | None:
    """Return who halted an alert, where somebody did and it stands so. None where that is not signed (`acting.sign_after`)."""
    entries = audit.of_mailing(session, ACTS[view.state], view.id) if view.state in ACTS else []
    if not entries:
        return None
    last = entries[-1]
    if any(one.number > last.number for one in audit.of_mailing(session, "alert.resumed", view.id)):
        return None  # whoever paused it before that is not who does now
    found = _operator(session, last.actor)
    how = last.actor if last.actor in (audit.LINK, audit.SHELL) else "somebody"
    return Halt(view.state, found.name if found else None, how, last.at)


def _operator(session: Session, actor: str) -> OperatorView | None:
    """Return the operator of an audit's row; None where it names none, or one that there is not: pages write such a row, too."""
    try:
        return people.by_id(session, int(actor)) if actor.isdecimal() and len(actor) <= _DIGITS else None
    except people.UnknownOperator:
        return None


def tell_of_lanes(parts: Parts, lanes: Sequence[str], act: str, *, by: int | str) -> None:
    """Tell the team that whole lanes stand still, or go on: after it is so, since that waits for no mail."""
    with parts.database.transaction() as session:
        announcing.lanes_halted(session, parts, lanes, act, by=by, now=database.now(session))
    telling.nudge(parts.nudger)


def tell(parts: Parts) -> int:
    """Tell the team of each stop and pause of which it has not heard; return how many. Safe to repeat."""
    with parts.database.transaction() as session:
        found = hooks.lately(session, EVENTS, since=database.now(session) - KEEPS)
        alerts = _by_alert(session, found)
    told = sum([telling.tried(parts, alert, partial(_tell, alert=alert, said=said)) for alert, said in alerts.items()])
    if told:
        telling.nudge(parts.nudger)
    return told


def _by_alert(session: Session, found: Iterable[Said]) -> dict[int, list[Said]]:
    """Return what came to pass by the alert: a language that was written later is halted with it as a rule."""
    alerts: dict[int, list[Said]] = {}
    for one in found:
        number = int(one.facts["alert"])
        alerts.setdefault(mailings.get(session, number).translates or number, []).append(one)
    return alerts


def _number(one: Said) -> int:
    """Return what was halted: an alert, a language of it, or what takes it back."""
    return int(one.facts.get("retraction", one.facts["alert"]))


def _tell(session: Session, parts: Parts, *, alert: int, said: list[Said], now: datetime) -> bool:
    """Tell of the alert, of its languages and of what takes them back, each by itself: none hides what came to pass of another."""
    hooks.hold(session, said)
    if not people.informed(session, now=now):
        return False
    told = False
    for last in _lately(alert, said):
        view = mailings.get(session, _number(last))
        if not _is_news(view, last, halts.told(session, alert)):
            continue
        out = wire.busy_in_any(session, view.id)
        if last.event is not Event.RESUMED and out and now - last.at < ANSWERED:
            # It says how many have it, once and for all; the hook has rung already.
            if view.id == alert:
                break  # its languages are told with it
            continue
        _mail(session, parts, alert, view, last, out=out, now=now)
        told = True
    return told


def _lately(alert: int, said: Iterable[Said]) -> list[Said]:
    """Return what came to pass last of each that was halted, of the alert first: what is told of it is told of its languages."""
    last = {_number(one): one for one in said}
    return [last[number] for number in sorted(last, key=lambda number: (number != alert, number))]


def _mail(
    session: Session, parts: Parts, alert: int, view: MailingView, said: Said, *, out: bool, now: datetime
) -> None:
    parts.letterhead.require()
    what = _what(view)
    act = _act(session, view, what, since=said.at)
    about = Told(said.id, what, view.id).about(alert)
    announcing.halted(session, parts, _news(session, view, what, act, out=out), about=about, now=now)


def _is_news(view: MailingView, said: Said, told: Sequence[Told]) -> bool:
    """Return whether it stands as it came to pass, and the team does not know that.

    What was told of the alert was told of its languages, not of what takes it back.
    """
    what = _what(view)
    if said.event is not _HEARD.get(what) or any(one.upto >= said.id for one in told if one.mailing == view.id):
        return False
    about = {view.id} if view.retracts is not None else {view.id, view.translates}
    known = next((one.what for one in told if one.mailing in about), "")
    return _HEARD.get(known) is not said.event and (what != "resumed" or known == "paused")


def _act(session: Session, view: MailingView, what: str, *, since: datetime) -> Entry:
    """Return who did it, as it was signed with it: NOBODY where it was done past the program, or in the name of nobody there is."""
    act = "alert.resumed" if what == "resumed" else ACTS[view.state]
    signed = [one for one in audit.of_mailing(session, act, view.id) if one.at >= since]
    last = replace(signed[-1], at=since) if signed else Entry(0, since, audit.NOBODY, act, {})
    known = last.actor in (audit.LINK, audit.SHELL) or _operator(session, last.actor)
    return last if known else replace(last, actor=audit.NOBODY)


def _what(view: MailingView) -> str:
    """Return what there is to tell of an alert as it stands: its sentences in the team's catalogue; "" for nothing.

    Of a draft that is given up nobody was told that it would go; what was taken back is told as that.
    """
    match view.state:
        case State.STOPPED:
            return "stopped"
        case State.CANCELLED if view.fingerprint is not None:
            return "given-up"
        case State.PAUSED:
            return "paused"
        case State.SENDING | State.DONE:
            return "resumed"
        case _:
            return ""


def _news(session: Session, view: MailingView, what: str, last: Entry, *, out: bool) -> News:
    """Return what is told. out: some of it is on the wire after all that waiting, and nothing is known of that."""
    if view.retracts is not None:
        return _of_retraction(session, view, what, last)
    have, ended = _have(session, view.id), view.expires_at
    # What is paused gives its readers up at its end: to go on means nothing any more.
    name = "resumed-over" if what == "resumed" and ended is not None and ended <= last.at else what
    who = ("have",) if have else () if out else ("nobody",)
    said = {
        "stopped": ("text", *who, "back") if have or out else ("text", *who),
        "given-up": ("text", "nobody"),
        "paused": ("text", *who, "then"),
        "resumed": ("text",),
        "resumed-over": ("text", *who, "then"),
    }[name]
    page = f"/{view.id}?retract=1" if "back" in said else ""
    facts: dict[str, object] = {"have": have}
    if view.translates is not None:
        codes = ", ".join(dict.fromkeys(variants.languages(session, [view.id])))
        facts |= {"of": str(view.translates), "language": codes}
    whose = "halt-language" if view.translates is not None else ""
    moments = {"at": last.at, "ended": ended or last.at}
    return News(name, view.id, said, _by(last), facts=facts, moments=moments, page=page, whose=whose)


def _of_retraction(session: Session, view: MailingView, what: str, last: Entry) -> News:
    """Return the news of what takes an alert back: its readers still believe it, and the alert itself has no more halts."""
    status = books.status(session, view.id)
    facts = {"have": status.accepted + status.uncertain, "due": status.due}
    said = ("text",) if what == "resumed" else ("text", "then")
    return News(f"back-{what}", view.retracts or 0, said, _by(last), facts=facts, moments={"at": last.at})


def _by(last: Entry) -> int | str:
    return int(last.actor) if last.actor.isdecimal() else last.actor


def _have(session: Session, alert: int) -> int:
    """Return how many have an alert or may have it, in whatever language, as far as it is written."""
    return sum(hushed.have(session, one) for one in mailings.in_all_languages(session, alert))
