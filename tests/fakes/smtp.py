"""SMTP servers for tests, real ones on loopback: `Sink` counts fast and keeps everything, `Scripted` says what it is told to."""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Message(NamedTuple):
    """One message as it was handed over. at: time.monotonic() at the final dot."""

    sender: str
    recipient: str
    content: bytes
    at: float


Answer = Callable[[str], str | None]


@dataclass
class Sink:
    """A server that takes everything, but for what `refuse` answers to a recipient ("550 5.1.1 no such user").

    delay_seconds     how long each final dot waits for its answer
    held              whether a message, by its recipient and its content, goes without an answer for as long as it says so
    command_seconds   how long every other command does
    said              every MAIL and RCPT command
    holding           messages that are here and have no answer yet
    tls               offers STARTTLS with these certificates; `always_tls` speaks it from the first byte
    hang_up           whether to keep a message and close without a word, as a server does that dies at the worst moment
    """

    refuse: Answer = lambda _recipient: None
    refuse_body: Answer = lambda _recipient: None
    extensions: tuple[str, ...] = ("SIZE 33554432", "8BITMIME", "SMTPUTF8", "PIPELINING")
    delay_seconds: Callable[[], float] = lambda: 0.0
    held: Callable[[str, bytes], bool] = lambda _recipient, _content: False
    command_seconds: float = 0.0
    hang_up: Callable[[str], bool] = lambda _recipient: False
    tls: ssl.SSLContext | None = None
    always_tls: bool = False
    messages: list[Message] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    holding: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        """The sink as a relay."""
        return f"smtp://127.0.0.1:{self.port}"

    def messages_for(self, recipient: str) -> list[Message]:
        """Return what was handed over for an address."""
        return [message for message in self.messages if message.recipient == recipient]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one session."""
        sender = recipient = ""
        refusal: str | None = None
        writer.write(b"220 sink.test ESMTP\r\n")
        try:
            while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
                verb = line[:4].upper()
                if verb in ("MAIL", "RCPT"):
                    self.said.append(line)
                if self.command_seconds:
                    await asyncio.sleep(self.command_seconds)
                if verb == "STAR" and self.tls:
                    writer.write(b"220 2.0.0 go on\r\n")
                    await writer.start_tls(self.tls)
                    continue
                if verb == "EHLO":
                    offered = ["STARTTLS"] if self.tls and not self.always_tls else []
                    lines = ["sink.test", *self.extensions, *offered]
                    answer = "\r\n".join(
                        f"250{'-' if place + 1 < len(lines) else ' '}{one}" for place, one in enumerate(lines)
                    )
                elif verb == "MAIL":
                    sender, answer = path_of(line), "250 2.1.0 ok"
                elif verb == "RCPT":
                    recipient = path_of(line)
                    refusal = self.refuse(recipient)
                    answer = refusal or "250 2.1.5 ok"
                elif verb == "DATA" and refusal:
                    answer = "503 5.5.1 no valid recipients"
                elif verb == "DATA":
                    answer = await self._data(reader, writer, sender, recipient)
                elif verb == "QUIT":
                    writer.write(b"221 2.0.0 bye\r\n")
                    break
                else:
                    answer = "250 2.0.0 ok" if verb in ("RSET", "NOOP", "HELO") else "502 5.5.1 unknown"
                writer.write(answer.encode() + b"\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _data(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sender: str, recipient: str
    ) -> str:
        writer.write(b"354 go on\r\n")
        body = await until_dot(reader)
        delay = self.delay_seconds()
        if delay or self.held(recipient, body):
            self.holding += 1
            await asyncio.sleep(delay)
            while self.held(recipient, body):  # noqa: ASYNC110 — whoever lets it go is another thread
                await asyncio.sleep(0.01)
            self.holding -= 1
        if refusal := self.refuse_body(recipient):
            return refusal
        self.messages.append(Message(sender, recipient, body[:-3].replace(b"\r\n..", b"\r\n."), time.monotonic()))
        if self.hang_up(recipient):
            raise ConnectionResetError
        return "250 2.0.0 kept"


async def until_dot(reader: asyncio.StreamReader) -> bytes:
    """Return what comes up to the final dot and its line end, also when there is nothing before it."""
    lines = []
    while (line := await reader.readline()) not in (b".\r\n", b""):
        lines.append(line)
    if not line:
        raise asyncio.IncompleteReadError(b"".join(lines), None)
    return b"".join(lines) + line


def path_of(line: str) -> str:
    """Return the address of a MAIL or RCPT command."""
    return line[line.index("<") + 1 : line.index(">")]


@contextmanager
def running(server: Sink, *, host: str = "127.0.0.1") -> Iterator[Sink]:
    """Run a server in a thread of its own until the block ends."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def main() -> None:
        at_once = server.tls if server.always_tls else None
        listening = await asyncio.start_server(server.serve, host, 0, limit=2**24, ssl=at_once)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        listening.close()

    stop = asyncio.Event()

    def run() -> None:
        loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@dataclass
class Scripted(Sink):
    """A server that answers each command with what its script says, and may hang up instead.

    script    verb ("EHLO", "MAIL", "RCPT", "DATA", "BODY", "BANNER") → the bytes to write; None hangs up; missing: as a Sink
    """

    script: dict[str, bytes | None] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one session by the script."""
        if not await self._say("BANNER", b"220 scripted.test\r\n", writer):
            return
        recipient = ""
        try:
            while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
                verb = line[:4].upper()
                if verb == "RCPT":
                    recipient = path_of(line)
                if not await self._say(verb, self._usual(verb), writer):
                    return
                if verb == "DATA" and self.script.get("DATA", b"354").startswith(b"354"):  # type: ignore[union-attr]
                    body = await until_dot(reader)
                    if not await self._say("BODY", b"250 2.0.0 kept\r\n", writer):
                        return
                    self.messages.append(Message("", recipient, body[:-3], time.monotonic()))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _usual(self, verb: str) -> bytes:
        if verb == "EHLO":
            return b"250-scripted.test\r\n250 SIZE 33554432\r\n"
        return {"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")

    async def _say(self, verb: str, usual: bytes, writer: asyncio.StreamWriter) -> bool:
        said = self.script.get(verb, usual)
        if said is None:
            writer.close()
            return False
        writer.write(said)
        await writer.drain()
        return True
