"""The owner of an address says yes on a page, by the link of the mail or by its figures; a worker judges it (docs/adr/0032).

The pages hold what makes a link to confirm, and not what stands behind one that was mailed. So they write down what was said, and
nothing follows before a worker has found in it what the question was mailed with.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from newsletter import database, mailboxes
from newsletter.database import Session
from newsletter.delivery import asking
from newsletter.errors import Invalid, NewsletterError, NotFound
from newsletter.issues import digests
from newsletter.jobs import SIGNUPS
from newsletter.journeys import consenting
from newsletter.journeys.parts import Parts
from newsletter.subscribers import agreements, answers, signup
from newsletter.subscribers.answers import Said
from newsletter.subscribers.signup import Answer
from newsletter.tokens import Purpose

log = structlog.get_logger()


class WrongCode(Invalid):
    """The figures are not those in the mail; left: how many tries remain."""

    def __init__(self, left: int) -> None:
        super().__init__("joining.wrong-code", left=left)


class NoTryLeft(Invalid):
    """Nothing can be confirmed by a code on that page any more; the mail's button still does."""

    def __init__(self) -> None:
        super().__init__("joining.no-try-left")


class NotJudged(NewsletterError):
    """No worker has looked at the figures yet."""

    status = 503

    def __init__(self) -> None:
        super().__init__("joining.not-judged")


class TooLate(NotFound):
    """What the link is about has been forgotten, as it is a month after the form."""

    def __init__(self) -> None:
        super().__init__("joining.too-late")


@dataclass(frozen=True, slots=True)
class Trial:
    """Figures that a worker is to judge. left: how many tries remain should they be wrong."""

    answer_id: int
    left: int

    @property
    def refusal(self) -> WrongCode | NoTryLeft:
        """What is said where they are wrong."""
        return WrongCode(self.left) if self.left else NoTryLeft()


def look(parts: Parts, token: str, *, now: datetime | None = None) -> str:
    """Return a hint of whose link it is; "" where that is not known, or nothing can be confirmed. Changes nothing. Raises BadToken.

    By the link alone: the pages' role does not read to whom a sign-up was mailed. Only if a worker mailed it: the token key names
    anybody.
    """
    with parts.database.transaction() as session:
        link = parts.tokens.read(token, Purpose.CONFIRM, Purpose.PREVIEW, now=now or database.now(session))
        made = [one.link for one in asking.signs(session.vault, link.signup_id, link.mailbox_id)]
        mailed = any(secrets.compare_digest(one, link.countersign) for one in made)
        if link.purpose is Purpose.PREVIEW or not mailed or not signup.is_asked(session, link.signup_id):
            return ""
        return mailboxes.hint(session, link.mailbox_id)


def confirm(parts: Parts, token: str, *, wording: str = "", now: datetime | None = None) -> bool:
    """Say yes by the link of the mail. Safe to repeat. Raises BadToken, TooLate.

    wording   the version of the page's words

    Returns False where its owner is asked once more: by a link without a countersign, as it was mailed before there was one, and
    where they have left since what it brought them.
    """
    with parts.database.transaction() as session:
        link = parts.tokens.read(token, Purpose.CONFIRM, Purpose.PREVIEW, now=now or database.now(session))
        if link.purpose is Purpose.PREVIEW:
            return True
        if not signup.is_asked(session, link.signup_id):
            raise TooLate
        version, late = _kept(session, parts, wording), answers.is_late(session, link.signup_id, link.mailbox_id)
        answers.add(session, link.signup_id, by=Answer.LINK, secret=link.countersign, wording=version)
    parts.nudger.nudge(SIGNUPS)
    return bool(link.countersign) and not late


