"""One SMTP session after its EHLO, as a machine without a socket: envelopes and bytes go in, bytes and events come out.

Rules of this house:

1. What an answer leads to stands in `MOVES`. What does not stand there breaks the session, and a broken session says nothing
   more.
2. Answers belong to what was said in the order in which it was said (RFC 5321 §2.3.7), however many were said at once, however
   the bytes are cut, and whatever comes after them. A final answer that has arrived is read, also when the line is dead.
3. Where PIPELINING is offered, one write carries a message, its final dot and the introduction of the next envelope, and one
   read brings the four answers: RFC 2920 §3.1 ends a group with DATA but lets the end of a message begin one. Elsewhere the
   same moves are made one by one.
4. Nobody's message is begun unasked: a 354 is an event, and whoever drives the machine speaks or stays silent.
5. Each envelope that was introduced is told of once, by one event, or was withheld.
"""

import re
from collections import deque
from enum import IntEnum, StrEnum, auto
from typing import NamedTuple

from newsletter.relay.envelope import Envelope
from newsletter.relay.offers import Offers
from newsletter.relay.outcome import Accepted, Deferred, Outcome, Rejected, Stage, Uncertain
from newsletter.relay.reply import Reply

LONGEST_LINE = 8192
MOST_LINES = 200
"""A reply beyond these is no reply: RFC 5321 §4.5.3.1.5 allows 512 octets a line."""

_CRLF_DOT = b"\r\n.\r\n"


class Said(IntEnum):
    """What an answer is awaited for."""

    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    MESSAGE = auto()
    LONE_DOT = auto()
    RSET = auto()
    NOOP = auto()
    QUIT = auto()


class Move(StrEnum):
    """What an answer leads to."""

    ON = auto()
    REFUSED = auto()
    ASKED = auto()
    TAKEN = auto()
    EMPTIED = auto()
    OVER = auto()


# What was said, first digit of the answer → what follows. RFC 5321 §4.3.2 gives the codes of each command.
MOVES: dict[tuple[Said, int], Move] = {
    (Said.MAIL, 2): Move.ON,
    (Said.MAIL, 4): Move.REFUSED,
    (Said.MAIL, 5): Move.REFUSED,
    (Said.RCPT, 2): Move.ON,
    (Said.RCPT, 4): Move.REFUSED,
    (Said.RCPT, 5): Move.REFUSED,
    (Said.DATA, 3): Move.ASKED,
    (Said.DATA, 4): Move.REFUSED,
    (Said.DATA, 5): Move.REFUSED,
    (Said.MESSAGE, 2): Move.TAKEN,
    (Said.MESSAGE, 4): Move.REFUSED,
    (Said.MESSAGE, 5): Move.REFUSED,
    # Whatever is said of an empty message for nobody, the next group begins with RSET.
    (Said.LONE_DOT, 2): Move.EMPTIED,
    (Said.LONE_DOT, 4): Move.EMPTIED,
    (Said.LONE_DOT, 5): Move.EMPTIED,
    (Said.RSET, 2): Move.ON,
    (Said.NOOP, 2): Move.ON,
    (Said.QUIT, 2): Move.OVER,
}
# What is awaited behind a message that went out with the next introduction, and the answers when all goes well.
_IN_STEP = deque((Said.MESSAGE, Said.MAIL, Said.RCPT, Said.DATA))
_ALL_WELL = re.compile(rb"(2\d\d) ([^\r\n]{0,512})\r\n(?:2\d\d [^\r\n]{0,512}\r\n){2}354 [^\r\n]{0,512}\r\n").fullmatch
_STAGES = {Said.MAIL: Stage.MAIL, Said.RCPT: Stage.RCPT, Said.DATA: Stage.DATA, Said.MESSAGE: Stage.BODY}


class Asked(NamedTuple):
    """The server waits for this envelope's message: `speak` or `withhold`."""

    envelope: Envelope


class Told(NamedTuple):
    """What became of an envelope."""

    envelope: Envelope
    outcome: Outcome


Event = Asked | Told


