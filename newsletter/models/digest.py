"""A named series in one or more languages. Owned by `issues`; subscriptions point to it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of
from newsletter.models.subscriber import ISSUED, Rhythm


class Digest(Base):
    """A series. The first of its languages is the one that readers of an unlisted language get."""

    __tablename__ = "digest"

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    languages: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    rhythm: Mapped[str] = mapped_column(server_default=Rhythm.WEEKLY)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        # The key stands in List-Id and in URLs, where it must be stable for ever (RFC 2919 §2).
        CheckConstraint("key ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'", name="key_is_a_dns_label"),
        CheckConstraint("cardinality(languages) > 0", name="has_a_language"),
        CheckConstraint(one_of("rhythm", ISSUED), name="rhythm_is_known"),
    )


class Issue(Base):
    """One number of one rhythm of a digest: it covers the articles with cut_from < ready_seq ≤ cut_to."""

    __tablename__ = "issue"

    id: Mapped[Key]
    digest_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("digest.id"))
    rhythm: Mapped[str]
    number: Mapped[int]
    cut_from: Mapped[int]
    cut_to: Mapped[int]
    cut_at: Mapped[datetime]
    articles: Mapped[int]
    mailing_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailing.id"), unique=True)

    __table_args__ = (
        UniqueConstraint("digest_id", "rhythm", "number"),
        UniqueConstraint("digest_id", "rhythm", "cut_to", name="an_issue_is_cut_once"),
        CheckConstraint("cut_from < cut_to", name="covers_something"),
    )
