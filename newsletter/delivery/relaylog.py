"""What a relay's log says of messages in doubt: which of our Message-IDs it has taken into its queue.

Postfix names a message twice: its cleanup writes the Message-ID when the header comes, its queue manager "queue active" when the
whole message is on disk. Only both together, and in this order, mean that it was taken; a connection that died within the
message leaves the first alone. A short queue id, which is Postfix's default, comes again within hours: each new name under it
begins anew.
"""

import re
from collections.abc import Set
from pathlib import Path

TAIL_BYTES = 64 * 2**20
"""How much of the end of a log is read: some 400,000 messages."""
_NAMED = re.compile(rb"cleanup\[\d+\]: ([0-9A-Za-z]+): (?:resent-)?message-id=<?([^>]*)")
_TAKEN = re.compile(rb"qmgr\[\d+\]: ([0-9A-Za-z]+): from=<[^>]*>, .*\(queue active\)")


def taken(path: Path, wanted: Set[str]) -> set[str]:
    """Return those of the wanted Message-IDs that the relay has in its queue, or had.

    wanted   without angle brackets

    Raises OSError when the log cannot be read.
    """
    named: dict[bytes, str] = {}
    queued: set[str] = set()
    for line in _lines(path):
        if found := _NAMED.search(line):
            named.pop(found[1], None)
            if (message_id := found[2].decode("ascii", "replace")) in wanted:
                named[found[1]] = message_id
        elif (found := _TAKEN.search(line)) and found[1] in named:
            queued.add(named[found[1]])
    return queued


def _lines(path: Path) -> list[bytes]:
    with path.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - TAIL_BYTES))
        return log.read().splitlines()
