"""A line to a server whose other end the test holds: bytes written are kept, answers are said by hand, and it can clog."""

import asyncio
from dataclasses import dataclass, field


class Line(asyncio.Transport):
    """The transport. unsent: bytes that the kernel does not take; the test clogs and frees it."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.unsent = 0
        self._protocol = asyncio.Protocol()
        self._closing = False

    def set_protocol(self, protocol):
        """Listen with another protocol."""
        self._protocol = protocol

    def get_protocol(self):
        """Return who listens."""
        return self._protocol

    def write(self, data):
        """Keep what is said."""
        assert not self._closing, "said on a line that is closed"
        self.written += data

    def get_write_buffer_size(self):
        """Return what the kernel has not taken."""
        return self.unsent

    def is_closing(self):
        """Return whether it was dropped."""
        return self._closing

    def abort(self):
        """Drop it; who listens is told a little later, as by a real one."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    # What the test does at the other end.

    def say(self, words):
        """Say something to our side."""
        self._protocol.data_received(words)

    def clog(self):
        """Take no more bytes for now."""
        self.unsent = 100_000
        self._protocol.pause_writing()

    def free(self):
        """Take everything."""
        self.unsent = 0
        self._protocol.resume_writing()

    def die(self):
        """End without a word."""
        self._closing = True
        self._protocol.connection_lost(ConnectionResetError())

    def taken(self):
        """Return what was said since the last look."""
        written, self.written = self.written, b""
        return written


@dataclass
class Opened:
    """What is left of opening a session: its line, and what the server offered."""

    transport: Line = field(default_factory=Line)
    esmtp_extensions: dict = field(default_factory=lambda: {"pipelining": ""})
