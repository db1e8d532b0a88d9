"""Pictures of articles: which are to be fetched, what became of them, and where we serve them.

A reader's mail program must never ask a stranger's server for a picture: that server would learn who reads what, and when.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter.models.article import Article
from newsletter.models.picture import Picture


@dataclass(frozen=True, slots=True)
class Served:
    """Where a picture stands on our own pages, and its size in pixels."""

    path: str
    width: int
    height: int


def due(session: Session, *, limit: int) -> list[str]:
    """Return the addresses of pictures that were never asked for, those of the newest articles first."""
    source = func.sha256(func.convert_to(Article.image_url, "UTF8"))
    statement = (
        select(Article.image_url)
        .where(Article.image_url.is_not(None), Article.ready_seq.is_not(None), Article.withdrawn_at.is_(None))
        .where(~select(Picture.id).where(Picture.source == source).exists())
        .group_by(Article.image_url)
        .order_by(func.max(Article.ready_seq).desc())
        .limit(limit)
    )
    return [url for url in session.execute(statement).scalars() if url]


def claim(session: Session, url: str, *, now: datetime) -> bool:
    """Take a picture on before it is asked for; return whether nobody had. Whoever dies over it is not followed by others."""
    row = {"source": _source(url), "fetched_at": now, "fault": "not finished"}
    statement = postgresql.insert(Picture).values(row).on_conflict_do_nothing().returning(Picture.id)
    return session.execute(statement).scalar_one_or_none() is not None


def keep(session: Session, url: str, body: bytes, *, width: int, height: int, now: datetime) -> None:
    """Store a picture that was claimed, under the name of its content."""
    name = hashlib.sha256(body).hexdigest()[:32]
    _store(session, url, name=name, body=body, width=width, height=height, fault=None, fetched_at=now)


def drop(session: Session, url: str, fault: str, *, now: datetime) -> None:
    """Remember that a picture could not be had; it is not asked for again."""
    _store(session, url, fault=fault, fetched_at=now)


def _store(session: Session, url: str, **facts: object) -> None:
    statement = update(Picture).where(Picture.source == _source(url), Picture.name.is_(None)).values(**facts)
    session.execute(statement.execution_options(synchronize_session=False))


def served(session: Session, urls: Iterable[str]) -> dict[str, Served]:
    """Return where we serve the pictures of these addresses; those that could not be had are missing."""
    wanted = {_source(url): url for url in urls}
    statement = select(Picture.source, Picture.name, Picture.width, Picture.height).where(
        Picture.source.in_(list(wanted)), Picture.name.is_not(None)
    )
    return {
        wanted[bytes(row.source)]: Served(f"/pictures/{row.name}.jpg", row.width or 0, row.height or 0)
        for row in session.execute(statement)
    }


def body(session: Session, name: str) -> bytes | None:
    """Return the JPEG of a name, or None; also where it is not the one that was given this name."""
    if not re.fullmatch("[0-9a-f]{32}", name):
        return None
    found = session.execute(select(Picture.body).where(Picture.name == name).limit(1)).scalar_one_or_none()
    return found if found is not None and hashlib.sha256(found).hexdigest().startswith(name) else None


def digest(session: Session, url: str, *, ours: Iterable[str]) -> str:
    """Return the SHA-256 of the picture that an address of one of our sites leads to, in hexadecimal; "" for all else.

    ours   how the addresses of our sites begin
    """
    name = re.fullmatch("/pictures/([0-9a-f]{32})[.]jpg", _path(url, ours))
    found = body(session, name[1]) if name else None
    return hashlib.sha256(found).hexdigest() if found is not None else ""


def _path(url: str, ours: Iterable[str]) -> str:
    return next((url.removeprefix(one) for one in ours if url.startswith(f"{one}/")), "")


def _source(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()
