"""When a mailing stops by itself (standards §19): pure. Going on would ruin the name with which everyone else is written to."""

from itertools import takewhile

from newsletter.ledger.mailings import Lane
from newsletter.ledger.tallies import Counts
from newsletter.relay.verdict import Class

DEAD_SHARE, DEAD_LEAST = 0.05, 10
POLICY_SHARE, POLICY_LEAST = 0.10, 10
STILL_SHARE, STILL_LEAST = 0.10, 10
COMPLAINT_SHARE, COMPLAINT_LEAST, COMPLAINT_TRIED = 0.003, 3, 1000
SENDER_LEAST = 3
IN_A_ROW, ALL_LEAST = 10, 3
OF_ALL = frozenset((Class.CONTENT, Class.PROTOCOL))
"""What is said of one message is true of the next: they differ by a name."""
STILL = frozenset((Class.TRANSIENT, Class.QUOTA))
"""Refused for good, with the words of a moment, of an account asleep or of a full mailbox: of one in ten it is no mailbox."""
AT_ONCE = OF_ALL | {Class.SENDER}
SENDER = "sender"
UNSTOPPED = Lane.TRANSACTIONAL
"""What goes on whatever is refused of it but our account: `stops`."""


def breached(counts: Counts) -> str | None:
    """Return which threshold the counts pass: "sender", "content", "protocol", "policy", "standstill", "complaints", "dead";
    None while they are well.

    A refusal of the sender is said of every message alike, so three are enough. What the message is and how we speak may
    displease one server that is behind our relay, so others must not have taken it meanwhile.
    """
    if counts.sender >= SENDER_LEAST or counts.sender == counts.tried > 0:
        return SENDER
    of_all = counts.content + counts.protocol
    if counts.in_a_row >= IN_A_ROW or of_all == counts.tried >= ALL_LEAST:
        return "content" if counts.content >= counts.protocol else "protocol"
    if counts.policy >= POLICY_LEAST and counts.policy > POLICY_SHARE * counts.tried:
        return "policy"
    if counts.standstill >= STILL_LEAST and counts.standstill > STILL_SHARE * counts.tried:
        return "standstill"
    enough = counts.complaints >= COMPLAINT_LEAST and counts.tried >= COMPLAINT_TRIED
    if enough and counts.complaints > COMPLAINT_SHARE * counts.tried:
        return "complaints"
    if counts.dead >= DEAD_LEAST and counts.dead > DEAD_SHARE * counts.tried:
        return "dead"
    return None


def stops(counts: Counts, lane: Lane) -> str | None:
    """Return which threshold stops a mailing of a lane; None while it may go on.

    Service mail is stopped for our account alone. Whom it goes to strangers chose, by a form: a few addresses of theirs, dead or
    at a server that says whatever they like, would keep back the question of everybody who signed up in the same moment.
    """
    why = breached(counts)
    return why if lane is not UNSTOPPED or why == SENDER else None


def blocked(tried: int, refused: int) -> bool:
    """Return whether so much service mail is refused by policy that it is no matter of a few servers: people are told.

    As one mailing of it is often one letter, this is asked of a day's. Of a house that writes few, few are enough where most of
    them are refused: the team's own mail may be taken next door.
    """
    most = refused >= ALL_LEAST and 2 * refused > tried
    return most or (refused >= POLICY_LEAST and refused > POLICY_SHARE * tried)


def count(classes: list[Class | None], *, first: bool = True) -> Counts:
    """Return the counts of some attempts in their order, each by the class that its refusal counts as (`outcomes.Judged`) or None.

    first   whether they were the first of their readers: those who are asked again were gathered for being refused
    """
    return Counts(
        tried=len(classes),
        dead=classes.count(Class.DEAD),
        policy=classes.count(Class.POLICY),
        sender=classes.count(Class.SENDER),
        content=classes.count(Class.CONTENT),
        protocol=classes.count(Class.PROTOCOL),
        standstill=sum(map(STILL.__contains__, classes)),
        in_a_row=len(list(takewhile(OF_ALL.__contains__, reversed(classes)))) if first else 0,
    )


def breaches(classes: list[Class | None], *, first: bool) -> bool:
    """Return whether these attempts by themselves would stop a mailing: what is to come waits until they are written."""
    return breached(count(classes, first=first)) is not None
