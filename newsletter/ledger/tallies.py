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

    in_a_row    first attempts refused for content or protocol, since one was answered otherwise; of several groups the most
    standstill  first attempts refused for good as "try later" or "full"
    """

    tried: int = 0
    dead: int = 0
    policy: int = 0
    sender: int = 0
    complaints: int = 0
    content: int = 0
    protocol: int = 0
    in_a_row: int = 0
    standstill: int = 0


def add(session: Session, mailing_id: int, provider: str, counts: Counts) -> None:
    """Add to a mailing's counts. While a group is held nothing counts: it is about what went before, and each hold counts anew."""
    facts = {name: getattr(counts, name) for name in Counts.__slots__}
    session.execute(_ADD, facts | {"mailing": mailing_id, "provider": provider})


_ADD = text("""
    INSERT INTO tally (mailing_id, provider, tried, dead, policy, sender, complaints, content, protocol, in_a_row,
                       standstill)
    VALUES (:mailing, :provider, :tried, :dead, :policy, :sender, :complaints, :content, :protocol, :in_a_row, :standstill)
    ON CONFLICT (mailing_id, provider) DO UPDATE SET tried = tally.tried + excluded.tried, dead = tally.dead + excluded.dead,
        policy = tally.policy + excluded.policy, sender = tally.sender + excluded.sender,
        complaints = tally.complaints + excluded.complaints, content = tally.content + excluded.content,
        protocol = tally.protocol + excluded.protocol,
        standstill = tally.standstill + excluded.standstill,
        in_a_row = excluded.in_a_row + CASE WHEN excluded.tried > excluded.content + excluded.protocol THEN 0
            ELSE tally.in_a_row END
    WHERE tally.held_until IS NULL OR tally.held_until <= clock_timestamp()
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


def hold(session: Session, mailing_id: int, provider: str, why: str, *, now: datetime) -> datetime | None:
    """Let nothing more of a mailing go to one provider group for an hour, and count anew; return until when.

    None: it is held already; or it was held for the dead addresses of this list before. They cost no reader the mail, and are
    the same list's in every hour: whether somebody let it go on or its hour went by, it is not held for them once more.
    """
    facts = {"mailing": mailing_id, "provider": provider, "until": now + HOLD, "now": now, "why": why}
    return session.execute(_HOLD, facts).scalar_one_or_none()


# Leasing and windows ask for it, so that what is in hand ends with its window.
_NOTHING = ", ".join(f"{name} = 0" for name in Counts.__slots__)
_HOLD = text(f"""
    UPDATE tally SET held_until = :until, {_NOTHING}
    WHERE mailing_id = :mailing AND provider = :provider
      AND (held_until IS NULL OR held_until <= :now)
      AND (:why <> 'dead' OR NOT EXISTS (
          SELECT FROM refusal r WHERE r.mailing_id = :mailing AND r.why = 'mailing.held'
            AND r.facts ->> 'provider' = :provider AND r.facts ->> 'why' = 'dead'))
    RETURNING held_until
""")  # noqa: S608


def held(session: Session, mailing_id: int) -> dict[str, datetime]:
    """Return the provider groups to which a mailing does not go for now, each with its hour."""
    found = select(Tally.provider, Tally.held_until).where(
        Tally.mailing_id == mailing_id, Tally.held_until > func.clock_timestamp()
    )
    return {provider: until for provider, until in session.execute(found) if until}


def shorten(session: Session, *, most: datetime) -> None:
    """Let no group be held beyond a moment: no hour leads there, so the clock was set back since."""
    session.execute(text("UPDATE tally SET held_until = :most WHERE held_until > :most"), {"most": most})


def lift(session: Session, mailing_id: int) -> bool:
    """Let a mailing go on to the groups that are held, and count anew; return whether any was."""
    return bool(session.execute(_LIFT, {"mailing": mailing_id}).rowcount)  # type: ignore[attr-defined]


# '-infinity' stays until the next hold: a person has let it go on.
_LIFT = text(f"""
    UPDATE tally SET held_until = '-infinity', {_NOTHING} WHERE mailing_id = :mailing AND held_until > clock_timestamp()
""")  # noqa: S608


def forget(session: Session, mailing_id: int) -> None:
    """Count anew: an operator has looked and lets the mailing go on."""
    session.execute(delete(Tally).where(Tally.mailing_id == mailing_id))
    session.execute(text("UPDATE mailing SET halted = NULL WHERE id = :mailing"), {"mailing": mailing_id})


def along(session: Session, alert_id: int) -> list[int]:
    """Return the later languages of an alert that were paused with it, not those that somebody paused, or that halted."""
    mine = Mailing.translates == alert_id, Mailing.state == State.PAUSED, Mailing.halted == WITH_ALERT
    return list(session.execute(select(Mailing.id).where(*mine).order_by(Mailing.id)).scalars())
