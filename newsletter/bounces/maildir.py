"""A folder that a mail server delivers into (Maildir): each message of new/ is taken in, then moved to cur/.

Killed between the two, the message is taken in again at the next start, which changes nothing.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
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
_SEEN, _FLAGGED = ":2,S", ":2,FS"


class NoMaildir(NotFound):
    """There is no folder with new/ and cur/ where one should be."""

    def __init__(self, path: Path) -> None:
        super().__init__("intake.no-maildir", path=str(path))


def check(path: Path) -> None:
    """Raise NoMaildir where mail cannot be taken from."""
    if not (path / "new").is_dir() or not (path / "cur").is_dir():
        raise NoMaildir(path)


def work(path: Path, router: Router, take: Take) -> int:
    """Take in what lies in new/; return how many messages. What the database cannot take now stays for the next time."""
    taken = 0
    for name in sorted(os.listdir(path / "new")):
        with suppress(FileNotFoundError):  # somebody else was faster
            if not _one(path, name, router, take):
                return taken
            taken += 1
    return taken


def _one(path: Path, name: str, router: Router, take: Take) -> bool:
    """Take in one message; return False when the database cannot take it now."""
    flag = _SEEN
    try:
        with (path / "new" / name).open("rb") as file:
            content = file.read(LARGEST)
        for arrived in _arrived(content, router):
            take(arrived)
    except FileNotFoundError:
        raise
    except Exception as error:
        if _passes(error):
            log.warning("mail waits", why=type(error).__name__)
            return False
        # One message that breaks us must not hold up all others: it is set apart, flagged, for somebody to look at.
        log.error("message set apart", why=type(error).__name__, where=routing.raised_in(error))
        flag = _FLAGGED
    os.rename(path / "new" / name, path / "cur" / f"{name.partition(':')[0]}{flag}")
    return True


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
