"""What a report means for the reader and for the mailing: pure. Codes and words are judged by `relay.verdict`, as in a session."""

import re
from dataclasses import dataclass
from enum import StrEnum

from newsletter.relay import verdict
from newsletter.relay.reply import Reply
from newsletter.relay.verdict import Class
from newsletter.reports.parse import Automatic, Bounce, Complaint, Letter, Report, Said


class Fate(StrEnum):
    """What became of the mail, or what was said of it. RELAYED: handed on, to where nothing is reported from."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    COMPLAINT = "complaint"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What follows from a report. cls, code and enhanced: of a failure, in numbers; the words may repeat an address."""

    fate: Fate
    cls: Class | None = None
    code: int | None = None
    enhanced: str | None = None


NOTHING = Meaning(Fate.NOTHING)
# RFC 3464 §2.3.3: relayed "into an environment that does not accept responsibility", expanded: neither is a delivery.
_HANDED_ON = ("relayed", "expanded")
# RFC 5965 §3.1 and the registry: who says "not-spam" praises, and "auth-failure" (RFC 6591) is a server's remark on signatures.
_NO_COMPLAINT = ("not-spam", "auth-failure", "dmarc", "")
# The precise code stands right behind the basic one (RFC 2034); elsewhere "5.1.1" is as often a part of somebody's address.
_CODE = re.compile(r"(?:^|[\s:>(\[])([245]\d\d)[ -](?:#?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d))?")


def of(report: Report) -> Meaning:
    """Return what a report means. A letter and an automatic answer mean nothing for the books."""
    match report:
        case Complaint(kind=kind):
            return NOTHING if kind in _NO_COMPLAINT else Meaning(Fate.COMPLAINT)
        case Bounce(said=said):
            return _together([judge(one) for one in said])
        case Automatic() | Letter():
            return NOTHING


def judge(said: Said) -> Meaning:
    """Return what is said of one recipient."""
    if said.action == "delivered":
        return Meaning(Fate.DELIVERED)
    if said.action in _HANDED_ON:
        return Meaning(Fate.RELAYED)
    if said.action == "delayed":
        return Meaning(Fate.DELAYED)
    if said.action != "failed":
        return NOTHING
    if not said.diagnostic and not said.status:
        return Meaning(Fate.FAILED)
    code, enhanced = _numbers(said)
    words = Reply.parse(said.diagnostic).text or said.diagnostic
    cls = verdict.judge(said.stage, code, enhanced, words).cls
    if cls is Class.DEAD and said.status.startswith("4"):
        cls = Class.TRANSIENT  # RFC 3463 §3.1: given up, and yet another time may do
    return Meaning(Fate.FAILED, cls, code or None, enhanced)


def _together(meanings: list[Meaning]) -> Meaning:
    """A message of ours has one recipient; several are those whom an alias stands for, and one of them may live."""
    failed = [one for one in meanings if one.fate is Fate.FAILED]
    others = [one for one in meanings if one.fate is not Fate.FAILED]
    if failed and not others:
        alive = [one for one in failed if one.cls is not Class.DEAD]
        return (alive or failed)[0]
    return next((one for one in others if one.fate is Fate.DELIVERED), others[0] if others else NOTHING)


def _numbers(said: Said) -> tuple[int, str | None]:
    """Return the code and the enhanced code; where only the status is given, the code it stands for."""
    code = _CODE.search(said.diagnostic)
    enhanced = (code[2] if code else None) or said.status or None
    if code:
        return int(code[1]), enhanced
    # Nothing but words: it was given up for good, so these are asked as if they had stood behind a 550.
    return (450 if (enhanced or "").startswith("4") else 550), enhanced
