"""When a mailing stops by itself (standards §19): pure. Going on would ruin the name with which everyone else is written to."""

from newsletter.ledger.tallies import Counts
from newsletter.relay.verdict import Class

DEAD_SHARE, DEAD_LEAST = 0.05, 10
POLICY_SHARE, POLICY_LEAST = 0.10, 10
COMPLAINT_SHARE, COMPLAINT_LEAST, COMPLAINT_TRIED = 0.003, 3, 1000
SENDER_LEAST = 3


def breached(counts: Counts) -> str | None:
    """Return which threshold the counts pass: "sender", "policy", "complaints", "dead"; None while they are well.

    A refusal of the sender is said of every message alike, so three are enough.
    """
    if counts.sender >= SENDER_LEAST or counts.sender == counts.tried > 0:
        return "sender"
    if counts.policy >= POLICY_LEAST and counts.policy > POLICY_SHARE * counts.tried:
        return "policy"
    enough = counts.complaints >= COMPLAINT_LEAST and counts.tried >= COMPLAINT_TRIED
    if enough and counts.complaints > COMPLAINT_SHARE * counts.tried:
        return "complaints"
    if counts.dead >= DEAD_LEAST and counts.dead > DEAD_SHARE * counts.tried:
        return "dead"
    return None


def count(classes: list[Class | None]) -> Counts:
    """Return the counts of some attempts, each by the class of its refusal or None."""
    return Counts(
        tried=len(classes),
        dead=classes.count(Class.DEAD),
        policy=classes.count(Class.POLICY),
        sender=classes.count(Class.SENDER),
    )
