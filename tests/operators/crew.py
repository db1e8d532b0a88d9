"""Invented operators, enrolled as people are: by their link, with a password and an authenticator app."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.database import Database
from newsletter.operators import audit, codes, enrolment, people, sessions
from newsletter.operators.enrolment import Calling, Given
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor, SessionView

PASSWORD = "lantern yard by rain"


@dataclass
class Member:
    """One operator and what they hold: the app's secret and the codes on paper."""

    id: int
    address: str
    secret: str
    recovery: list[str]
    steps: int = field(default=0)

    def code(self, now: datetime) -> str:
        """Return what the app shows."""
        return codes.hotp(codes.read_secret(self.secret) or b"", codes.step_of(now))


class Crew:
    """Adds operators as the worker, enrols them as the pages. before: how many there are already."""

    def __init__(self, worker: Database, web: Database, *, before: int = 0) -> None:
        self.worker, self.web = worker, web
        self.count = before

    def add(self, *roles: Role, name: str = "Mina Moradi", address: str = "") -> tuple[int, str]:
        """Add an operator and return their number and the link's token."""
        self.count += 1
        written = address or f"operator{self.count}@sarand.example"
        with self.worker.transaction() as session:
            now = database.now(session)
            added = people.add(session, EmailAddress.parse(written), name=name, given=roles or (Role.SENDER,), now=now)
            return added, enrolment.invite(session, added, Calling.NEW, by=audit.SHELL, now=now).token

    def enrol(self, token: str, *, password: str = PASSWORD, now: datetime | None = None) -> Member:
        """Use a link; the code that proves the app is of a step long ago, so that tests may use those of now."""
        secret = codes.new_secret()
        with self.web.transaction() as session:
            # Two steps earlier, and a code of then.
            moment = (now or database.now(session)) - timedelta(seconds=2 * codes.STEP_SECONDS)
            found = enrolment.look(session, token, now=now or database.now(session))
            member = Member(found.operator.id, "", secret, [])
            given = Given(password, secret, member.code(moment))
            member.recovery = enrolment.enrol(session, token, given, now=moment)
        return member

    def member(self, *roles: Role, name: str = "Mina Moradi", password: str = PASSWORD) -> Member:
        """Return an operator who may log in."""
        _, token = self.add(*roles, name=name)
        member = self.enrol(token, password=password)
        member.address = f"operator{self.count}@sarand.example"
        return member

    def session(self, member: Member, *, now: datetime | None = None) -> tuple[str, SessionView]:
        """Return a full session's token and the session, opened now."""
        with self.web.transaction() as session:
            moment = now or database.now(session)
            half = sessions.find(session, sessions.begin(session, member.id, device="test", now=moment), now=moment)
            assert half is not None
            token = sessions.complete(session, half, Factor.TOTP, now=moment)
            found = sessions.find(session, token, now=moment)
            assert found is not None
            return token, found
