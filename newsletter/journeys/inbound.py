"""Whether mail to us is read: the self-test, and the address for leaving by mail that may be printed once it has passed."""

import time
from collections.abc import Callable

from newsletter import database
from newsletter.bounces import probing
from newsletter.bounces.routing import Router
from newsletter.database import Session
from newsletter.errors import Conflict
from newsletter.journeys.parts import Parts

PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.05


class NoBounceDomain(Conflict):
    """No domain of return paths is set, so nothing that comes in could be told apart."""

    def __init__(self) -> None:
        super().__init__("intake.no-domain")


def router(parts: Parts) -> Router:
    """Return who knows our addresses. Raises NoBounceDomain."""
    if parts.router is None:
        raise NoBounceDomain
    return parts.router


def self_test(parts: Parts, deliver: Callable[[str], None], *, patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Write to ourselves and wait until it has come back; return whether it did.

    deliver   hands a probe for an address to whatever takes mail in

    Raises NoBounceDomain and what `deliver` raises.
    """
    known = router(parts)
    with parts.database.transaction() as session:
        number = probing.ask(session, known.domain, now=database.now(session))
    deliver(known.probe(number))
    deadline = time.monotonic() + patience_seconds
    while True:
        with parts.database.transaction() as session:
            if probing.passed(session, known.domain, number):
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)


def works(parts: Parts) -> bool:
    """Whether the self-test has passed within the last week."""
    with parts.database.transaction() as session:
        return leave_address(session, parts) is not None


def reply_domain(session: Session, parts: Parts) -> str:
    """Return the domain at which answers to our questions are read, "" where mail to it is not known to be read."""
    return parts.router.domain if parts.router and leave_address(session, parts) else ""


def leave_address(session: Session, parts: Parts) -> str | None:
    """Return the address that takes wishes to leave by mail, None where mail to it is not known to be read (standards §12)."""
    if parts.router is None or not probing.works(session, parts.router.domain, now=database.now(session)):
        return None
    return parts.router.leaving
