"""What operators do with their own account: devices, passkeys, codes on paper, keys for programs.

What opens a door to somebody else asks for a factor shown just now.
"""

from dataclasses import dataclass
from datetime import timedelta

from newsletter import database
from newsletter.errors import NotFound
from newsletter.journeys.entering import Visitor
from newsletter.journeys.parts import Parts
from newsletter.operators import audit, factors, passkeys, passwords, people, sessions, throttle, tokens
from newsletter.operators.enrolment import WrongPassword
from newsletter.operators.factors import PasskeyView
from newsletter.operators.passkeys import BadPasskey, Site
from newsletter.operators.roles import May
from newsletter.operators.sessions import CREATE, SessionView
from newsletter.operators.throttle import Door, Knock, TooMany
from newsletter.operators.tokens import Made, TokenView


class NotYours(NotFound):
    """There is no such session or passkey among one's own."""

    def __init__(self) -> None:
        super().__init__("operator.not-yours")


@dataclass(frozen=True, slots=True)
class Account:
    """What is to be seen of one's own account."""

    sessions: list[SessionView]
    passkeys: list[PasskeyView]
    tokens: list[TokenView]
    recovery_left: int


def account(parts: Parts, visitor: Visitor) -> Account:
    """Return one's own sessions, passkeys, living tokens and how many recovery codes are left."""
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        alive = [one for one in tokens.listed(session, mine) if one.ended_at is None and one.expires_at > visitor.now]
        return Account(
            sessions.listed(session, mine, now=visitor.now),
            factors.passkeys_of(session, mine),
            alive,
            factors.recovery_left(session, mine),
        )


def speak(parts: Parts, visitor: Visitor, language: str | None) -> None:
    """Choose the language of one's own pages and mails; None: as the browser asks. Raises NotSpoken."""
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        people.speak(session, mine, language)
        audit.append(session, "operator.language", by=mine, now=visitor.now, language=language or "")


def end_session(parts: Parts, visitor: Visitor, session_id: int) -> None:
    """End one of one's own sessions. Raises NotYours."""
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        if not sessions.end(session, session_id, operator_id=mine, now=visitor.now):
            raise NotYours
        audit.append(session, "session.ended", by=mine, now=visitor.now, session=session_id)


def end_others(parts: Parts, visitor: Visitor) -> int:
    """End all of one's own sessions but this one; return how many."""
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        ended = sessions.end_all(session, mine, but=visitor.session.id, now=visitor.now)
        audit.append(session, "sessions.ended", by=mine, now=visitor.now, operator=mine, count=ended)
    return ended


def begin_passkey(parts: Parts, visitor: Visitor) -> None:
    """Write down what a new passkey is to sign; the page then shows it. Raises NotFresh."""
    visitor.fresh()
    with parts.database.transaction() as session:
        sessions.challenge(session, visitor.session.id, CREATE, now=visitor.now)


def passkey_creation(parts: Parts, visitor: Visitor, site: Site) -> str | None:
    """Return what a browser needs to make a passkey (JSON), and change nothing; None until it was begun."""
    with parts.database.transaction() as session:
        challenge = sessions.asked(session, visitor.session.id, CREATE, now=visitor.now)
        have = [one.credential for one in factors.passkeys_of(session, visitor.operator.id)]
    if challenge is None:
        return None
    handle = parts.database.vault.digest("passkey owner", str(visitor.operator.id))[:16]
    return passkeys.creation(site, handle=handle, account=visitor.operator.name, challenge=challenge, have=have)


def add_passkey(parts: Parts, visitor: Visitor, site: Site, answer: str, *, label: str) -> None:
    """Keep the passkey a browser made. Raises NotFresh, BadPasskey, TooManyPasskeys, PasskeyTaken."""
    visitor.fresh()
    with parts.database.transaction() as session:
        challenge = sessions.take_challenge(session, visitor.session.id, CREATE, now=visitor.now)
    if challenge is None:
        raise BadPasskey
    known = passkeys.created(site, answer, challenge=challenge)
    with parts.database.transaction() as session:
        added = factors.add_passkey(session, visitor.operator.id, known, label=label, now=visitor.now)
        audit.append(session, "passkey.added", by=visitor.operator.id, now=visitor.now, passkey=added)


def remove_passkey(parts: Parts, visitor: Visitor, passkey_id: int) -> None:
    """Forget one of one's own passkeys. Raises NotFresh, NotYours."""
    visitor.fresh()
    with parts.database.transaction() as session:
        if not factors.remove_passkey(session, visitor.operator.id, passkey_id):
            raise NotYours
        audit.append(session, "passkey.removed", by=visitor.operator.id, now=visitor.now, passkey=passkey_id)


def change_password(parts: Parts, visitor: Visitor, *, present: str, new: str) -> None:
    """Take another password; every other log-in ends. Raises NotFresh, TooMany, WrongPassword, WeakPassword."""
    visitor.fresh()
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        # Whoever holds the open browser must not guess here what the log-in page would count.
        delay = throttle.count(session, [Knock(Door.LINK, f"password of {mine}")], now=visitor.now)
        stored, known = factors.password_of(session, mine), factors.known_words(session, mine)
    if delay:
        raise TooMany(delay)
    if not passwords.matches(stored, present):
        raise WrongPassword
    passwords.require_strong(new, known=known)
    hashed = passwords.hash_(new)
    with parts.database.transaction() as session:
        factors.set_password(session, mine, hashed)
        sessions.end_all(session, mine, but=visitor.session.id, now=visitor.now)
        audit.append(session, "password.changed", by=mine, now=visitor.now, operator=mine)


def renew_recovery(parts: Parts, visitor: Visitor) -> list[str]:
    """Return ten new recovery codes; the old ones are worth nothing any more. Raises NotFresh."""
    visitor.fresh()
    with parts.database.transaction() as session:
        made = factors.renew_recovery(session, visitor.operator.id)
        audit.append(session, "recovery.renewed", by=visitor.operator.id, now=visitor.now)
    return made


def make_token(parts: Parts, visitor: Visitor, *, label: str, scopes: list[May], days: int) -> Made:
    """Return a key for a program that acts as oneself. Raises NotFresh, BadScopes, BadLife."""
    visitor.fresh()
    with parts.database.transaction() as session:
        life, mine = timedelta(days=min(max(days, 0), 9999)), visitor.operator
        return tokens.add(session, mine, label=label, scopes=scopes, life=life, by=mine.id, now=visitor.now)


def end_token(parts: Parts, visitor: Visitor, token_id: int) -> None:
    """End one of one's own tokens. Raises UnknownToken."""
    mine = visitor.operator.id
    with parts.database.transaction() as session:
        tokens.revoke(session, token_id, owner=mine, by=mine, now=visitor.now)


def bearer(parts: Parts, secret: str) -> tokens.Bearer:
    """Return whom a program acts as. Raises BadBearer."""
    with parts.database.transaction() as session:
        return tokens.bearer(session, secret, now=database.now(session))
