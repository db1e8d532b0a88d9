"""The Common Alerting Protocol 1.2 (OASIS, 1 July 2010), in and out. Pure.

`message` holds the values, `reading` makes one from XML that nobody trusts, `writing` prints one. What to do with a message is
`campaigns.ordering`'s; what becomes of its words is `campaigns.wording`'s.
"""

from newsletter.campaigns.cap.message import (
    Area,
    CapMessage,
    Category,
    Certainty,
    Info,
    Kind,
    Reference,
    Resource,
    Response,
    Scope,
    Severity,
    Status,
    Urgency,
    reference,
)
from newsletter.campaigns.cap.reading import MAX_BYTES, BadCap, NotCap, OtherVersion, TooLarge, document, read
from newsletter.campaigns.cap.writing import write

__all__ = [
    "MAX_BYTES",
    "Area",
    "BadCap",
    "CapMessage",
    "Category",
    "Certainty",
    "Info",
    "Kind",
    "NotCap",
    "OtherVersion",
    "Reference",
    "Resource",
    "Response",
    "Scope",
    "Severity",
    "Status",
    "TooLarge",
    "Urgency",
    "document",
    "read",
    "reference",
    "write",
]