class Conversation:
    """The machine. `introduce` when `ready`, feed what arrives to `receive`, write what `outgoing` holds."""

    def __init__(self, offers: Offers) -> None:
        self.offers = offers
        self.closed = False
        self._awaited: deque[Said] = deque()
        self._introduced: Envelope | None = None
        self._spoken: Envelope | None = None
        self._asked = False
        self._refusal: tuple[Reply, Stage] | None = None
        self._unclean = False
        self._rest = b""
        self._lines: list[bytes] = []
        self._out: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether the next envelope may be introduced."""
        return not self.closed and self._introduced is None and not self._awaited

    @property
    def awaited(self) -> Said | None:
        """What the next answer is for; None while nothing is awaited, or while the server waits for us."""
        return self._awaited[0] if self._awaited else None

    def introduce(self, envelope: Envelope) -> None:
        """Say who the next envelope is from and for."""
        assert self.ready, "one envelope is introduced at a time"
        self._out.append(self._introduction(envelope))

    def speak(self, following: Envelope | None = None) -> None:
        """Say the message that was asked for, and in the same breath, where the server pipelines, introduce the next."""
        envelope = self._introduced
        assert envelope is not None, "nobody asked for a message"
        assert self._asked, "nobody asked for a message"
        assert following is None or self.offers.pipelining, "this server hears one thing at a time"
        self._introduced, self._asked = None, False
        self._spoken = envelope
        self._awaited.append(Said.MESSAGE)
        self._out += stuffed(envelope)
        if following is not None:
            self._out.append(self._introduction(following))

    def withhold(self) -> Envelope:
        """Stay silent for good and return the envelope: after 354 whatever comes next would be taken for its message."""
        envelope = self._introduced
        assert envelope is not None, "nobody asked for a message"
        self._introduced, self._asked, self.closed = None, False, True
        return envelope

    def noop(self) -> None:
        """Say NOOP: its answer shows whether the session still stands."""
        self._say(Said.NOOP, b"NOOP\r\n")

    def quit(self) -> None:
        """Say QUIT; the session is closed once it is answered."""
        self._say(Said.QUIT, b"QUIT\r\n")

    def outgoing(self) -> list[bytes]:
        """Return what is to be written now, in order, and forget it."""
        out, self._out = self._out, []
        return out

    def receive(self, data: bytes) -> list[Event]:
        """Return what these bytes of the server lead to."""
        if self._awaited == _IN_STEP and not self._rest and not self._lines and (well := _ALL_WELL(data)):
            return self._in_step(well)
        *lines, self._rest = (self._rest + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            if self.closed:
                break
            self._line(line.rstrip(b"\r"), events)
        if len(self._rest) > LONGEST_LINE and not self.closed:
            events += self.lost("a line without end")
        return events

    def _in_step(self, well: re.Match[bytes]) -> list[Event]:
        """The common case in one step: the message is taken, and the next is asked for."""
        spoken, introduced = self._spoken, self._introduced
        assert spoken is not None
        assert introduced is not None
        self._spoken, self._asked = None, True
        self._awaited.clear()
        return [Told(spoken, Accepted(_reply(int(well[1]), well[2]))), Asked(introduced)]

    def lost(self, reason: str) -> list[Event]:
        """The session is over: return what becomes of the envelopes in hand. Safe to call twice."""
        self.closed = True
        events: list[Event] = []
        spoken, introduced = self._spoken, self._introduced
        self._spoken = self._introduced = None
        if spoken is not None:
            events.append(Told(spoken, Uncertain(reason, Stage.BODY)))
        if introduced is not None:
            events.append(Told(introduced, self._unspoken(reason)))
        self._awaited.clear()
        self._out.clear()
        return events

    def _unspoken(self, reason: str) -> Outcome:
        """What becomes of an envelope that was introduced and whose message was never begun."""
        if self._refusal is not None:
            return _refused(*self._refusal)
        # Of a group the stage is that of its first answer that did not come.
        awaited = next((said for said in self._awaited if said in (Said.MAIL, Said.RCPT, Said.DATA)), Said.DATA)
        return Deferred(Reply(0, None, reason), _STAGES[awaited])

    def _introduction(self, envelope: Envelope) -> bytes:
        self._introduced, self._refusal = envelope, None
        opening = self.offers.mail(envelope) + b"\r\n"
        if self._unclean:
            # RFC 5321 §4.1.1.5: RSET drops sender and recipient; only needed after an error.
            self._unclean = False
            self._awaited.append(Said.RSET)
            if not self.offers.pipelining:
                return b"RSET\r\n"
            opening = b"RSET\r\n" + opening
        self._awaited.append(Said.MAIL)
        if not self.offers.pipelining:
            return opening
        self._awaited += (Said.RCPT, Said.DATA)
        return opening + self.offers.rcpt(envelope) + b"\r\nDATA\r\n"

    def _say(self, said: Said, line: bytes) -> None:
        assert self.ready, "a command in the middle of a message would be read as part of it"
        self._awaited.append(said)
        self._out.append(line)

    def _line(self, line: bytes, events: list[Event]) -> None:
        code, separator = line[:3], line[3:4]
        if not line and not self._lines:
            return  # some servers end a reply with an empty line
        if not _is_code(code) or len(line) > LONGEST_LINE or (self._lines and self._lines[0][:3] != code):
            events += self._broken(line)
        elif separator == b"-":
            self._lines.append(line)
            if len(self._lines) > MOST_LINES:
                events += self._broken(line)
        elif self._lines:
            lines, self._lines = [*self._lines, line], []
            self._answer(int(code), b"\n".join(one[4:] for one in lines), events)
        else:
            self._answer(int(code), line[4:], events)

    def _broken(self, line: bytes) -> list[Event]:
        words = line[:100].decode("utf-8", "replace")
        return self.lost(f"not an answer: {words}" if words.isprintable() else "not an answer")

    def _answer(self, code: int, words: bytes, events: list[Event]) -> None:
        said = self._awaited.popleft() if self._awaited else None
        move = MOVES.get((said, code // 100)) if said is not None else None
        if code == 421:
            events += self._farewell(said, code, words)
        elif said is None or move is None or (move is Move.ASKED and code != 354):
            if said is not None:
                self._awaited.appendleft(said)
            events += self.lost(f"unexpected answer: {_reply(code, words)}")
        elif move is Move.ON:
            self._go_on(said)
        elif move is Move.TAKEN:
            self._told(Accepted(_reply(code, words)), events)
        elif move is Move.ASKED:
            self._ask(events)
        elif move is Move.REFUSED:
            self._refuse(said, _reply(code, words), events)
        elif move is Move.EMPTIED:
            self._give_up(events)
        else:
            self.closed = True

    def _farewell(self, said: Said | None, code: int, words: bytes) -> list[Event]:
        """421 closes the session, whatever it answers (RFC 5321 §3.8); the envelope it answers is told why."""
        reply, events = _reply(code, words), list[Event]()
        if said is Said.MESSAGE:
            self._told(Deferred(reply, Stage.BODY), events)
        elif said in (Said.MAIL, Said.RCPT, Said.DATA) and self._refusal is None:
            self._refusal = (reply, _STAGES[said])
        return events + self.lost(str(reply))

    def _go_on(self, said: Said) -> None:
        """Take the next step of the serial road; where a group was said, its answers follow by themselves."""
        envelope = self._introduced
        if self.offers.pipelining or envelope is None:
            return
        if said is Said.RSET:
            self._awaited.append(Said.MAIL)
            self._out.append(self.offers.mail(envelope) + b"\r\n")
        elif said is Said.MAIL:
            self._awaited.append(Said.RCPT)
            self._out.append(self.offers.rcpt(envelope) + b"\r\n")
        elif said is Said.RCPT:
            self._awaited.append(Said.DATA)
            self._out.append(b"DATA\r\n")

    def _told(self, outcome: Outcome, events: list[Event]) -> None:
        envelope, self._spoken = self._spoken, None
        assert envelope is not None
        events.append(Told(envelope, outcome))

    def _ask(self, events: list[Event]) -> None:
        envelope = self._introduced
        assert envelope is not None
        if self._refusal is None:
            self._asked = True
            events.append(Asked(envelope))
        else:
            # Refused at MAIL or RCPT, and asked for the message all the same: an empty one, for nobody.
            self._awaited.append(Said.LONE_DOT)
            self._out.append(b".\r\n")

    def _refuse(self, said: Said, reply: Reply, events: list[Event]) -> None:
        if said is Said.MESSAGE:
            self._told(_refused(reply, Stage.BODY), events)
            return
        if self._refusal is None:
            self._refusal = (reply, _STAGES[said])
        if said is Said.DATA or not self.offers.pipelining:
            self._give_up(events)

    def _give_up(self, events: list[Event]) -> None:
        """The envelope in hand was refused and everything said of it is answered."""
        envelope, self._introduced = self._introduced, None
        assert envelope is not None
        assert self._refusal is not None
        self._unclean = True
        events.append(Told(envelope, _refused(*self._refusal)))


def _is_code(octets: bytes) -> bool:
    return len(octets) == 3 and octets.isdigit() and b"2" <= octets < b"6"


def _reply(code: int, words: bytes) -> Reply:
    return Reply.of(code, words.decode("utf-8", "replace"))


def _refused(reply: Reply, stage: Stage) -> Outcome:
    return Rejected(reply, stage) if reply.first_digit == 5 else Deferred(reply, stage)


def stuffed(envelope: Envelope) -> tuple[bytes, bytes]:
    """Return the message and its end, ready for the wire: dot-stuffed, closed by CRLF . CRLF (RFC 5321 §4.5.2)."""
    message = envelope.message
    if not envelope.vouched:
        if b"\r\n." in message:
            message = message.replace(b"\r\n.", b"\r\n..")
        if message.startswith(b"."):
            message = b"." + message
    return message, _CRLF_DOT[2:] if message.endswith(b"\r\n") else _CRLF_DOT
