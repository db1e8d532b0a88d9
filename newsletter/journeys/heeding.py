"""What authorities and feeds bring becomes alerts that somebody looks at: drafts, their updates, and the end of what has not gone.

Nothing here is ever sent by itself: a draft is locked and approved as any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from newsletter import database
from newsletter.campaigns import wording
from newsletter.campaigns.cap import CapMessage
from newsletter.database import Session
from newsletter.errors import NewsletterError
from newsletter.issues import articles, digests
from newsletter.issues.articles import ArticleView
from newsletter.journeys import acting, announcing, drafting, lasting, narrowing, stopping, telling
from newsletter.journeys.drafting import Hand, Revision, Wish
from newsletter.journeys.parts import Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import GONE, NOT_GONE, State
from newsletter.operators import audit

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Heeding:
    """Lets messages of CAP act on alerts to the readers of one digest (`bulletins.Act`). by: who had them taken in."""

    parts: Parts
    digest: str
    by: int | str = audit.SHELL

    def hold(self, session: Session, mailing_ids: Sequence[int]) -> None:
        """Keep everybody else from moving these alerts, and what belongs to them, until the transaction is over."""
        mailings.take_all(session, lambda: [one for each in mailing_ids for one in _thread(session, each)])

    def draft(self, session: Session, message: CapMessage, *, now: datetime) -> int:
        """Draft an alert in those languages of the digest in which the message speaks; return its mailing."""
        return self._begin(session, message, now=now)

    def update(self, session: Session, mailing_id: int, message: CapMessage, *, now: datetime) -> int:
        """Let the alert say what the message says: itself where nobody has touched it, else by a draft of its own.

        What a person has in hand, written or locked, is not written over from outside: the draft updates that as it would one
        that has gone, and ends it if it goes. Where somebody ended it here, the danger goes on all the same: the message begins
        an alert anew, for the same readers, to which what comes later belongs. Return the alert the message belongs to.
        """
        newest = (mailing_id, *mailings.followers(session, mailing_id))[-1]
        if acting.an_alert(session, newest).state in (State.CANCELLED, State.RETRACTED):
            return self._begin(session, message, ended=newest, now=now)
        waiting = self._not_gone(session, newest)
        if waiting is not None and _untouched(session, waiting):
            revision = Revision(self._words(session, message, _digest(session, waiting)))
            drafting.rewrite(session, self.parts, waiting, revision, Hand(self.by, now))
            _mark(session, waiting, message)
            announcing.brought(session, self.parts, [waiting], now=now)
        else:
            self._begin(session, message, updates=newest, now=now)
        return mailing_id

    def cancel(self, session: Session, mailing_id: int, message: CapMessage, *, now: datetime) -> None:
        """End the alert and its updates, as far as they have not gone: given up, or stopped.

        Nothing is mailed by that: nobody can tell who sent a message of CAP, so taking back is for somebody to do.
        """
        thread = mailings.take_all(session, lambda: _thread(session, mailing_id))
        states = [acting.an_alert(session, one).state for one in thread]
        for one, state in zip(thread, states, strict=True):
            if state in stopping.STOPPABLE:
                stopping.end(session, one, by=self.by)
        gone = any(state in GONE for state in states)
        if gone or any(state in stopping.STOPPABLE for state in states):
            announcing.cancelled(session, self.parts, mailing_id, gone=gone, now=now)

    def _begin(
        self,
        session: Session,
        message: CapMessage,
        *,
        updates: int | None = None,
        ended: int | None = None,
        now: datetime,
    ) -> int:
        # Whatever digest it came in for: what follows an alert is for the readers of that.
        before = updates or ended
        digest = self.digest if before is None else _digest(session, before)
        only, part = narrowing.like(session, before) if before else (None, None)
        wish = Wish(self._words(session, message, digest), digest, updates, only=only, part=part)
        made = drafting.begin(session, self.parts, wish, Hand(self.by, now))
        _mark(session, made, message)
        announcing.brought(session, self.parts, [made], ended=ended, now=now)
        return made

    def _words(self, session: Session, message: CapMessage, digest: str) -> tuple[str, ...]:
        return wording.manuscripts_for(message, digests.by_key(session, digest).languages)

    def _not_gone(self, session: Session, mailing_id: int) -> int | None:
        """The newest of the alert's updates that has not gone, or the alert where it has not."""
        for waiting in mailings.waiting_to_follow(session, mailing_id):
            return waiting
        return mailing_id if acting.an_alert(session, mailing_id).state in NOT_GONE else None


