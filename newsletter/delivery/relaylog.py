"""What a relay's log says of messages in doubt: which of our Message-IDs it has taken into its queue.

Postfix names a message twice: its cleanup writes the Message-ID when the header comes, its queue manager "queue active" when the
whole message is on disk. Only both together, and in this order, mean that it was taken; a connection that died within the
message leaves the first alone. A short queue id, which is Postfix's default, comes again within hours: each new name under it
begins anew.
"""

import os
import re
from collections.abc import Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

TAIL_BYTES = 64 * 2**20
"""How much of the end of a log is read: some 400,000 messages."""
_NAMED = re.compile(rb"cleanup\[\d+\]: ([0-9A-Za-z]+): (?:resent-)?message-id=<?([^>]*)")
_TAKEN = re.compile(rb"qmgr\[\d+\]: ([0-9A-Za-z]+): from=<[^>]*>, .*\(queue active\)")


class RelayLog:
    """A log that is read on from where it was left, as long as nobody asks for what was not asked for before."""

    def __init__(self, path: Path) -> None:
        """Remember where it lies; it is opened by the first look."""
        self._path = path
        self._log: BinaryIO | None = None
        self._known: Set[str] = frozenset()
        self._named: dict[bytes, str] = {}
        self._queued: set[str] = set()

    def taken(self, wanted: Set[str]) -> set[str]:
        """Return those of the wanted Message-IDs that the relay has in its queue, or had.

        wanted   without angle brackets

        What is wanted for the first time is looked for in all of the log's end, since a doubt may be younger than its lines. What
        was found is told again as long as it is wanted: whoever asked may not have come to write it down.
        Raises OSError when the log cannot be read.
        """
        put_aside = self._put_aside()
        if self._log:
            self._look(wanted, _whole_lines(self._log))
        if put_aside or not wanted <= self._known:
            self._known, self._named = frozenset(), {}
            self._look(wanted, self._end())
        # Who writes to a file that was put aside does so for a moment longer: all is read once more by the next look.
        self._known = frozenset() if put_aside else frozenset(wanted)
        self._queued &= wanted
        return set(self._queued)

    def close(self) -> None:
        """Forget where it was left: nobody is in doubt any more."""
        if self._log:
            self._log.close()
        self._log, self._known, self._named, self._queued = None, frozenset(), {}, set()

    def _put_aside(self) -> bool:
        """Return whether another file has the log's name now, or the same one was emptied."""
        if not self._log:
            return False
        mine, its = os.fstat(self._log.fileno()), self._path.stat()
        return (mine.st_dev, mine.st_ino) != (its.st_dev, its.st_ino) or its.st_size < self._log.tell()

    def _look(self, wanted: Set[str], lines: Iterator[bytes]) -> None:
        for line in lines:
            if found := _NAMED.search(line):
                self._named.pop(found[1], None)
                if (message_id := found[2].decode("ascii", "replace")) in wanted:
                    self._named[found[1]] = message_id
            elif (found := _TAKEN.search(line)) and found[1] in self._named:
                self._queued.add(self._named[found[1]])

    def _end(self) -> Iterator[bytes]:
        """Yield the last lines, and before them those of the file that was put aside last: it may have been so since midnight."""
        # First: one that may not be read leaves the one before, and is tried again by the next look.
        opened = self._path.open("rb")
        if self._log:
            self._log.close()
        self._log = opened
        size = self._log.seek(0, os.SEEK_END)
        with suppress(OSError), self._put_aside_last().open("rb") as before:
            before.seek(-min(max(0, TAIL_BYTES - size), before.seek(0, os.SEEK_END)), os.SEEK_END)
            yield from before
        self._log.seek(max(0, size - TAIL_BYTES))
        yield from _whole_lines(self._log)

    def _put_aside_last(self) -> Path:
        """Return the file before this one: NAME.1, or NAME-DATE where the log's keeper dates them."""
        dated = sorted(self._path.parent.glob(f"{self._path.name}-*[0-9]"))
        return dated[-1] if dated else self._path.with_name(f"{self._path.name}.1")


def _whole_lines(log: BinaryIO) -> Iterator[bytes]:
    """Yield what follows, and leave a line that is just being written for the next time."""
    while (line := log.readline()).endswith(b"\n"):
        yield line
    log.seek(-len(line), os.SEEK_CUR)
