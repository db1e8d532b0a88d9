"""The proof of consent: append-only events, and where they came from. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal


class Consent(StrEnum):
    """What happened to a permission."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


class Basis(StrEnum):
    """Why we may write to a person for a purpose (GDPR Art. 6; PECR reg. 22)."""

    CONSENT = "consent"
    SOFT_OPT_IN = "soft-opt-in"
    IMPORTED = "imported"


class ImportRun(Base):
    """One import of subscribers: the evidence the operator gave holds for every row it granted."""

    __tablename__ = "import_run"

    id: Mapped[Key]
    evidence_sealed: Mapped[bytes]
    basis: Mapped[str]
    digest_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("digest.id"))
    read: Mapped[int] = mapped_column(server_default="0")
    added: Mapped[int] = mapped_column(server_default="0")
    changed: Mapped[int] = mapped_column(server_default="0")
    unchanged: Mapped[int] = mapped_column(server_default="0")
    rejected: Mapped[int] = mapped_column(server_default="0")
    # Whose export it was; how many were put on the do-not-mail list; how many came without evidence.
    source: Mapped[str] = mapped_column(server_default="csv")
    suppressed: Mapped[int] = mapped_column(server_default="0")
    unproven: Mapped[int] = mapped_column(server_default="0")
    # How many were left out who had been asked because of an earlier list, and stayed silent.
    silent: Mapped[int] = mapped_column(server_default="0")
    # Of how many it overwrote what stood of them, which undoing it leaves; NULL: before this was counted.
    altered: Mapped[int | None]
    # How many may be mailed for each purpose when it was through.
    reach: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    undone_at: Mapped[datetime | None]
    # The event after which words may stand that it did not hear before it was committed; NULL: they were heeded since.
    unheard_after: Mapped[int | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class ConsentEvent(Base):
    """A permission given or withdrawn. Nobody may change or delete one (the app's roles can only insert)."""

    __tablename__ = "consent_event"

    id: Mapped[Key]
    # Not a foreign key: the event outlives the erased person and then points at nobody.
    subscriber_id: Mapped[int]
    kind: Mapped[str]
    basis: Mapped[str | None]
    purpose: Mapped[str]
    import_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("import_run.id"))
    # The permission that an operator took back: that is no word of the person's.
    undoes: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("consent_event.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(one_of("kind", Consent), name="kind_is_known"),
        CheckConstraint(f"basis IS NULL OR {one_of('basis', Basis)}", name="basis_is_known"),
        CheckConstraint("kind <> 'granted' OR basis IS NOT NULL", name="a_grant_has_a_basis"),
        CheckConstraint("undoes IS NULL OR kind = 'withdrawn'", name="undoing_withdraws"),
        Index("undone_once", "undoes", unique=True, postgresql_where="undoes IS NOT NULL"),
        Index(None, "subscriber_id"),
    )


class ConsentDetail(Base):
    """The sealed details of one event (wording, page, truncated address), deleted by erasure."""

    __tablename__ = "consent_detail"

    event_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("consent_event.id"), primary_key=True)
    details_sealed: Mapped[bytes] = mapped_column(info=personal("subscribers"))


class Wording(Base):
    """A text by which people agree, under the version that forms give back. Which text is of which version nobody can change."""

    __tablename__ = "wording"

    version: Mapped[str] = mapped_column(primary_key=True)
    words: Mapped[str]
    kept_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(
            "version = left(encode(sha256(convert_to(words, 'UTF8')), 'hex'), 12)", name="version_is_of_its_words"
        ),
    )


class ImportReject(Base):
    """A row that an import could not take: where and why, never what stood there."""

    __tablename__ = "import_reject"

    import_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("import_run.id"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True, server_default="")
    row: Mapped[int] = mapped_column(primary_key=True)
    column: Mapped[str] = mapped_column("column_name")
    reason: Mapped[str]


class StayedSilent(Base):
    """A mailbox whose owner was asked because of a list and said nothing: no list without evidence has them asked again."""

    __tablename__ = "stayed_silent"

    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime]

    __table_args__ = (Index("silent_by_age", "at"),)


class Unproven(Base):
    """Somebody whom a list names without showing that they asked for it: on this alone nothing is sent before they say yes."""

    __tablename__ = "unproven"

    subscriber_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("subscriber.id", ondelete="CASCADE"), primary_key=True
    )
    digest_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("digest.id"), primary_key=True)
    import_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("import_run.id"), primary_key=True)
    asked_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "import_id"),)


class Leaving(Base):
    """Holds no row. Whoever wishes to leave holds the table for a moment (`subscribers.meanwhile`)."""

    __tablename__ = "leaving"

    nothing: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)

    __table_args__ = (CheckConstraint("nothing IS NULL", name="has_no_row"),)
