"""The four kinds of failure a caller can act on.

Each error lives beside the function that raises it and is one of these kinds. It carries a message id and the facts of
the case; the door words it (`languages.say`) in the reader's language and zone.
"""

from datetime import UTC, datetime
from typing import Any


class NewsletterError(Exception):
    """A refusal: `message` is an id of the catalogue, `facts` fill its sentence. Facts hold no address and no secret."""

    status = 500

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts.items())
        return f"{self.message} ({facts})" if facts else self.message


class NotFound(NewsletterError):
    """What was asked for is not there."""

    status = 404


class Conflict(NewsletterError):
    """What was asked for does not fit the state things are in."""

    status = 409


class Invalid(NewsletterError):
    """What was given cannot be understood or accepted."""

    status = 422


class Forbidden(NewsletterError):
    """What was asked for may not be done, or not by this caller."""

    status = 403


def fact(at: datetime) -> str:
    """Return a moment as facts keep it, "2026-11-25 22:40 UTC": text, since they are stored, which a page tells in its own zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
