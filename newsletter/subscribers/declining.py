"""A no to the question: what is closed by it, how long it holds, and how whoever said it takes it back.

A stranger may write an address into a form whenever they like. Who answered "I did not ask for this" is not asked for a month: at
no spelling of their address, by no form, by no list and by nobody of the team; also where they had said yes to that mail first,
where the team has taken the sign-up back, and where they were erased since. Readers go on by the links of any mail of ours.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, text

from newsletter.database import Session
from newsletter.models.signup import Signup
from newsletter.subscribers import signup
from newsletter.subscribers.signup import SignupState, Wish


@dataclass(frozen=True, slots=True)
class Closed:
    """A question that was answered by a no.

    named      the digests in its mail; came: a yes had brought them already
    questions  all that is closed by it: a mail that asks one of these is not to follow
    """

    mailbox_id: int
    named: tuple[int, ...]
    came: bool
    questions: tuple[int, ...]


def refuse(session: Session, signup_id: int, *, now: datetime) -> Closed | None:
    """Write down that its owner said no: all that they were or would be asked is closed; the button of that mail does nothing more.

    Also where the team took that sign-up back, or its owner said yes first. None where it is forgotten. Safe to repeat.
    """
    # A worker that is bringing in a yes ends first: else its owner would have what they have just refused.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('signups'))"))
    asked = (Signup.id == signup_id, Signup.mailbox_id.is_not(None))
    found = session.execute(select(Signup.mailbox_id, Signup.state, Signup.named).where(*asked)).one_or_none()
    if found is None:
        return None
    facts = {"id": signup_id, "mailbox": found.mailbox_id, "now": now}
    closed = tuple(session.execute(_REFUSE, facts).scalars())
    return Closed(found.mailbox_id, tuple(found.named), found.state == SignupState.SETTLED, closed)


# What they said yes to by another mail stays theirs. What the team took back stays so, and keeps the moment of the no.
_REFUSE = text("""
    UPDATE signup SET state = CASE WHEN undone_at IS NULL THEN 'refused' ELSE state END, again_at = NULL,
        answered_at = NULL, answered_by = NULL, answered_wording = NULL, refused_at = :now
    WHERE mailbox_id = :mailbox AND (id = :id OR state IN ('asked', 'beside') AND undone_at IS NULL AND answered_at IS NULL)
    RETURNING id
""")


def stands(session: Session, signup_id: int) -> bool:
    """Whether its owner said no to this question, and did not take that back."""
    return session.execute(select(Signup.id).where(*_refused(signup_id))).first() is not None


def take_back(session: Session, signup_id: int) -> Wish | None:
    """Let the owner of an inbox be asked again who said no, and return what was asked for; None where they did not say that.

    Their own way back, and the only one before its time: a clear yes in answer to the mail that they refused. It proves that they
    have that mail, and subscribes nobody: they are asked once more.
    """
    found = session.execute(select(Signup).where(*_refused(signup_id))).scalar_one_or_none()
    if found is None:
        return None
    wish = signup.opened(session, found)
    session.execute(_TAKE_BACK, {"mailbox": found.mailbox_id, "inbox": found.inbox})
    return wish


def _refused(signup_id: int) -> tuple[ColumnElement[bool], ...]:
    return Signup.id == signup_id, Signup.refused_at.is_not(None), Signup.undone_at.is_(None)


# They have answered: what they were asked before counts no more against asking them (standards §23).
_TAKE_BACK = text("""
    UPDATE signup SET refused_at = NULL, asked_at = CASE WHEN state = 'asked' THEN asked_at END
    WHERE refused_at IS NOT NULL AND (mailbox_id = :mailbox OR inbox = :inbox)
""")
