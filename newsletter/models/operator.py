"""People who log in, by what they prove it, and what they may do. Owned by `operators`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal


class Role(StrEnum):
    """What someone is trusted with. What each may do stands in `operators.roles`."""

    WRITER = "writer"
    SENDER = "sender"
    APPROVER = "approver"
    DATA_OFFICER = "data-officer"
    AUDITOR = "auditor"


class Factor(StrEnum):
    """By what a second step was proven."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY = "recovery"


class Stage(StrEnum):
    """How far a session has come: `half` knows a password and may do nothing but prove a second factor."""

    HALF = "half"
    FULL = "full"


class Calling(StrEnum):
    """Why somebody is invited to enrol: they are new, or they lost their phone and two others signed for them."""

    NEW = "new"
    LOST = "lost"


class Operator(Base):
    """Someone who logs in. The address stands in their mailbox, the name and the TOTP secret are sealed.

    totp_step     the last time step that was used: each counts once
    tries         second factors that failed since the last that did not; `locked_until` follows the fifth
    readmitted_at when they were let back in, last: what they said before counts no more
    language      of the pages and mails they get; NULL: as their browser asks, and mails in English
    """

    __tablename__ = "operator"

    id: Mapped[Key]
    mailbox_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("mailbox.id"), unique=True)
    name_sealed: Mapped[bytes] = mapped_column(info=personal("operators"))
    password_hash: Mapped[str | None]
    totp_sealed: Mapped[bytes | None] = mapped_column(info=personal("operators"))
    totp_step: Mapped[int | None]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    locked_until: Mapped[datetime | None]
    enrolled_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    language: Mapped[str | None]
    readmitted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint(
            "enrolled_at IS NULL OR (password_hash IS NOT NULL AND totp_sealed IS NOT NULL)",
            name="enrolled_with_two_factors",
        ),
    )


class OperatorRole(Base):
    """A role of an operator. Given by the command line alone: the pages' database role cannot write here."""

    __tablename__ = "operator_role"

    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)

    __table_args__ = (CheckConstraint(one_of("role", Role), name="role_is_known"),)


class Disabling(Base):
    """That somebody was disabled, which a worker took on to tell the team: the pages' role can lock no such row.

    at   `operator.disabled_at` of then: whoever comes back and is disabled again is told of again
    """

    __tablename__ = "disabling"

    operator_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)


class Passkey(Base):
    """A public key that an authenticator keeps the other half of (WebAuthn). `label`: what its owner calls it."""

    __tablename__ = "passkey"

    id: Mapped[Key]
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    credential: Mapped[bytes] = mapped_column(unique=True)
    public_key: Mapped[bytes]
    count: Mapped[int] = mapped_column(server_default="0")
    label: Mapped[str]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())
    used_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "operator_id"),)


class RecoveryCode(Base):
    """One of ten codes on paper, as a keyed digest; each works once."""

    __tablename__ = "recovery_code"

    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    used_at: Mapped[datetime | None]


class Invitation(Base):
    """A link by which an operator enrols, as a keyed digest: once, and not for long."""

    __tablename__ = "invitation"

    id: Mapped[Key]
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    calling: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("calling", Calling), name="calling_is_known"),
        # A second invitation ends the first.
        Index("one_open_invitation", "operator_id", unique=True, postgresql_where="ended_at IS NULL"),
    )


class Rescue(Base):
    """A lost phone: two other operators sign, then its owner is invited anew."""

    __tablename__ = "rescue"

    id: Mapped[Key]
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("id", "operator_id"),
        Index("one_open_rescue", "operator_id", unique=True, postgresql_where="ended_at IS NULL"),
    )


class RescueSignature(Base):
    """One operator's word that another lost their phone. Only ever added; nobody signs for themselves."""

    __tablename__ = "rescue_signature"

    rescue_id: Mapped[int] = mapped_column(primary_key=True)
    operator_id: Mapped[int]
    signer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        ForeignKeyConstraint(["rescue_id", "operator_id"], ["rescue.id", "rescue.operator_id"]),
        CheckConstraint("signer_id <> operator_id", name="signed_by_another"),
    )


class OperatorSession(Base):
    """A log-in on one device, by the keyed digest of its cookie.

    seen_at       of the last POST: looking at a page does not keep a session alive
    factor_at     when a second factor was last proven
    challenge     what a passkey is asked to sign next, for `challenge_for`; used once
    """

    __tablename__ = "operator_session"

    id: Mapped[Key]
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    digest: Mapped[bytes] = mapped_column(unique=True)
    stage: Mapped[str]
    device_sealed: Mapped[bytes | None] = mapped_column(info=personal("operators"))
    began_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    factor: Mapped[str | None]
    factor_at: Mapped[datetime | None]
    challenge: Mapped[bytes | None]
    challenge_for: Mapped[str | None]
    challenge_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(one_of("stage", Stage), name="stage_is_known"),
        CheckConstraint(f"factor IS NULL OR {one_of('factor', Factor)}", name="factor_is_known"),
        CheckConstraint("stage = 'half' OR factor IS NOT NULL", name="full_by_a_second_factor"),
        CheckConstraint("(factor IS NULL) = (factor_at IS NULL)", name="a_factor_has_its_moment"),
        Index("live_sessions", "operator_id", postgresql_where="ended_at IS NULL"),
    )


class Throttle(Base):
    """Attempts to log in for one account, address or device, by keyed digest; forgotten when its window has passed."""

    __tablename__ = "login_throttle"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    tries: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime]

    __table_args__ = (Index(None, "since"),)


class ApiToken(Base):
    """A key for a program that acts as an operator, within its scopes, by keyed digest."""

    __tablename__ = "api_token"

    id: Mapped[Key]
    operator_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("operator.id"))
    label: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "operator_id"),)
