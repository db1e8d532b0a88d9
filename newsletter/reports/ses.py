"""What Amazon SES says of mail it carried (its notifications over SNS), as the reports that servers send as mail.

Both spellings are read: `notificationType` of identities and `eventType` of configuration sets. What is not a bounce, a complaint
or a delivery is None, and so is anything malformed.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from newsletter.reports import parse as reports
from newsletter.reports.parse import Bounce, Complaint, Said, Sent

MOST = 50


def parse(text: str) -> Bounce | Complaint | None:
    """Return the report in a notification's message, None where there is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    sent = _sent(_mapping(document.get("mail")))
    match document.get("notificationType") or document.get("eventType"):
        case "Bounce":
            return _bounce(_mapping(document.get("bounce")), sent)
        case "Complaint":
            return _complaint(_mapping(document.get("complaint")), sent)
        case "Delivery":
            delivery = _mapping(document.get("delivery"))
            there = tuple(Said(_text(one), action="delivered") for one in _list(delivery.get("recipients")))
            return Bounce(there, "", sent, at=_time(delivery.get("timestamp")))
    return None


def _bounce(bounce: Mapping[str, Any], sent: Sent) -> Bounce:
    """Only a permanent bounce is final; of a transient one, SES says "failed" all the same, and gives up."""
    lasting = bounce.get("bounceType") == "Permanent"
    nobody = bounce.get("bounceSubType") == "NoEmail"
    said = []
    for one in map(_mapping, _list(bounce.get("bouncedRecipients"))):
        words = _text(one.get("diagnosticCode")).removeprefix("smtp;").strip()
        status = "5.1.1" if nobody else reports.code(_text(one.get("status")))
        if not lasting and not status.startswith("4"):
            status, words = "4.2.2" if bounce.get("bounceSubType") == "MailboxFull" else "4.0.0", ""
        said.append(Said(_text(one.get("emailAddress")), "", "failed", status, words))
    return Bounce(tuple(said), "", sent)


def _complaint(complaint: Mapping[str, Any], sent: Sent) -> Complaint:
    # The provider need not say of which kind it is; that there is one is what counts.
    return Complaint(_text(complaint.get("complaintFeedbackType")) or "abuse", "", sent)


def _sent(mail: Mapping[str, Any]) -> Sent:
    named = {
        _text(_mapping(one).get("name")).lower(): _text(_mapping(one).get("value"))
        for one in _list(mail.get("headers"))
    }
    to = [_text(one) for one in _list(mail.get("destination"))]
    return Sent(named.get("message-id", "").strip("<> "), _text(mail.get("source")), to[0] if to else "")


def _time(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value[:MOST] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value[:2000] if isinstance(value, str) else ""
