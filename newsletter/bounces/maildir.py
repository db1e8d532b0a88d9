"""A folder that a mail server delivers into (Maildir): each message of new/ is taken in, then moved to cur/.

Killed between the two, the message is taken in again at the next start, which changes nothing. Whatever goes wrong, intake goes on:
the message stays where it is and is tried again.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from newsletter.bounces import routing
from newsletter.bounces.routing import LARGEST, Arrived, Place, Router
from newsletter.database import FAILURES
from newsletter.errors import NotFound
from newsletter.reports import mime
from newsletter.reports.mime import Part
from newsletter.reports.parse import address

log = structlog.get_logger()

Take = Callable[[Arrived], object]
SAID_EVERY_SECONDS = 3600.0
_SEEN, _FLAGGED = ":2,S", ":2,FS"


class NoMaildir(NotFound):
    """There is no folder with new/ and cur/ where one should be."""

    def __init__(self, path: Path) -> None:
        super().__init__("intake.no-maildir", path=str(path))


def check(path: Path) -> None:
    """Raise NoMaildir where mail cannot be taken from."""
    if not (path / "new").is_dir() or not (path / "cur").is_dir():
        raise NoMaildir(path)


class Folder:
    """A Maildir that is looked into again and again."""

    def __init__(self, path: Path, router: Router, take: Take) -> None:
        """Remember the parts; nothing is looked at yet. take: deals with one mail, and may raise."""
        self._path, self._router, self._take = path, router, take
        self._flags: dict[str, str] = {}
        self._silent_until = 0.0

    def work(self) -> int:
        """Take in what lies in new/; return how many messages. What cannot be taken in or moved now stays for the next time."""
        taken = 0
        try:
            names = sorted(os.listdir(self._path / "new"))
        except OSError as error:
            self._say(error)
            return 0
        here = set(names)
        self._flags = {name: flag for name, flag in self._flags.items() if name in here}
        for name in names:
            try:
                self._one(name)
                taken += 1
            except OSError as error:
                # Of the disk, or of this file: the others are tried all the same. It is gone where somebody else was faster.
                if (self._path / "new" / name).exists():
                    self._say(error)
            except FAILURES as error:
                self._say(error)
                break
        return taken

    def _one(self, name: str) -> None:
        """Take in one message and move it. Raises OSError, and what the database cannot take now."""
        flag = self._flags.get(name)
        if flag is None:
            with (self._path / "new" / name).open("rb") as file:
                content = file.read(LARGEST)
            # Kept beside it until it lies in cur/: on a full disk that may take a day, and nothing is taken in each second.
            flag = self._flags[name] = self._taken_in(content)
        os.rename(self._path / "new" / name, self._path / "cur" / f"{name.partition(':')[0]}{flag}")
        self._flags.pop(name, None)

    def _taken_in(self, content: bytes) -> str:
        try:
            for arrived in _arrived(content, self._router):
                self._take(arrived)
        except Exception as error:
            if isinstance(error, OSError) or _passes(error):
                raise
            # One message that breaks us must not hold up all others: it is set apart, flagged, for somebody to look at.
            log.error("message set apart", why=type(error).__name__, where=routing.raised_in(error))
            return _FLAGGED
        return _SEEN

    def _say(self, error: Exception) -> None:
        """Say that mail waits and why, once an hour: we look each second."""
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + SAID_EVERY_SECONDS
            log.warning("mail waits", why=getattr(error, "strerror", None) or type(error).__name__)


def _passes(error: Exception) -> bool:
    """Return whether the database cannot take anything now. What it refuses for what a message says, it refuses for ever."""
    of_the_message = isinstance(error, DataError | IntegrityError) or type(error) is StatementError
    return isinstance(error, FAILURES) and not of_the_message


def _arrived(content: bytes, router: Router) -> Iterable[Arrived]:
    """The server writes for whom it was: in Delivered-To or X-Original-To, the topmost is its own; else To and Cc are asked."""
    header = mime.read(content[: 2**16])
    sender = address(header.field("return-path"))
    for recipient in _recipients(header):
        if router.route(recipient).place not in (Place.ELSEWHERE, Place.NOBODY):
            yield Arrived(sender, recipient, content)


def _recipients(header: Part) -> list[str]:
    for name in ("x-original-to", "delivered-to"):
        if found := address(header.field(name)):
            return [found]
    named = f"{header.field('to')},{header.field('cc')}".split(",")[:20]
    return list(dict.fromkeys(filter(None, map(address, named))))
