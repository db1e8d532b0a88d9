"""What refusals say of a mailing as it goes, by provider group: the counts that may stop it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from newsletter.models.mailing import Mailing, State, Tally

HOLD = timedelta(hours=1)
WITH_ALERT = "with its alert"
"""What stands in a later language that was paused with its alert, and goes on with it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Attempts, and those that were refused for one of the reasons that matter; complaints come back later.

    in_a_row   first attempts refused for content or protocol, since one was answered otherwise; of several groups the most
    """

    tried: int = 0
    dead: int = 0
    policy: int = 0
    sender: int = 0
    complaints: int = 0
    content: int = 0
    protocol: int = 0
    in_a_row: int = 0


def add(session: Session, mailing_id: int, provider: str, counts: Counts) -> None:
    """Add to a mailing's counts."""
    facts = {name: getattr(counts, name) for name in Counts.__slots__}
    session.execute(_ADD, facts | {"mailing": mailing_id, "provider": provider})


_ADD = text("""
    INSERT INTO tally (mailing_id, provider, tried, dead, policy, sender, complaints, content, protocol, in_a_row)
    VALUES (:mailing, :provider, :tried, :dead, :policy, :sender, :complaints, :content, :protocol, :in_a_row)
    ON CONFLICT (mailing_id, provider) DO UPDATE SET tried = tally.tried + excluded.tried, dead = tally.dead + excluded.dead,
        policy = tally.policy + excluded.policy, sender = tally.sender + excluded.sender,
        complaints = tally.complaints + excluded.complaints, content = tally.content + excluded.content,
        protocol = tally.protocol + excluded.protocol,
        in_a_row = excluded.in_a_row + CASE WHEN excluded.tried > excluded.content + excluded.protocol THEN 0
            ELSE tally.in_a_row END
""")


def of(session: Session, mailing_id: int, provider: str | None = None) -> Counts:
    """Return the counts of a mailing, or of one provider group in it."""
    columns = [
        func.coalesce((func.max if name == "in_a_row" else func.sum)(getattr(Tally, name)), 0)
        for name in Counts.__slots__
    ]
    statement = select(*columns).where(Tally.mailing_id == mailing_id)
    if provider is not None:
        statement = statement.where(Tally.provider == provider)
    return Counts(*map(int, session.execute(statement).one()))


def halt(session: Session, mailing_id: int, why: str) -> bool:
    """Pause a mailing that is being sent, by itself; return whether it was."""
    found = session.execute(_HALT, {"mailing": mailing_id, "why": why})
    return bool(found.rowcount)  # type: ignore[attr-defined]


_HALT = text("UPDATE mailing SET state = 'paused', halted = :why WHERE id = :mailing AND state = 'sending'")


def hold(session: Session, mailing_id: int, provider: str, *, now: datetime) -> bool:
    """Let nothing more of a mailing go to one provider group for an hour; return whether that is new."""
    facts = {"mailing": mailing_id, "provider": provider, "until": now + HOLD, "now": now}
    return bool(session.execute(_HOLD, facts).rowcount)  # type: ignore[attr-defined]


# Leasing and windows ask for it, so that what is in hand ends with its window.
_HOLD = text("""
    UPDATE tally SET held_until = :until
    WHERE mailing_id = :mailing AND provider = :provider AND (held_until IS NULL OR held_until <= :now)
""")


def forget(session: Session, mailing_id: int) -> None:
    """Count anew: an operator has looked and lets the mailing go on."""
    session.execute(delete(Tally).where(Tally.mailing_id == mailing_id))
    session.execute(text("UPDATE mailing SET halted = NULL WHERE id = :mailing"), {"mailing": mailing_id})


def along(session: Session, alert_id: int) -> list[int]:
    """Return the later languages of an alert that were paused with it, not those that somebody paused, or that halted."""
    mine = Mailing.translates == alert_id, Mailing.state == State.PAUSED, Mailing.halted == WITH_ALERT
    return list(session.execute(select(Mailing.id).where(*mine).order_by(Mailing.id)).scalars())


def halted(session: Session) -> list[tuple[int, str]]:
    """Return the mailings that stopped by themselves and wait for an operator, with the reason."""
    found = session.execute(
        select(Mailing.id, Mailing.halted).where(Mailing.state == State.PAUSED, Mailing.halted.is_not(None))
    )
    return [(mailing_id, why or "") for mailing_id, why in found]
