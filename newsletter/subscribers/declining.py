"""A no to the question: what is closed by it, how long it holds, and how whoever said it takes it back.

A stranger may write an address into a form whenever they like. Who answered "I did not ask for this" is not asked for a month: at
no spelling of their address, by no form, by no list and by nobody of the team. Readers go on by the links of any mail of ours.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text

from newsletter.database import Session
from newsletter.models.signup import Signup
from newsletter.subscribers import signup
from newsletter.subscribers.signup import SignupState, Wish


@dataclass(frozen=True, slots=True)
class Closed:
    """A question that was answered by a no. digest_ids: what its mail named, where a yes had brought that already."""

    mailbox_id: int
    digest_ids: tuple[int, ...] = ()


def refuse(session: Session, signup_id: int, *, now: datetime) -> Closed | None:
    """Write down that its owner said no: all that they were or would be asked is closed; the button of that mail does nothing more.

    None where it is forgotten or taken back. Safe to repeat.
    """
    # A worker that is bringing in a yes ends first: else its owner would have what they have just refused.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('signups'))"))
    asked = (Signup.id == signup_id, Signup.asked_at.is_not(None), Signup.undone_at.is_(None))
    found = session.execute(select(Signup.mailbox_id, Signup.state, Signup.named).where(*asked)).one_or_none()
    if found is None or found.mailbox_id is None:
        return None
    session.execute(_REFUSE, {"id": signup_id, "mailbox": found.mailbox_id, "now": now})
    return Closed(found.mailbox_id, tuple(found.named) if found.state == SignupState.SETTLED else ())


# What they said yes to by another mail stays theirs. Who has had what they asked for leaves it, and is free to ask anew.
_REFUSE = text("""
    UPDATE signup SET state = 'refused', again_at = NULL, answered_at = NULL, answered_by = NULL, answered_wording = NULL,
        refused_at = :now
    WHERE mailbox_id = :mailbox AND state IN ('asked', 'beside') AND undone_at IS NULL AND (id = :id OR answered_at IS NULL)
""")


def take_back(session: Session, signup_id: int) -> Wish | None:
    """Let the owner of an inbox be asked again who said no, and return what was asked for; None where they did not say that.

    Their own way back, and the only one before its time: a clear yes in answer to the mail that they refused. It proves that they
    have that mail, and subscribes nobody: they are asked once more.
    """
    refused = (Signup.id == signup_id, Signup.refused_at.is_not(None), Signup.undone_at.is_(None))
    found = session.execute(select(Signup).where(*refused)).scalar_one_or_none()
    if found is None:
        return None
    wish = signup.opened(session, found)
    session.execute(_TAKE_BACK, {"mailbox": found.mailbox_id, "inbox": found.inbox})
    return wish


_TAKE_BACK = text("""
    UPDATE signup SET refused_at = NULL WHERE refused_at IS NOT NULL AND (mailbox_id = :mailbox OR inbox = :inbox)
""")
