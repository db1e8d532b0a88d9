"""An SMTP server that does, by a seed, what real servers have been seen to do at their worst, and remembers what it really said.

Replies of several lines and in pieces of one to seven bytes, refusals at every stage, 354 after a refusal, 421 alone and behind
250, lines that die before, within and after every answer and within a message, slow banners, garbage.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.fakes.smtp import Sink, path_of


class _Gone(Exception):
    """The server hangs up."""


@dataclass
class Hostile(Sink):
    """Knows of each recipient what was answered in full to the message, and whose message was answered only in part or not.

    answered  (recipient, first digit) → how many full answers to the message
    silent    recipient → how many messages came to their final dot and had no full answer
    unheard   recipient → how many messages were asked for and not listened to up to their final dot
    bodies    recipient → how many messages were begun, as far as they were listened to
    """

    seed: int = 0
    calm: float = 0.97
    answered: Counter = field(default_factory=Counter)
    silent: Counter = field(default_factory=Counter)
    unheard: Counter = field(default_factory=Counter)
    bodies: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self._dice = random.Random(self.seed)

    async def serve(self, reader, writer):
        """Hold one session."""
        session = _Session(self, self._dice, reader, writer)
        try:
            await session.hold()
        except (_Gone, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class _Session:
    def __init__(self, server, dice, reader, writer):
        self.server, self.dice, self.reader, self.writer = server, dice, reader, writer
        self.recipient, self.refused = "", False

    async def hold(self):
        if self.dice.random() < 0.02:
            await asyncio.sleep(self.dice.random() * 0.1)
        if not self.calmly("banner"):
            await self.write(self.dice.choice([b"", b"421 busy\r\n", b"554 go away\r\n", b"\x00\r\n", b"22"]))
            raise _Gone
        await self.say(b"220", b"hostile.test")
        while line := await self.reader.readline():
            await self.obey(line.strip())

    async def obey(self, line):
        verb = line[:4].upper()
        if verb == b"EHLO":
            await self.write(
                self.dice.choice(
                    [
                        b"250-hostile.test\r\n250-PIPELINING\r\n250 \r\n",
                        b"250-hostile.test\r\n250-SIZE 33554432\r\n250 PIPELINING\r\n",
                        b"250-hostile.test\r\n250-pipelining\r\n250-8BITMIME\r\n250 DSN\r\n",
                        b"250 hostile.test\r\n",
                    ]
                )
            )
            if not self.calmly("behind EHLO"):
                raise _Gone
        elif verb in (b"MAIL", b"RCPT"):
            await self.take(verb, line)
        elif verb == b"DATA":
            await self.data()
        elif verb == b"QUIT":
            await self.say(b"221", b"2.0.0 bye")
            raise _Gone
        else:
            await self.say(b"250" if verb in (b"RSET", b"NOOP") else b"502", b"2.0.0 well")

    async def take(self, verb, line):
        if verb == b"MAIL":
            self.refused = False
        else:
            self.recipient = path_of(line.decode())
        if not self.calmly(verb.decode()):
            await self.misbehave([b"451 4.3.0 later", b"550 5.1.1 unknown", b"452 4.2.2 full"])
            self.refused = True
        else:
            await self.say(b"503" if self.refused else b"250", b"2.1.0 ok")

    async def data(self):
        if self.refused and self.dice.random() < 0.5:
            await self.say(b"503", b"5.5.1 no recipients")
            return
        if not self.calmly("DATA"):
            await self.misbehave([b"451 4.3.0 later", b"554 5.5.1 no"])
            return
        await self.say(b"354", b"go on")
        if not self.calmly("asked"):
            await self.lose_interest()
        await self.listen()
        if self.refused:
            await self.say(b"554", b"5.5.1 no valid recipients")
            return
        self.server.silent[self.recipient] += 1
        await self.judge()

    async def lose_interest(self):
        """Hang up before a word of the message is read, at once or a little later, perhaps with a farewell."""
        self.server.unheard[self.recipient] += 1
        await asyncio.sleep(self.dice.choice((0, 0.001, 0.004)))
        if self.dice.random() < 0.5:
            await self.write(b"421 4.3.2 shutting down\r\n")
        raise _Gone

    async def listen(self):
        """Read a message up to its final dot, or hang up in the middle of it."""
        # Some wait for ten minutes, some for ten milliseconds.
        patience = 0.01 if self.dice.random() < 0.5 else None
        try:
            line = await asyncio.wait_for(self.reader.readline(), patience)
        except TimeoutError:
            return await self.lose_interest()
        self.server.bodies[self.recipient] += line not in (b".\r\n", b"")
        if line != b".\r\n" and not self.calmly("in the message"):
            self.server.unheard[self.recipient] += 1
            await self.reader.read(self.dice.randint(1, 20))
            raise _Gone
        while line not in (b".\r\n", b""):
            line = await self.reader.readline()
        if not line:
            raise _Gone
        return None

    async def judge(self):
        """Answer a message: fully, in part, or not at all; and perhaps hang up behind a full answer."""
        if self.calmly("message"):
            await self.full(b"250", b"2.0.0 kept")
            if not self.calmly("behind the answer"):
                if self.dice.random() < 0.7:
                    await self.write(b"421 4.3.2 shutting down\r\n")
                raise _Gone
            return
        fate = self.dice.randrange(4)
        if fate == 0:
            raise _Gone
        if fate == 1:
            whole = b"250 2.0.0 kept\r\n"
            await self.write(whole[: self.dice.randrange(len(whole))])
            raise _Gone
        if fate == 2:
            await self.write(b"\xff\xfe what\r\n")
            raise _Gone
        await self.full(*self.dice.choice([(b"451", b"4.3.0 later"), (b"550", b"5.7.1 spam"), (b"421", b"4.3.2 bye")]))

    async def full(self, code, words):
        """Say a whole answer to a message, and write it down."""
        self.server.silent[self.recipient] -= 1
        self.server.answered[self.recipient, code[:1]] += 1
        await self.say(code, words)
        if code == b"421":
            raise _Gone

    async def misbehave(self, refusals):
        fate = self.dice.randrange(5)
        if fate == 0:
            raise _Gone
        if fate == 1:
            await self.write(b"250 2.1"[: self.dice.randrange(7)])
            raise _Gone
        if fate == 2:
            await self.write(self.dice.choice([b"421 4.7.0 too many\r\n", b"what?\r\n", b"250-a\r\n550 b\r\n"]))
            raise _Gone
        refusal = self.dice.choice(refusals)
        await self.say(refusal[:3], refusal[4:])

    def calmly(self, where):
        if self.dice.random() < self.server.calm:
            return True
        self.server.faults[where] += 1
        return False

    async def say(self, code, words):
        lines = self.dice.choice((1, 1, 1, 2, 4))
        reply = b"".join(code + b"-" + words + b"\r\n" for _ in range(lines - 1)) + code + b" " + words + b"\r\n"
        await self.write(reply)

    async def write(self, octets):
        if self.dice.random() < 0.9:
            self.writer.write(octets)
        else:
            while octets:
                size = self.dice.randint(1, 7)
                self.writer.write(octets[:size])
                octets = octets[size:]
                await asyncio.sleep(0)
        await self.writer.drain()
