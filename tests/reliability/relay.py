"""A mail server that fails as real ones do and keeps a record that outlives everybody: a process of its own, on loopback.

    python -m tests.reliability.relay FOLDER

FOLDER/record.jsonl has a line for each message whose final dot came, written before the answer; FOLDER/mail.log names what
was taken as Postfix does. A line of JSON to the control port changes its mood; an empty object asks how it is.
"""

import asyncio
import json
import os
import random
import re
import signal
import socket
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from pathlib import Path

_END = b"\r\n.\r\n"
_MESSAGE_ID = re.compile(rb"\r\nMessage-ID:\s*<([^>]+)>", re.IGNORECASE)
_SUBJECT = re.compile(rb"\r\nSubject:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE)
_FEEDBACK = re.compile(rb"\r\nFeedback-ID:\s*[^:\s]*:[^:\s]*:([^:\s]*)", re.IGNORECASE)


@dataclass
class Mood:
    """How the server behaves.

    listening   "yes", "no" (refuses connections), "hangup" (takes a connection and closes it), "silent" (never greets)
                or "hole" (connections to it never come about)
    pipelining  whether it offers PIPELINING
    hold        shortest and longest time each final dot waits for its answer, drawn by the seed
    slow        how long every command waits
    grey        seconds for which whoever is seen first is asked to come again; 0 never
    refuse      recipient (or "*") → what RCPT is answered
    fault       what breaks, for whom `every` falls: the stage ("rcpt", "data", "body", "dot", "250") and how: "close",
                "silent" (and reset `silence` seconds later), for the first `times` attempts
    forget      chance that a message is thrown away when its client is gone before the answer
    """

    listening: str = "yes"
    pipelining: bool = False
    hold: tuple[float, float] = (0.0, 0.0)
    slow: float = 0.0
    grey: float = 0.0
    refuse: dict[str, str] = field(default_factory=dict)
    stage: str = ""
    how: str = "close"
    every: int = 1
    times: int = 1
    silence: float = 1.0
    only: str = ""
    forget: float = 0.0
    seed: int = 1


class Server:
    """What all sessions share: the mood, the record, the log, and who was seen before."""

    def __init__(self, folder: Path) -> None:
        self.mood = Mood()
        self.dice = random.Random(self.mood.seed)
        self.sessions: set[Session] = set()
        self.seen: dict[str, float] = {}
        self.tried: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._record = os.open(folder / "record.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log = os.open(folder / "mail.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._listening: asyncio.Server | None = None
        self._hole: list[socket.socket] = []
        self.port = 0

    def keep(self, **facts: object) -> None:
        """Append one message to the record: it is there before anybody is told."""
        self.counts[str(facts["what"])] += 1
        os.write(self._record, json.dumps(facts).encode() + b"\n")
        if facts["what"] == "taken":
            queue = f"{self.counts['taken']:08X}"
            start = f"{time.strftime('%b %d %H:%M:%S')} relay postfix/"
            told = (
                f"{start}cleanup[11]: {queue}: message-id=<{facts['id']}>\n"
                f"{start}qmgr[12]: {queue}: from=<{facts['sender']}>, size={facts['size']}, nrcpt=1 (queue active)\n"
            )
            os.write(self._log, told.encode())

    def breaks(self, stage: str, recipient: str) -> bool:
        """Whether this attempt for a recipient breaks at this stage."""
        mood = self.mood
        if mood.stage != stage or (mood.only and not recipient.startswith(mood.only)):
            return False
        if zlib.crc32(f"{mood.seed}:{recipient}".encode()) % mood.every or self.tried[recipient] >= mood.times:
            return False
        self.tried[recipient] += 1
        self.counts["broken"] += 1
        return True

    async def change(self, wishes: dict[str, object]) -> None:
        """Take on another mood."""
        before = self.mood
        self.mood = Mood(**{one.name: wishes.get(one.name, getattr(before, one.name)) for one in fields(Mood)})
        if self.mood.seed != before.seed:
            self.dice = random.Random(self.mood.seed)
        if self.mood.listening != before.listening:
            await self.open()

    async def open(self) -> None:
        """Listen as the mood says, on the same port as ever; sessions that stand go on but for a server that is gone."""
        if self._listening:
            self._listening.close()
            self._listening = None
        for one in self._hole:
            one.close()
        self._hole.clear()
        if self.mood.listening in ("no", "hole"):
            for session in list(self.sessions):
                session.transport.abort()
        if self.mood.listening == "no":
            return
        heard = socket.socket()
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(100):
            with suppress(OSError):
                heard.bind(("127.0.0.1", self.port))
                break
            await asyncio.sleep(0.05)
        self.port = heard.getsockname()[1]
        if self.mood.listening == "hole":
            self._dig(heard)
            return
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: Session(self), sock=heard, backlog=500)

    def _dig(self, heard: socket.socket) -> None:
        """Fill the queue of a socket that nobody accepts from: the next SYN gets no answer."""
        heard.listen(0)
        self._hole.append(heard)
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", self.port))
            self._hole.append(one)

    def state(self) -> dict[str, object]:
        """Return how it is: the client ports whose message waits for its answer, and the counts."""
        holding = [session.port for session in self.sessions if session.holding]
        return {"holding": holding, "sessions": len(self.sessions), **self.counts}


class Session(asyncio.Protocol):
    """One session. Input is worked off in order, however it is cut; nothing is read ahead of an answer that waits."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = 0
        self.holding = False
        self._gone = False
        self._busy = False
        self._mute = False
        self._data = False
        self._input = bytearray()
        self._sender = self._recipient = ""
        self._began = self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.port = transport.get_extra_info("peername")[1]
        self.server.sessions.add(self)
        self.server.counts["connects"] += 1
        if self.server.mood.listening == "hangup":
            transport.abort()
        elif self.server.mood.listening == "silent":
            self._mute = True
        else:
            self._say("220 relay.test ESMTP")

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self.server.sessions.discard(self)

    def eof_received(self) -> bool:
        self._gone = True
        return False

    def data_received(self, data: bytes) -> None:
        self._input += data
        if self._data and not self._first:
            self._first = time.monotonic()
        if not (self._busy or self._mute):
            self._work()

    def _work(self) -> None:
        while not (self._busy or self._mute or self._gone):
            if self._data:
                if not self._message():
                    return
            else:
                end = self._input.find(b"\r\n")
                if end < 0:
                    return
                line = bytes(self._input[:end]).decode("utf-8", "replace")
                del self._input[: end + 2]
                self._after(self.server.mood.slow, lambda line=line: self._command(line))

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        if not seconds:
            then()
            return
        self._busy = True
        asyncio.get_running_loop().call_later(seconds, self._resume, then)

    def _resume(self, then: Callable[[], None]) -> None:
        self._busy = False
        then()
        self._work()

    def _command(self, line: str) -> None:
        verb = line[:4].upper()
        if verb == "EHLO":
            offers = ["relay.test", "SIZE 33554432", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
            offers += ["PIPELINING"] if self.server.mood.pipelining else []
            self._say("\r\n".join([f"250-{one}" for one in offers[:-1]] + [f"250 {offers[-1]}"]))
        elif verb == "MAIL":
            self._sender, self._recipient = _path(line), ""
            self._say("250 2.1.0 ok")
        elif verb == "RCPT":
            self._rcpt(_path(line))
        elif verb == "DATA":
            self._begin()
        elif verb == "QUIT":
            self._say("221 2.0.0 bye")
            self.transport.close()
            self._gone = True
        else:
            if verb == "RSET":
                self._sender = self._recipient = ""
            self._say("250 2.0.0 ok" if verb in ("RSET", "NOOP", "HELO") else "502 5.5.1 unknown")

    def _rcpt(self, recipient: str) -> None:
        server, mood = self.server, self.server.mood
        if server.breaks("rcpt", recipient):
            self._break()
        elif no := mood.refuse.get(recipient) or mood.refuse.get("*"):
            server.counts["refused"] += 1
            self._say(no)
        elif mood.grey and time.monotonic() - server.seen.setdefault(recipient, time.monotonic()) < mood.grey:
            server.counts["greylisted"] += 1
            self._say("451 4.7.1 Greylisted, please come again")
        else:
            self._recipient = recipient
            self._say("250 2.1.5 ok")

    def _begin(self) -> None:
        if not self._recipient:
            self._say("554 5.5.1 no valid recipients")
        elif self.server.breaks("data", self._recipient):
            self._break()
        else:
            self._data = True
            self._began = time.monotonic()
            self._first = 0.0
            self._say("354 go on")
            if self._input:
                self._first = self._began

    def _message(self) -> bool:
        """Take a whole message out of the input; return whether one was there."""
        if self._input[:3] == b".\r\n":
            end, size = 0, 3
        else:
            found = self._input.find(_END)
            if self.server.breaks("body", self._recipient):
                self._break()
                return False
            if found < 0:
                return False
            end, size = found + 2, found + len(_END)
        body = bytes(self._input[:end])
        del self._input[:size]
        self._data = False
        dot = time.monotonic()
        mood = self.server.mood
        self.holding = True
        self._after(self.server.dice.uniform(*mood.hold) if mood.hold[1] else 0.0, lambda: self._answer(body, dot))
        return True

    def _answer(self, body: bytes, dot: float) -> None:
        """Decide, write down, say so: in this order."""
        self.holding = False
        server, recipient = self.server, self._recipient
        cut = self._gone
        forgotten = cut and server.dice.random() < server.mood.forget
        late = "250" if server.breaks("250", recipient) else "dot" if server.breaks("dot", recipient) else ""
        server.keep(
            what="forgotten" if forgotten else "taken",
            to=recipient,
            sender=self._sender,
            id=_found(_MESSAGE_ID, body),
            kind=_found(_FEEDBACK, body),
            subject=_found(_SUBJECT, body).replace("\r\n", ""),
            port=self.port,
            size=len(body),
            hash=blake2b(body, digest_size=12).hexdigest(),
            began=self._began,
            first=self._first,
            dot=dot,
            at=time.monotonic(),
            cut=cut,
            told=not (cut or late),
        )
        if late == "250":
            self.transport.write(b"250 2.0")
        if late:
            self._break()
        else:
            self._say("250 2.0.0 kept")

    def _break(self) -> None:
        """Be gone: at once, or silent first, as a host that lost its power."""
        self._mute = True
        if self.server.mood.how == "close":
            self.transport.close()
        else:
            asyncio.get_running_loop().call_later(self.server.mood.silence, self.transport.abort)

    def _say(self, text: str) -> None:
        if not self._gone:
            self.transport.write(text.encode() + b"\r\n")


def _path(line: str) -> str:
    return line[line.find("<") + 1 : line.find(">")]


def _found(pattern: re.Pattern[bytes], body: bytes) -> str:
    head = b"\r\n" + body[: body.find(b"\r\n\r\n") + 2]
    found = pattern.search(head)
    return found[1].decode("ascii", "replace") if found else ""


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    server = Server(folder)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if wishes := json.loads(line):
                await server.change(wishes)
            writer.write(json.dumps(server.state()).encode() + b"\n")
        writer.close()

    await server.open()
    controlled = await asyncio.start_server(control, "127.0.0.1", 0)
    ports = {"smtp": server.port, "control": controlled.sockets[0].getsockname()[1], "mood": asdict(server.mood)}
    (folder / "ports.new").write_text(json.dumps(ports))
    (folder / "ports.new").rename(folder / "ports.json")
    await ended.wait()
    os._exit(0)  # whoever is connected is left without a word


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