def try_code(parts: Parts, pending: str, written: str, *, wording: str = "", now: datetime | None = None) -> Trial:
    """Say yes by the figures of the mail, on the page where it was asked for. Raises NoTryLeft.

    wording   the version of the words on that page; "" where it shows none

    The same is done whether or not anybody was asked: else the page would tell. `believed` says what a worker found.
    """
    with parts.database.transaction() as session:
        tried = signup.count_try(session, pending, now=now or database.now(session))
        if tried is None:
            raise NoTryLeft
        version = _kept(session, parts, wording)
        secret = answers.digits(written)
        number = answers.add(session, tried.number, by=Answer.CODE, secret=secret, wording=version)
    parts.nudger.nudge(SIGNUPS)
    return Trial(number, tried.left)


def believed(parts: Parts, trial: Trial) -> bool | None:
    """Return whether figures were the right ones; None as long as no worker has judged them."""
    with parts.database.transaction() as session:
        return answers.outcome(session, trial.answer_id)


def _kept(session: Session, parts: Parts, wording: str) -> str:
    known = consenting.known(session, parts, wording) if wording else None
    if known is None:
        return ""
    # Whoever deals with the answer may not have our words of today yet, or not any more.
    agreements.keep(session, [known])
    return known.version


def judge(parts: Parts) -> int:
    """Believe what was said on pages, or not, a batch at most; return how many answers were judged."""
    for done in range(signup.BATCH):
        # Each by itself: two workers at it lock one sign-up at a time, and a page waits for its own alone.
        with parts.database.transaction() as session:
            said = answers.take(session)
            if said is None:
                return done
            found = _is_proved(session, said)
            late = found and answers.is_late(session, said.signup_id, said.mailbox_id or 0)
            if found:
                _hear(session, said.signup_id, late=late, by=said.by, now=said.said_at, wording=said.wording)
            elif said.by is Answer.LINK:
                log.info("an answer is not believed", signup=said.signup_id)
                ask_anew(session, said.signup_id)
            # Whoever is asked once more must not read on the page that waits that they are on the list.
            answers.judged(session, said, believed=found and not late)
    return signup.BATCH


def _is_proved(session: Session, said: Said) -> bool:
    # Compared also where nothing can be confirmed: so that it takes as long.
    made = asking.signs(session.vault, said.signup_id, said.mailbox_id or 0)
    right = [said.proved_by(one.code if said.by is Answer.CODE else one.link) for one in made]
    return any(right) and said.in_time and signup.is_asked(session, said.signup_id)


def is_signed(parts: Parts, signup_id: int, reply: str) -> bool:
    """Whether an answer came to the very address that the question of a sign-up was mailed with."""
    with parts.database.transaction() as session:
        mailbox_id = signup.mailbox_of(session, signup_id)
        made = asking.signs(session.vault, signup_id, mailbox_id or 0)
    return bool(reply) and any(secrets.compare_digest(one.reply, reply) for one in made)


def hear(session: Session, signup_id: int, *, by: Answer, now: datetime, wording: str = "") -> bool:
    """Write down a yes that is proved; return False where there is no such wish any more. Safe to repeat.

    Who has left since what it brought them is asked once more: the mail of before brings nobody back by itself.
    """
    late = answers.is_late(session, signup_id, signup.mailbox_of(session, signup_id) or 0)
    return _hear(session, signup_id, late=late, by=by, now=now, wording=wording)


def _hear(session: Session, signup_id: int, *, late: bool, by: Answer, now: datetime, wording: str) -> bool:
    if late:
        return ask_anew(session, signup_id, settled=True)
    return signup.answer(session, signup_id, by=by, now=now, wording=wording)


def ask_anew(session: Session, signup_id: int, *, settled: bool = False) -> bool:
    """Put a wish forward once more whose yes proves nothing: its mail is from before a key, or the answer from somebody else.

    settled   it came true, and its owner has left since

    It is held and counted as whatever strangers send, also where a list had named them: now somebody stands before the page that
    says "look for the mail". False where nothing is open.
    """
    wish = signup.open_wish(session, signup_id, settled=settled)
    if wish is None:
        return False
    known = {key: number for number, key in digests.keys(session).items()}
    wanted = [known[key] for key in wish.choices if key in known]
    asks = replace(wish, listed=False)
    signup.add(session, secrets.token_urlsafe(16), asks, now=database.now(session), digest_ids=wanted)
    return True
