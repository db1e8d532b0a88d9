"""Articles taken back: no issue composed from then on carries them. What carries them already, the ledger holds."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, cast, func, select, update

from newsletter.database import Session
from newsletter.models.article import Alert, Article


def of_alert(session: Session, mailing_id: int, *, now: datetime) -> list[int]:
    """Withdraw what an alert became as an article, in each language; return the articles, also those withdrawn before."""
    mine = select(Alert.article_id).where(Alert.mailing_id == mailing_id)
    moment = func.coalesce(Article.withdrawn_at, now)
    statement = update(Article).where(Article.id.in_(mine)).values(withdrawn_at=moment).returning(Article.id)
    return list(session.execute(statement.execution_options(synchronize_session=False)).scalars())


def standing(session: Session, mailings: Iterable[int]) -> list[int]:
    """Return those of some alerts that are articles which nobody has withdrawn, oldest first."""
    chosen = Alert.mailing_id.in_(list(mailings)), Article.withdrawn_at.is_(None)
    query = select(Alert.mailing_id).join(Article, Article.id == Alert.article_id).where(*chosen)
    return list(session.execute(query.distinct().order_by(Alert.mailing_id)).scalars())


def among(session: Session, articles: Iterable[int]) -> list[int]:
    """Return those of some articles that are withdrawn."""
    # One array, where IN would be compiled anew for each number of articles.
    chosen = Article.id == func.any(cast(list(articles), ARRAY(BigInteger)))
    return list(session.execute(select(Article.id).where(chosen, Article.withdrawn_at.is_not(None))).scalars())
