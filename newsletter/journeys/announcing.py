"""What became of an alert, told to those who sit before a page or sleep beside a phone: by mail and by the hook.

Written in the transaction of the act; whoever calls nudges `telling.NUDGES` afterwards. `telling` asks for a word and says that an
alert goes; here stands all that follows or undoes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from newsletter.composer.content import Action, TeamContent
from newsletter.database import Session
from newsletter.journeys import team, telling
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings
from newsletter.ledger.books import Status
from newsletter.ledger.mailings import MailingView
from newsletter.ledger.manifest import Manifest, Version, short
from newsletter.operators import audit, hooks, people
from newsletter.operators.hooks import Event
from newsletter.operators.people import OperatorView
from newsletter.operators.roles import May

if TYPE_CHECKING:  # it loads what reads feeds, and senders load this (decision 4)
    from newsletter.issues.articles import ArticleView

KEEPS = timedelta(hours=24)
"""How long the news of what is over is worth sending."""


@dataclass(frozen=True, slots=True)
class News:
    """A mail to the team about an alert.

    name      its sentences in the catalogue: "mail.NAME-subject", "-title", "-button", and "-…" for each of `said`
    by        who did it: an operator's number; NOBODY: somebody of whom nothing is known; else whoever runs the machine
    words     versions whose words stand below
    code      what two people read to each other, or somebody types
    page      where its button leads, below the team's alerts; "": to the alert, or where it is of none to all of them
    whose     a sentence of the catalogue that stands first, on what else it belongs to; "": on nothing
    """

    name: str
    alert: int
    said: tuple[str, ...]
    by: int | str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    moments: Mapping[str, datetime] = field(default_factory=dict)
    words: Sequence[Version] = ()
    code: str = ""
    page: str = ""
    whose: str = ""


def halted(session: Session, parts: Parts, news: News, *, about: dict[str, int | str], now: datetime) -> None:
    """Tell everyone in the team that an alert was stopped, given up, paused or resumed. about: by which the mail is found again."""
    everyone, write = people.informed(session, now=now), partial(_written, session, parts, news)
    team.tell(session, parts, everyone, write, expires_at=now + KEEPS, now=now, about=about)


def lanes_halted(
    session: Session, parts: Parts, lanes: Sequence[str], act: str, *, by: int | str, now: datetime
) -> int:
    """Tell everyone in the team that whole lanes are paused, stopped or go on: no alert leaves a lane that stands still.

    act   "paused", "stopped" or "resumed". The alerts that it ended are told one by one. Return how many were told.

    The hook hears of it with the act itself (`halting`); where the transactional lane is among them, this mail waits in it.
    """
    facts = {"lanes": ", ".join(lanes)}
    news = News(f"lanes-{act}", 0, ("text",), by, facts=facts, moments={"at": now})
    return _tell(session, parts, people.active(session), news, expires_at=now + KEEPS, now=now)


def approved(session: Session, parts: Parts, manifest: Manifest, *, by: int, now: datetime) -> int:
    """Tell the author of an alert, and all who may send it, that it may go now; whoever approved it knows. Return how many."""
    hooks.add(session, Event.APPROVED, **telling.facts_of(manifest))
    told = [one for one in senders(session, manifest.author) if one.id != by]
    news = News(
        "approved",
        manifest.mailing,
        ("text", "until"),
        by,
        facts={"count": manifest.count},
        moments={"at": manifest.expires_at},
        code=short(manifest.fingerprint),
    )
    return _tell(session, parts, told, news, expires_at=manifest.expires_at, now=now)


def senders(session: Session, author: int | None = None) -> list[OperatorView]:
    """Return who may lock an alert and let it go, and its author."""
    return [one for one in people.active(session) if May.SEND in one.may or one.id == author]


def unlocked(session: Session, parts: Parts, was: MailingView, *, by: int | str, anew: bool, now: datetime) -> int:
    """Tell everyone in the team that what was approved does not go as it was: somebody wrote in it, or locked it anew.

    They were told that it would go, and at what time; who sleeps until then must not believe it. Return how many were told.

    was    the alert as it was before
    anew   locked anew, in the same words; else edited, and a draft
    """
    hooks.add(session, Event.UNLOCKED, alert=was.id)
    said = ("anew" if anew else "edited", *(("at",) if was.start_at else ()), "then")
    news = News("unlocked", was.id, said, by, moments={"at": was.start_at} if was.start_at else {})
    return _tell(session, parts, people.active(session), news, expires_at=now + KEEPS, now=now)


def retracted(session: Session, parts: Parts, mailing_id: int, *, by: int | None, now: datetime) -> int:
    """Tell everyone in the team that an alert is taken back, by whom and in which words; return how many were told.

    One person does that, without a code: the others hear of it at once, and can say to readers what is true.
    """
    manifest = _gone(session, mailing_id)
    hooks.add(session, Event.RETRACTED, **(telling.facts_of(manifest) if manifest else {"alert": mailing_id}))
    words = manifest.retraction if manifest else ()
    news = News("retracted", mailing_id, ("text", "then"), by, words=words)
    return _tell(session, parts, people.active(session), news, expires_at=now + KEEPS, now=now)


def cancelled(session: Session, parts: Parts, mailing_id: int, *, gone: bool, now: datetime) -> int:
    """Tell everyone in the team that whoever issued an alert has cancelled it; return how many were told.

    gone   readers have it: nothing is mailed to them by that, and anyone of the team may take it back
    """
    hooks.add(session, Event.CANCELLED, alert=mailing_id)
    news = News("cancelled", mailing_id, ("gone" if gone else "given-up",))
    return _tell(session, parts, people.active(session), news, expires_at=now + KEEPS, now=now)


def brought(session: Session, parts: Parts, drafts: Sequence[int], *, ended: int | None = None, now: datetime) -> int:
    """Tell all who may write that what came in from outside is a draft now, or changed one; return how many were told.

    ended   the alert it would have followed, which somebody gave up or took back here
    """
    if not drafts:
        return 0
    for one in drafts:
        hooks.add(session, Event.DRAFTED, alert=one)
    told = [one for one in people.active(session) if May.WRITE in one.may]
    said = ("text", *(("more",) if len(drafts) > 1 else ()), *(("ended",) if ended else ()))
    news = News("brought", drafts[0], said, facts={"more": len(drafts) - 1, "ended": ended or 0})
    return _tell(session, parts, told, news, expires_at=now + KEEPS, now=now)


def pressing(session: Session, parts: Parts, found: "Sequence[ArticleView]", *, now: datetime) -> int:
    """Tell all who may write that articles ask for an alert of which nobody said for whose readers; return how many were told."""
    if not found:
        return 0
    hooks.add(session, Event.PRESSING, articles=[one.id for one in found])
    told = [one for one in people.active(session) if May.WRITE in one.may]
    said = ("text", *(("more",) if len(found) > 1 else ()), "then")
    facts = {"article": found[0].id, "title": found[0].title[:200], "more": len(found) - 1}
    news = News(
        "pressing", 0, said, facts=facts, code=f"newsletter alerts article {found[0].id} --to DIGEST", page="/new"
    )
    return _tell(session, parts, told, news, expires_at=now + KEEPS, now=now)


def lock_wanted(session: Session, parts: Parts, view: MailingView, *, by: int, now: datetime) -> int:
    """Ask all who may lock an alert to do so: whoever wrote it may not. Return how many were asked."""
    hooks.add(session, Event.LOCK_WANTED, alert=view.id)
    news = News("lock-wanted", view.id, ("text",), by)
    return _tell(session, parts, senders(session), news, expires_at=now + KEEPS, now=now)


def unreleased(
    session: Session, parts: Parts, alert: int, what: str, *, count: int, expires: datetime, now: datetime
) -> bool:
    """Ask everyone in the team about an alert that nobody let go, or say that its time is over; return False where they know.

    what    the sentence on what may be done about it
    count   for how many it was locked

    Raises where the mail cannot be written: whoever asks does so again, and the hook is told once.
    """
    over, facts = expires <= now, {"alert": alert, "expires_at": expires.isoformat(), "unreleased": True}
    if not hooks.add_once(session, Event.EXPIRED if over else Event.EXPIRING, **facts):
        return False
    name, said = ("expired", ("text", what)) if over else ("unreleased", ("text", what, "otherwise"))
    news = News(name, alert, said, facts={"due": count}, moments={"expires": expires})
    write, until = partial(_written, session, parts, news), now + KEEPS if over else expires
    team.tell(session, parts, people.active(session), write, expires_at=until, now=now)
    return True


def unreached(session: Session, parts: Parts, status: Status, *, ended: datetime, now: datetime) -> None:
    """Tell everyone in the team of an alert that ended with people not reached, of which nobody was asked before.

    Raises where the mail cannot be written: the next sweep does it again.
    """
    have, hour = status.accepted + status.uncertain, ended.isoformat()
    hooks.add(session, Event.EXPIRED, alert=status.mailing, unreached=status.expired, expires_at=hour)
    facts = {"unreached": status.expired, "have": have}
    said = ("text", "have" if have else "nobody", "then")
    news = News("unreached", status.mailing, said, facts=facts, moments={"ended": ended})
    write = partial(_written, session, parts, news)
    team.tell(session, parts, people.active(session), write, expires_at=now + KEEPS, now=now)


def _gone(session: Session, mailing_id: int) -> Manifest | None:
    """Return as what an alert went; None where that was changed past the program: it is taken back all the same."""
    try:
        return locks.of(session, mailing_id, mailings.get(session, mailing_id).fingerprint or b"")
    except locks.Broken:
        return None


def _tell(
    session: Session, parts: Parts, to: list[OperatorView], news: News, *, expires_at: datetime, now: datetime
) -> int:
    write = partial(_written, session, parts, news)
    return telling.tell(session, parts, to, write, expires_at=expires_at, now=now)


def _written(session: Session, parts: Parts, news: News, language: str) -> TeamContent:
    moments = {name: telling.moment(parts, at, language) for name, at in news.moments.items()}
    by = team.say("by-somebody", language) if news.by == audit.NOBODY else telling.name(session, news.by, language)
    facts = {"mailing": news.alert, "by": by, **news.facts, **moments}

    def say(what: str) -> str:
        return team.say(f"{news.name}-{what}", language, **facts)

    whose = (team.say(news.whose, language, **facts),) if news.whose else ()
    named = (team.say("code", language),) if news.code else ()
    base = parts.letterhead.base_url
    page = telling.console(base, news.alert) if news.alert and not news.page else f"{base}/console/alerts{news.page}"
    return TeamContent(
        subject=say("subject"),
        title=say("title"),
        paragraphs=(*whose, *map(say, news.said), *telling.words(news.words, language), *named),
        code=news.code,
        action=Action(say("button"), page),
    )
