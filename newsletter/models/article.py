"""Texts that came in or were written, with every earlier revision. Owned by `issues`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key


class Feed(Base):
    """Where articles come from: a file or address that was imported, or our own desk."""

    __tablename__ = "feed"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Press(Base):
    """One row that numbers articles as they become ready.

    A sequence would not do: its numbers become visible out of order, and an article that commits late would fall
    behind a cut already made and be lost. Taking the row's lock last in the transaction makes the order of numbers
    the order of commits.
    """

    __tablename__ = "press"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = (CheckConstraint("id = 1", name="there_is_one"),)


class Article(Base):
    """A text. One without ready_seq is archive: it was already old when it came in, and no digest takes it."""

    __tablename__ = "article"

    id: Mapped[Key]
    feed_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("feed.id"))
    guid: Mapped[str]
    revision: Mapped[int] = mapped_column(server_default="1")
    fingerprint: Mapped[bytes]
    title: Mapped[str]
    byline: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    dateline: Mapped[str] = mapped_column(server_default="")
    excerpt: Mapped[str] = mapped_column(server_default="")
    body: Mapped[str] = mapped_column(server_default="")
    categories: Mapped[list[str]] = mapped_column(ARRAY(TEXT), server_default="{}")
    featured: Mapped[bool] = mapped_column(server_default="false")
    urgent: Mapped[bool] = mapped_column(server_default="false")
    kind: Mapped[str] = mapped_column(server_default="article")
    language: Mapped[str | None]
    direction: Mapped[str] = mapped_column(server_default="ltr")
    translation_of: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("article.id"))
    image_url: Mapped[str | None]
    image_alt: Mapped[str] = mapped_column(server_default="")
    url: Mapped[str]
    posted_on: Mapped[datetime]
    ready_seq: Mapped[int | None] = mapped_column(unique=True)
    change_note: Mapped[str] = mapped_column(server_default="")
    withdrawn_at: Mapped[datetime | None]
    # Urgent, or an open letter: when it became a draft of an alert, or the team was told; of what came in as archive, when it came.
    heeded_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("feed_id", "guid"),
        CheckConstraint("kind IN ('article', 'open_letter', 'alert')", name="kind_is_known"),
        CheckConstraint("direction IN ('ltr', 'rtl')", name="direction_is_known"),
        Index(None, "posted_on"),
    )


class ArticleRevision(Base):
    """What an article said before its present revision."""

    __tablename__ = "article_revision"

    article_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("article.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]]
    replaced_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Alert(Base):
    """One language of an urgent mailing of a cause. It has no state of its own beyond its mailing's; it is also an article."""

    __tablename__ = "alert"

    id: Mapped[Key]
    article_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("article.id"), unique=True)
    # Not unique: an alert in several languages is an article in each.
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
