"""A fresh link to the address on file: whoever reads that mailbox is whom the record is of (decision 7).

The page, which may have been forwarded, only writes down that one was asked for; a worker mails it, to nobody else, and
countersigns it: no page can make one that a worker believes (docs/adr/0028).
"""

from collections import defaultdict
from datetime import timedelta

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
from newsletter.tokens import Purpose

KEEPS = timedelta(hours=24)


def ask(parts: Parts, token: str) -> None:
    """Ask for a link, from the page behind any mail of ours. Raises BadToken."""
    with parts.database.impatient() as session:
        link = parts.tokens.read(token, Purpose.PREFERENCES, Purpose.FRESH, Purpose.PREVIEW, now=database.now(session))
        if link.purpose is Purpose.PREVIEW:
            return
        fresh.ask(session, link.subscriber_id)
    parts.nudger.nudge(SIGNUPS)


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
            groups[spoken, look].append(To(person.mailbox_id, person.id, asking.to_prove(person.id, now, key_id)))
    for (language, look), to in groups.items():
        frame = parts.letterhead.notice_frame(parts.letterhead.sender_name, language=language, style=look)
        compiled = notice.compose(NoticeContent(NoticeKind.PROVE, (), written_on=now.date()), frame, parts.layout)
        notices.post(session, compiled, to, subject="prove", language=language, expires_at=now + KEEPS, now=now)
    return sum(map(len, groups.values()))
