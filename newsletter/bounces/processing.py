"""Which delivery a report is about, and what stands in a mail to the leaving address: pure."""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from newsletter.reports import mime
from newsletter.reports.parse import Bounce, Complaint, Sent
from newsletter.tokens import LENGTH, BadToken

Meant = TypeVar("Meant")
_TOKEN = re.compile(rf"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{{{LENGTH}}}(?![A-Za-z0-9_-])")
_ATTEMPT = re.compile(r"[A-Za-z0-9_-]{20}")


def clues(recipient: str, report: Bounce | Complaint) -> Iterator[str]:
    """Yield what may name the delivery, the surest first: the return path it came to, the envelope id, the path it left with."""
    yield recipient.rpartition("@")[0]
    yield report.envid
    yield report.sent.sender.rpartition("@")[0]


def meant(recipient: str, report: Bounce | Complaint, read: Callable[[str], Meant]) -> Meant | None:
    """Return what the first clue that `read` understands names; None when it understands none (it raises BadToken)."""
    for clue in clues(recipient, report):
        try:
            return read(clue)
        except BadToken:
            continue
    return None


def addresses(report: Bounce | Complaint) -> list[str]:
    """Return the addresses that the message may have gone to, each once, four at most."""
    said = report.said if isinstance(report, Bounce) else ()
    found = [report.sent.to, *(address for one in said for address in (one.original, one.recipient))]
    return list(dict.fromkeys(filter(None, found)))[:4]


def sent(report: Bounce | Complaint) -> Sent:
    """Return what is known of the message that the report is about."""
    return report.sent


def wishes(content: bytes) -> tuple[list[str], bool]:
    """Return the tokens in a subject, five at most, and whether the mail is a letter instead: nothing like a token is there."""
    subject = mime.words(mime.read(content[: 2**16]).field("subject"))
    return _TOKEN.findall(subject)[:5], _ATTEMPT.search(subject) is None


def is_whole(content: bytes) -> bool:
    """Whether a letter holds nothing but text: no picture, and no part that is sealed for somebody else."""
    return all(part.kind in ("text/plain", "text/html") for part in mime.leaves(mime.read(content)))
