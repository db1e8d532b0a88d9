"""Where one issue ends and the next begins.

An issue is cut once per (digest, rhythm, number) and covers what became ready after the last cut, up to this one. A clock
plays no part: an article that comes late is in the next issue, never lost between two.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.issues import rhythms
from newsletter.models.digest import Digest, Issue
from newsletter.subscribers.subscriptions import ISSUED, Rhythm


class NothingNew(Conflict):
    """No article has become ready since the last cut."""

    def __init__(self, digest: str, rhythm: str) -> None:
        super().__init__("issue.nothing-new", digest=digest, rhythm=rhythm)


class NeverCut(Invalid):
    """No issue is cut for those who take emergencies only."""

    def __init__(self, rhythm: str) -> None:
        super().__init__("issue.never-cut", rhythm=rhythm)


class UnknownIssue(NotFound):
    """There is no issue of this number."""

    def __init__(self, issue_id: int) -> None:
        super().__init__("issue.unknown", issue=issue_id)


@dataclass(frozen=True, slots=True)
class Cut:
    """What the next issue covers: after < ready_seq ≤ upto."""

    number: int
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class IssueView:
    """A composed issue."""

    id: int
    digest_id: int
    digest: str
    rhythm: str
    number: int
    articles: int
    mailing_id: int
    cut_at: datetime


def cuttable(rhythm: str) -> str:
    """Return a rhythm in which issues are cut. Raises NeverCut for another."""
    if rhythm not in ISSUED:
        raise NeverCut(rhythm)
    return rhythm


def next_cut(session: Session, digest_id: int, rhythm: str, *, upto: int) -> Cut:
    """Return what the next issue of a digest and rhythm covers. Waits for whoever is composing the same one."""
    session.execute(select(Digest.id).where(Digest.id == digest_id).with_for_update())
    last = session.execute(
        select(Issue.number, Issue.cut_to)
        .where(Issue.digest_id == digest_id, Issue.rhythm == rhythm)
        .order_by(Issue.number.desc())
        .limit(1)
    ).one_or_none()
    return Cut(number=last.number + 1 if last else 1, after=last.cut_to if last else 0, upto=upto)


def last_cut(session: Session, digest_id: int, rhythm: str) -> int:
    """Return where the last issue for readers of a rhythm was cut: what a new one is taken to have had. 0 before the first.

    Of a rhythm in which none is cut, where the last of any was. Waits for nobody: the pages ask it too.
    """
    own = session.execute(select(Digest.rhythm).where(Digest.id == digest_id)).scalar_one()
    theirs = rhythms.issues_for(rhythm, own=Rhythm(own))
    cuts = select(func.max(Issue.cut_to)).where(Issue.digest_id == digest_id)
    return session.execute(cuts.where(Issue.rhythm.in_(theirs)) if theirs else cuts).scalar_one() or 0


def was_cut(session: Session, digest_id: int, rhythm: str, *, since: datetime) -> bool:
    """Return whether an issue of a digest and rhythm was cut after some moment."""
    cut = exists().where(Issue.digest_id == digest_id, Issue.rhythm == rhythm, Issue.cut_at > since)
    return bool(session.execute(select(cut)).scalar_one())


def record(
    session: Session, digest_id: int, rhythm: str, cut: Cut, *, articles: int, mailing_id: int, now: datetime
) -> int:
    """Store an issue and return its number in the list of all issues."""
    issue = Issue(
        digest_id=digest_id,
        rhythm=rhythm,
        number=cut.number,
        cut_from=cut.after,
        cut_to=cut.upto,
        cut_at=now,
        articles=articles,
        mailing_id=mailing_id,
    )
    session.add(issue)
    session.flush()
    return issue.id


def get(session: Session, issue_id: int) -> IssueView:
    """Return an issue. Raises UnknownIssue."""
    found = session.get(Issue, issue_id)
    if found is None:
        raise UnknownIssue(issue_id)
    return _view(found, session.get_one(Digest, found.digest_id).key)


def in_archive(session: Session, digest_key: str, *, limit: int = 100) -> list[IssueView]:
    """Return the issues of a digest, newest first."""
    statement = (
        select(Issue, Digest.key)
        .join(Digest, Digest.id == Issue.digest_id)
        .where(Digest.key == digest_key)
        .order_by(Issue.id.desc())
        .limit(limit)
    )
    return [_view(issue, key) for issue, key in session.execute(statement)]


def _view(issue: Issue, key: str) -> IssueView:
    return IssueView(
        issue.id, issue.digest_id, key, issue.rhythm, issue.number, issue.articles, issue.mailing_id, issue.cut_at
    )
