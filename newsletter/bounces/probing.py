"""The self-test: a mail to an address that only we can make, and the row that says when one came back.

A `mailto:` stands in a message for years, so it is written only where mail to it is known to be read (standards §12).
"""

import secrets
import smtplib
from datetime import datetime, timedelta

from sqlalchemy import text

from newsletter.database import Session

PATIENCE = timedelta(minutes=15)
TRUSTED = timedelta(days=7)
_NUMBERS = 2**39


def ask(session: Session, domain: str, *, now: datetime) -> int:
    """Begin a self-test of a domain; return the number its probe carries. An earlier probe counts no more."""
    number = secrets.randbelow(_NUMBERS)
    session.execute(_ASK, {"domain": domain, "number": number, "now": now})
    return number


_ASK = text("""
    INSERT INTO inbound_test (domain, number, asked_at) VALUES (:domain, :number, :now)
    ON CONFLICT (domain) DO UPDATE SET number = excluded.number, asked_at = excluded.asked_at
""")


def came(session: Session, domain: str, number: int, *, now: datetime) -> bool:
    """A probe came back; return whether it is the one that was asked last, and in time."""
    facts = {"domain": domain, "number": number, "now": now, "asked": now - PATIENCE}
    return bool(session.execute(_CAME, facts).rowcount)  # type: ignore[attr-defined]


_CAME = text("""
    UPDATE inbound_test SET passed_at = :now WHERE domain = :domain AND number = :number AND asked_at > :asked
""")


def passed(session: Session, domain: str, number: int) -> bool:
    """Whether the probe of this number has come back."""
    query = text("SELECT passed_at >= asked_at FROM inbound_test WHERE domain = :domain AND number = :number")
    return bool(session.execute(query, {"domain": domain, "number": number}).scalar_one_or_none())


def works(session: Session, domain: str, *, now: datetime) -> bool:
    """Whether mail to a domain was read within the last week."""
    query = text("SELECT passed_at > :since FROM inbound_test WHERE domain = :domain")
    return bool(session.execute(query, {"domain": domain, "since": now - TRUSTED}).scalar_one_or_none())


def message(recipient: str) -> bytes:
    """Return a probe."""
    return f"To: <{recipient}>\r\nSubject: self-test\r\nAuto-Submitted: auto-generated\r\n\r\n\r\n".encode()


def deliver(host: str, port: int, recipient: str) -> None:
    """Hand a probe to an LMTP server. Raises OSError or smtplib.SMTPException."""
    with smtplib.LMTP(host, port) as connection:
        connection.sendmail("", [recipient], message(recipient))