def _thread(session: Session, mailing_id: int) -> list[int]:
    """Return an alert with its updates, those too that have not gone, and the languages of all."""
    found = list[int]()
    for one in (mailing_id, *mailings.followers(session, mailing_id)):
        languages = reversed(mailings.in_all_languages(session, one))
        found += [*mailings.waiting_to_follow(session, one), *languages]
    return found


def _digest(session: Session, mailing_id: int) -> str:
    """Return the key of the digest whose readers an alert is for."""
    return digests.get(session, mailings.get(session, mailing_id).digest_id or 0).key


_BROUGHT = "brought"


def _mark(session: Session, mailing_id: int, message: CapMessage) -> None:
    """Note that a draft stands as it was brought, and how long its message holds: that mark goes with whatever somebody writes."""
    view = mailings.get(session, mailing_id)
    content = lasting.without(view.content) | lasting.stored(message) | {_BROUGHT: True}
    mailings.write_down(session, mailing_id, view.subject, content)


def _untouched(session: Session, mailing_id: int) -> bool:
    view = mailings.get(session, mailing_id)
    return view.state is State.DRAFT and _BROUGHT in view.content


def drafts(parts: Parts, ids: Sequence[int], *, digest_key: str) -> list[int]:
    """Draft an alert from each of these articles, for somebody to look at, as often as they ask; return their mailings."""
    if not parts.letterhead.sender_address:
        return []
    with parts.database.transaction() as session:
        now = database.now(session)
        articles.heed(session, ids, now=now)
        made = [_of_article(session, parts, one, digest_key, now=now) for one in articles.among(session, ids)]
        drafted = [one for one in made if one is not None]
        announcing.brought(session, parts, drafted, now=now)
    telling.nudge(parts.nudger)
    return drafted


@dataclass(frozen=True, slots=True)
class Heeded:
    """What became of articles that ask for an alert. drafts: mailings; told: articles of which the team was told that they ask."""

    drafts: tuple[int, ...] = ()
    told: tuple[int, ...] = ()


def heed(parts: Parts, pressing: Sequence[int], *, digest_key: str | None) -> Heeded:
    """Draft an alert from each article that asks for one, once; of what cannot be drafted tell the team, once.

    digest_key   None: the only digest there is; where there are several, the team is told, since nobody said for whom

    Without a sender nobody can be told, and the next import asks again.
    """
    digest_key = digest_key or _only_digest(parts)
    if not pressing or not parts.letterhead.sender_address:
        return Heeded()
    with parts.database.transaction() as session:
        now = database.now(session)
        found = articles.among(session, articles.heed(session, pressing, now=now))
        made = {one.id: _of_article(session, parts, one, digest_key, now=now) for one in found}
        drafted = [one for one in made.values() if one is not None]
        told = [one for one in found if made[one.id] is None]
        announcing.brought(session, parts, drafted, now=now)
        announcing.pressing(session, parts, told, now=now)
    telling.nudge(parts.nudger)
    return Heeded(tuple(drafted), tuple(one.id for one in told))


def _of_article(
    session: Session, parts: Parts, one: ArticleView, digest_key: str | None, *, now: datetime
) -> int | None:
    if digest_key is None:
        return None
    words = wording.of_article(one, language=digests.by_key(session, digest_key).languages[0])
    return _drafted(session, parts, words, digest_key, now=now)


def _drafted(session: Session, parts: Parts, words: str, digest_key: str, *, now: datetime) -> int | None:
    """Draft one, or say why it cannot be: what a stranger wrote must not keep the others out."""
    try:
        with session.begin_nested():
            return drafting.begin(session, parts, Wish((words,), digest_key), Hand(audit.SHELL, now))
    except NewsletterError as refusal:
        log.warning("not drafted", why=refusal.message)
        return None


def require(parts: Parts, digest_key: str | None) -> None:
    """Raise digests.UnknownDigest where a digest is named that is none: before anything is imported."""
    if digest_key is not None:
        with parts.database.transaction() as session:
            digests.by_key(session, digest_key)


def _only_digest(parts: Parts) -> str | None:
    """Return the key of the one digest there is, or None where there are several or none."""
    with parts.database.transaction() as session:
        found = digests.listed(session)
    return found[0].key if len(found) == 1 else None
