"""Passwords: argon2id, a rule that refuses what is guessed first, and the same work for an account that does not exist."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from newsletter.errors import Invalid, NewsletterError

SHORTEST, LONGEST = 12, 200
# OWASP's first choice of argon2id (19 MiB, two passes, one lane): about 20 ms here, and 40 requests at once stay under 100 MiB.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_ROOM = BoundedSemaphore(4)
# A page has forty threads for everything, one-click unsubscribe among it: a flood of log-ins may take eight of them and no more.
_LINE = BoundedSemaphore(8)
# What an unknown account is compared with, so that its answer takes as long: a hash by _HASHER, of nobody's password.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$5YZ51QBnLwdNxPqIjaHyNw$KjPJ1Ntcy/8XBvSSE9BzQNRNcH/cn7WZDtQZ9OU8twk"
_COMMON = (
    "password",
    "passwort",
    "qwerty",
    "letmein",
    "welcome",
    "newsletter",
    "123456",
    "abcdef",
    "iloveyou",
    "admin",
)


class WeakPassword(Invalid):
    """The password is among those that are tried first; `why` names the rule."""

    def __init__(self, why: str) -> None:
        super().__init__(f"operator.password-{why}", shortest=SHORTEST, longest=LONGEST)


class Busy(NewsletterError):
    """More people are logging in than there is room for; whether any of them exists does not matter."""

    status = 503

    def __init__(self) -> None:
        super().__init__("operator.busy")


@contextmanager
def _room() -> Iterator[None]:
    """Wait for room to work in, where the line is not too long. Raises Busy."""
    if not _LINE.acquire(blocking=False):
        raise Busy
    try:
        with _ROOM:
            yield
    finally:
        _LINE.release()


def require_strong(password: str, *, known: tuple[str, ...] = ()) -> None:
    """Raise WeakPassword for one that is short, monotonous, common, or made of what others know of its owner.

    known   names and parts of the address

    No rule asks for digits or capitals: NIST SP 800-63B §3.1.1.2 advises against them.
    """
    if len(password) < SHORTEST:
        raise WeakPassword("short")
    if len(password) > LONGEST:
        raise WeakPassword("long")
    small = password.casefold()
    if len(set(small)) < 5:
        raise WeakPassword("monotonous")
    left = small
    for word in (*_COMMON, *known):
        if len(word) > 3:
            left = left.replace(word.casefold(), "")
    # What remains without the guessable parts must still be a password.
    if left != small and len(left) < 8:
        raise WeakPassword("guessable")


def hash_(password: str) -> str:
    """Return what is stored of a password (PHC string). Raises Busy."""
    with _room():
        return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Return whether this is the password; for None it takes as long and says no. Raises Busy."""
    with _room():
        try:
            return _HASHER.verify(stored or _NOBODY, password[: LONGEST + 1]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(stored: str) -> bool:
    """Return whether a hash was made with weaker settings than today's."""
    return _HASHER.check_needs_rehash(stored)
