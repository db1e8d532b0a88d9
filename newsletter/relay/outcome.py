"""What became of one envelope: four values, matched exhaustively.

Only `Accepted` and `Rejected` are final. `Uncertain` exists because a connection may die between the end
of a message and the answer to it: the server then may or may not have it, and calling that "deferred"
would send it twice (RFC 1047).
"""

from dataclasses import dataclass
from enum import StrEnum

from newsletter.relay.reply import Reply


class Stage(StrEnum):
    """Where in the session a reply was given, in the order of the session."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has taken responsibility for the message (RFC 5321 §6.1)."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not taken now; may be tried again.

    `reply.code` is 0 when the connection died before the message was begun.
    """

    reply: Reply
    stage: Stage


@dataclass(frozen=True, slots=True)
class Rejected:
    """Refused for good, by the server or because the relay cannot carry it.

    What that means is asked of `verdict`.
    """

    reply: Reply
    stage: Stage


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The message was begun and no full reply came: the server may have it."""

    reason: str
    stage: Stage


Outcome = Accepted | Deferred | Rejected | Uncertain
