"""A fresh link to the address on file: whoever reads that mailbox is whom the record is of (decision 7).

The page, which may have been forwarded, only writes down that one was asked for; a worker mails it, to nobody else, and
countersigns it: no page can make one that a worker believes, and what was not mailed is no fresh link (docs/adr/0028).
"""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from newsletter import database, languages
from newsletter.composer.content import NoticeContent, NoticeKind
from newsletter.composer.styles import Style
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.jobs import DELIVER, SIGNUPS
from newsletter.journeys import notices
from newsletter.journeys.notices import To
from newsletter.journeys.parts import NoSender, Parts
from newsletter.ledger.mailings import Lane
from newsletter.subscribers import fresh, people, styles
from newsletter.tokens import Link, Purpose

KEEPS = timedelta(hours=24)
_LINKS = (Purpose.PREFERENCES, Purpose.FRESH, Purpose.PREVIEW)
"""Those that lead to preferences."""


def ask(parts: Parts, token: str) -> None:
    """Ask for a link, from the page behind any mail of ours. Raises BadToken."""
    with parts.database.impatient() as session:
        link = parts.tokens.read(token, *_LINKS, now=database.now(session))
        if link.purpose is Purpose.PREVIEW:
            return
        fresh.ask(session, link.subscriber_id)
    parts.nudger.nudge(SIGNUPS)


def read(session: Session, parts: Parts, token: str, *, now: datetime) -> Link:
    """Return what a link to preferences may do. A fresh one that no worker mailed may no more than one of a newsletter.

    Whoever has the token keys, also old ones, makes those by themselves. Raises BadToken.
    """
    link = parts.tokens.read(token, *_LINKS, now=now)
    if link.purpose is Purpose.FRESH and not fresh.was_mailed(session, link.subscriber_id, link.countersign):
        return replace(link, purpose=Purpose.PREFERENCES)
    return link


def any_due(parts: Parts) -> bool:
    """Whether `work` has anything to do."""
    with parts.database.transaction() as session:
        return fresh.any_due(session)


def work(parts: Parts) -> int:
    """Mail the links that were asked for; return how many."""
    try:
        parts.letterhead.require()
    except NoSender:
        return 0
    with parts.database.transaction() as session:
        mailed = _mail(session, parts)
    if mailed:
        parts.nudger.nudge(DELIVER[Lane.TRANSACTIONAL])
    return mailed


def _mail(session: Session, parts: Parts) -> int:
    # Every worker loads this story, and those that only send never load premailer and lxml (decision 4).
    from newsletter.composer import notice

    now, key_id = database.now(session), session.vault.countersigner
    assert key_id is not None, "the pages mail nothing"
    groups: defaultdict[tuple[str, Style], list[To]] = defaultdict(list)
    for one in fresh.take(session, key_id=key_id, now=now):
        person = people.by_id(session, one.subscriber_id)
        if person is not None:
            spoken = languages.or_english(person.language)
            look = styles.of(session, person.id).style
            occasion = asking.to_prove(person.id, now, key_id)
            fresh.keep(session, one, asking.countersign(session.vault, occasion, person.mailbox_id))
            groups[spoken, look].append(To(person.mailbox_id, person.id, occasion))
    for (language, look), to in groups.items():
        frame = parts.letterhead.notice_frame(parts.letterhead.sender_name, language=language, style=look)
        compiled = notice.compose(NoticeContent(NoticeKind.PROVE, (), written_on=now.date()), frame, parts.layout)
        notices.post(session, compiled, to, subject="prove", language=language, expires_at=now + KEEPS, now=now)
    return sum(map(len, groups.values()))
