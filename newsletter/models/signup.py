"""Wishes to join, from the form to their end: answered, or forgotten after a month. Owned by `subscribers`."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, func
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of, personal

UNANSWERED = "asked_at IS NOT NULL AND answered_at IS NULL"


class SignupState(StrEnum):
    """Where a wish to join stands.

    WAITING   nobody has looked at it
    ASKED     its owner was mailed a question
    BESIDE    its owner was asked lately by another one: whoever answers that answers this as well, if that mail names it
    REFUSED   nothing can be written to what it names, or its owner said no, to this one or lately to another
    SETTLED   its owner said yes, and gets what it asked for
    HELD      more came like it than are let through: it waits for room, or for an operator
    UNDONE    an operator took it back; it is kept as long as the question that was asked counts
    """

    WAITING = "waiting"
    ASKED = "asked"
    BESIDE = "beside"
    REFUSED = "refused"
    SETTLED = "settled"
    HELD = "held"
    UNDONE = "undone"


class Why(StrEnum):
    """Why a wish is held: too many questions that nobody answered went to wishes of its kind, or a program sent it.

    CLIENT     from its own address
    NET        from its /24 or /48
    PROVIDER   to mailboxes of one provider
    OVERALL    to anybody
    QUICK      our form was sent sooner than a person reads it
    """

    CLIENT = "client"
    NET = "net"
    PROVIDER = "provider"
    OVERALL = "overall"
    QUICK = "quick"


class Answer(StrEnum):
    """By what an owner of an address said yes."""

    LINK = "link"
    CODE = "code"
    REPLY = "reply"


class Signup(Base):
    """One form that was sent. pending: the digest of what its page was given; beside it a code is tried, for this wish."""

    __tablename__ = "signup"

    id: Mapped[Key]
    pending: Mapped[bytes] = mapped_column(unique=True)
    wish_sealed: Mapped[bytes] = mapped_column(info=personal("subscribers"))
    state: Mapped[str] = mapped_column(server_default=SignupState.WAITING)
    mailbox_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailbox.id", ondelete="CASCADE"))
    came_at: Mapped[datetime] = mapped_column(server_default=func.now())
    asked_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    # The version of the words in the mail that asked; after an answer, of those on the page or in the mail where it was given.
    answered_wording: Mapped[str | None]
    # The digests in the mail that asked; and from when to ask about one that waits beside a mail which does not name it.
    named: Mapped[list[int]] = mapped_column(ARRAY(BIGINT), server_default="{}")
    again_at: Mapped[datetime | None]
    # When its owner said that they did not ask for it: nobody is asked at that inbox for a month.
    refused_at: Mapped[datetime | None]
    # Keyed digest of the inbox that mail to its address ends in: by it questions are counted.
    inbox: Mapped[bytes | None] = mapped_column(info=personal("subscribers"))
    # Where it came from, as keyed digests; and what operators tell waves apart by.
    client: Mapped[bytes | None]
    net: Mapped[bytes | None]
    provider: Mapped[str] = mapped_column(server_default="other")
    form: Mapped[str] = mapped_column(server_default="")
    digest_ids: Mapped[list[int]] = mapped_column(ARRAY(BIGINT), server_default="{}")
    quick: Mapped[bool] = mapped_column(server_default="false")
    proved: Mapped[bool] = mapped_column(server_default="false")
    held_why: Mapped[str | None]
    held_at: Mapped[datetime | None]
    # What an operator asked for; the worker does it.
    released_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    # What came of it: events of consent, and the person who was nobody before. No foreign key: they may be erased.
    events: Mapped[list[int]] = mapped_column(ARRAY(BIGINT), server_default="{}")
    made_person: Mapped[int | None]

    __table_args__ = (
        CheckConstraint(one_of("state", SignupState), name="state_is_known"),
        CheckConstraint(f"answered_by IS NULL OR {one_of('answered_by', Answer)}", name="answer_is_known"),
        CheckConstraint("(answered_at IS NULL) = (answered_by IS NULL)", name="an_answer_has_a_way"),
        CheckConstraint("state <> 'asked' OR asked_at IS NOT NULL", name="asked_at_some_time"),
        CheckConstraint(f"held_why IS NULL OR {one_of('held_why', Why)}", name="why_is_known"),
        CheckConstraint("state <> 'held' OR (held_why IS NOT NULL AND held_at IS NOT NULL)", name="held_for_a_reason"),
        Index("signups_of_a_mailbox", "mailbox_id", postgresql_where="mailbox_id IS NOT NULL"),
        Index("signups_of_an_inbox", "inbox", postgresql_where="inbox IS NOT NULL"),
        Index("signups_to_look_at", "id", postgresql_where="state = 'waiting'"),
        Index(
            "signups_answered",
            "id",
            postgresql_where="answered_at IS NOT NULL AND state <> 'settled' AND state <> 'undone'",
        ),
        Index("signups_by_age", "came_at"),
        Index("signups_to_ask_about", "again_at", postgresql_where="state = 'beside' AND again_at IS NOT NULL"),
        Index("signups_of_known_origin", "came_at", postgresql_where="client IS NOT NULL"),
        Index("signups_held", "id", postgresql_where="state = 'held'"),
        Index("signups_to_undo", "id", postgresql_where="undone_at IS NOT NULL AND state <> 'undone'"),
        Index("unanswered_of_a_client", "client", "asked_at", postgresql_where=UNANSWERED),
        Index("unanswered_of_a_net", "net", "asked_at", postgresql_where=UNANSWERED),
        Index("unanswered", "asked_at", postgresql_where=UNANSWERED),
    )


class SignupAnswer(Base):
    """A yes that a page took in. proof: its words, keyed with what stood in the mail (docs/adr/0032).

    believed   what a worker found; None: nobody has looked
    """

    __tablename__ = "signup_answer"

    id: Mapped[Key]
    signup_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("signup.id", ondelete="CASCADE"))
    by: Mapped[str]
    wording: Mapped[str] = mapped_column(server_default="")
    proof: Mapped[bytes]
    said_at: Mapped[datetime] = mapped_column(server_default=func.now())
    believed: Mapped[bool | None]

    __table_args__ = (
        CheckConstraint("by IN ('link', 'code')", name="way_is_a_page"),
        Index(None, "signup_id"),
        Index("signup_answers_to_judge", "id", postgresql_where="believed IS NULL"),
    )


class SignupWave(Base):
    """A time in which many wishes were held. held: how many when it began. ended_at NULL: it goes on."""

    __tablename__ = "signup_wave"

    id: Mapped[Key]
    began_at: Mapped[datetime]
    held: Mapped[int]
    ended_at: Mapped[datetime | None]
