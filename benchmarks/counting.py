"""Two small servers, run by `sinks`: a sink that answers and forgets, with TLS if wanted, and a road that makes a sink far away."""

import asyncio
import ssl
import sys
from typing import cast

import uvloop

_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One session. Commands may be pipelined; bodies are looked through for their end and dropped."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._rest, self._in_body = b"", False
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every complete command and every end of a body in what has come, in one write."""
        self._rest += data
        answers: list[bytes] = []
        while (answer := self._take()) is not None:
            answers.append(answer)
        self._transport.write(b"".join(answers))

    def _take(self) -> bytes | None:
        end = self._rest.find(_END if self._in_body else b"\r\n")
        if end < 0:
            if self._in_body:
                self._rest = self._rest[-4:]
            return None
        if self._in_body:
            self._rest, self._in_body = self._rest[end + len(_END) :], False
            return b"250 2.0.0 Ok\r\n"
        word, self._rest = self._rest[:4].upper(), self._rest[end + 2 :]
        self._in_body = word == b"DATA"
        if word == b"QUIT":
            asyncio.get_running_loop().call_soon(self._transport.close)
        return {b"EHLO": _EHLO, b"DATA": b"354 Go on\r\n", b"QUIT": b"221 Bye\r\n"}.get(word, b"250 2.1.0 Ok\r\n")


class Lane(asyncio.Protocol):
    """One direction of the road: what arrives leaves later by the same time, so that its order stays."""

    def __init__(self, later: float) -> None:
        self._later = later
        self._arrived: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.other: Lane | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know where this end writes to."""
        self._arrived.set_result(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """Let it arrive at the other end half a round trip from now."""
        asyncio.get_running_loop().call_later(self._later, self._deliver, data)

    def connection_lost(self, error: Exception | None) -> None:
        """Close the other end when all that is under way has arrived."""
        asyncio.get_running_loop().call_later(self._later, self._deliver, None)

    def _deliver(self, data: bytes | None) -> None:
        if self.other is None or not self.other._arrived.done():
            asyncio.get_running_loop().call_later(self._later, self._deliver, data)
        elif data is None:
            self.other._arrived.result().close()
        else:
            self.other._arrived.result().write(data)


async def _road(port: int, to: int, milliseconds: int) -> asyncio.Server:
    """libuv's timers know whole milliseconds, so an odd round trip is longer one way."""
    out, back = (milliseconds // 2) / 1000, (milliseconds - milliseconds // 2) / 1000
    loop = asyncio.get_running_loop()
    kept: set[asyncio.Task[None]] = set()

    def accept() -> Lane:
        near = Lane(out)

        async def connect() -> None:
            _, far = await loop.create_connection(lambda: Lane(back), "127.0.0.1", to)
            near.other, far.other = far, near

        task = loop.create_task(connect())
        kept.add(task)
        task.add_done_callback(kept.discard)
        return near

    return await loop.create_server(accept, "127.0.0.1", port, backlog=1000)


async def _sink(port: int, certificate: str | None) -> asyncio.Server:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    return await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, ssl=context, backlog=1000)


async def _serve(arguments: list[str]) -> None:
    match arguments:
        case ["sink", port, *certificate]:
            server = await _sink(int(port), certificate[0] if certificate else None)
        case ["road", port, to, milliseconds]:
            server = await _road(int(port), int(to), int(milliseconds))
        case _:
            sys.exit("sink PORT [CERTIFICATE] | road PORT TO MILLISECONDS")
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1:]))
