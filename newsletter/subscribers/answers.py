"""What was said to a question on a page: taken in there, and believed or not by a worker (docs/adr/0032).

The pages may write one down and no more. Its proof is keyed with what stood in the mail, which they can neither make nor check.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from sqlalchemy import func, select, text

from newsletter.database import Session
from newsletter.models.signup import Answer, SignupAnswer
from newsletter.subscribers.signup import CODE_FOR, TRIES

LONGEST = 40
"""Letters of a countersign, or digits, that are looked at."""


@dataclass(frozen=True, slots=True)
class Said:
    """A yes that nobody has judged. mailbox_id: whose owner was asked; None where nobody was.

    tried   how many codes were tried for that sign-up before
    """

    id: int
    signup_id: int
    mailbox_id: int | None
    by: Answer
    wording: str
    proof: bytes
    said_at: datetime
    came_at: datetime
    tried: int

    @property
    def in_time(self) -> bool:
        """Whether it counts at all: a code is tried five times, within an hour of its form."""
        return self.by is not Answer.CODE or (self.tried < TRIES and self.said_at < self.came_at + CODE_FOR)

    def proved_by(self, secret: str) -> bool:
        """Whether these are the words of somebody who had this before them: a countersign, or the six figures."""
        return bool(secret) and hmac.compare_digest(self.proof, _proof(secret, self.signup_id, self.by, self.wording))


def add(session: Session, signup_id: int, *, by: Answer, secret: str, wording: str = "") -> int:
    """Write down that somebody said yes, and return its number.

    secret   what stood in their mail, or what they took for it. It is not kept: the answer is proved by it
    """
    facts = {"signup": signup_id, "by": by, "wording": wording, "proof": _proof(secret, signup_id, by, wording)}
    number: int = session.execute(_ADD, facts).scalar_one()
    return number


_ADD = text("""
    INSERT INTO signup_answer (signup_id, by, wording, proof) VALUES (:signup, :by, :wording, :proof) RETURNING id
""")


def _proof(secret: str, signup_id: int, by: Answer, wording: str) -> bytes:
    words = f"{signup_id}/{by}/{wording}".encode()
    return blake2b(words, key=secret.encode()[:64], digest_size=32, person=b"sign-up answer").digest()


def digits(written: str) -> str:
    """Read what a person wrote: digits of any script; blanks, dashes and what cannot be seen do not count. "" for anything else."""
    kept = [one for one in written[:64] if unicodedata.category(one) not in ("Zs", "Cc", "Cf", "Pd")]
    found = [unicodedata.decimal(one, None) for one in kept[:LONGEST]]
    return "" if None in found else "".join(map(str, found))


def outcome(session: Session, answer_id: int) -> bool | None:
    """Return whether an answer was believed; None as long as nobody has judged it. For the page that waits."""
    return session.execute(select(SignupAnswer.believed).where(SignupAnswer.id == answer_id)).scalar_one_or_none()


def is_late(session: Session, signup_id: int, mailbox_id: int) -> bool:
    """Whether a wish came true and its owner takes nothing of it any more: a yes to that mail is heard no second time."""
    return bool(session.execute(_LATE, {"signup": signup_id, "mailbox": mailbox_id}).scalar_one())


_LATE = text("""
    SELECT EXISTS (SELECT FROM signup s WHERE s.id = :signup AND s.state = 'settled' AND NOT EXISTS (
        SELECT FROM subscriber p JOIN subscription l ON l.subscriber_id = p.id AND l.ended_at IS NULL
        WHERE p.mailbox_id = :mailbox AND l.digest_id = ANY (s.digest_ids)))
""")


def any_due(session: Session) -> bool:
    """Whether an answer waits to be judged."""
    return session.execute(select(SignupAnswer.id).where(SignupAnswer.believed.is_(None)).limit(1)).first() is not None


def take(session: Session) -> Said | None:
    """Return the oldest answer that waits, and keep others from it meanwhile; None where there is none.

    Neither one whose sign-up somebody holds: the pages' role may, and all other answers would wait behind it.
    """
    row = session.execute(_TAKE).one_or_none()
    if row is None:
        return None
    earlier = (SignupAnswer.signup_id == row.signup_id, SignupAnswer.by == Answer.CODE, SignupAnswer.id < row.id)
    tried = session.execute(select(func.count()).where(*earlier)).scalar_one()
    return Said(
        row.id,
        row.signup_id,
        row.mailbox_id,
        Answer(row.by),
        row.wording,
        bytes(row.proof),
        row.said_at,
        row.came_at,
        tried,
    )


_TAKE = text("""
    SELECT a.id, a.signup_id, s.mailbox_id, a.by, a.wording, a.proof, a.said_at, s.came_at
    FROM signup_answer a JOIN signup s ON s.id = a.signup_id
    WHERE a.believed IS NULL ORDER BY a.id LIMIT 1 FOR UPDATE OF a, s SKIP LOCKED
""")


def judged(session: Session, said: Said, *, believed: bool) -> None:
    """Write down what became of an answer. One by a link is done with; codes stay with their sign-up, since they are counted."""
    session.execute(_JUDGED if said.by is Answer.CODE else _DONE, {"id": said.id, "believed": believed})


_JUDGED = text("UPDATE signup_answer SET believed = :believed WHERE id = :id")
_DONE = text("DELETE FROM signup_answer WHERE id = :id AND :believed IS NOT NULL")
