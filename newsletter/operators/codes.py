"""Codes that are typed: six digits that change every 30 seconds (RFC 6238), and ten on paper for the day the phone is gone.

Fifteen lines of our own, since a library answers yes or no where we must know *which* time step matched: each counts once.
"""

import base64
import hmac
import re
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20  # RFC 4226 §4 R6: 160 bits
DRIFT = 1  # RFC 6238 §5.2: one step for the network and for clocks that differ
RECOVERY_CODES = 10
# Without 0, O, 1, I, L and U: read from paper, at night.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS_OF_A_CODE = 12
_LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")


def hotp(secret: bytes, counter: int, *, digits: int = DIGITS, algorithm: str = "sha1") -> str:
    """Return the code of a counter (RFC 4226 §5.3)."""
    mac = hmac.digest(secret, counter.to_bytes(8), algorithm)
    place = mac[-1] & 0x0F
    number = int.from_bytes(mac[place : place + 4]) & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def step_of(moment: datetime) -> int:
    """Return the time step a moment lies in."""
    return int(moment.timestamp()) // STEP_SECONDS


def matching_step(secret: bytes, code: str, *, now: datetime, used: int | None) -> int | None:
    """Return the time step whose code this is, or None: only steps after `used` count, so that no code works twice."""
    # A phone set to Persian or Arabic types its own digits.
    typed = re.sub(r"\s", "", code).translate(_LATIN)
    if not re.fullmatch(rf"[0-9]{{{DIGITS}}}", typed):
        return None
    here = step_of(now)
    # All of them are computed, whichever matches: the time says nothing.
    found = [step for step in range(here - DRIFT, here + DRIFT + 1) if hmac.compare_digest(hotp(secret, step), typed)]
    return next((step for step in found if used is None or step > used), None)


def new_secret() -> str:
    """Return a fresh TOTP secret in base32, as authenticator apps read it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def read_secret(text: str) -> bytes | None:
    """Return the bytes of a secret in base32, or None for one that is damaged or shorter than ours."""
    try:
        secret = base64.b32decode(text.replace(" ", "").upper())
    except ValueError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def app_link(secret: str, *, account: str, issuer: str) -> str:
    """Return the otpauth: address that an authenticator app opens, from a tap or a QR code."""
    facts = {"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_SECONDS}
    return f"otpauth://totp/{quote(f'{issuer}:{account}')}?{urlencode(facts, quote_via=quote)}"


def new_recovery() -> list[str]:
    """Return ten codes of 58 bits each, in groups of four."""
    made = ("".join(secrets.choice(_LETTERS) for _ in range(_LETTERS_OF_A_CODE)) for _ in range(RECOVERY_CODES))
    return ["-".join(code[place : place + 4] for place in range(0, _LETTERS_OF_A_CODE, 4)) for code in made]


def read_recovery(text: str) -> str | None:
    """Return a recovery code in the form that is digested, or None for what can be none."""
    typed = re.sub(r"[\s–-]", "", text).translate(_LATIN).upper()
    return typed if len(typed) == _LETTERS_OF_A_CODE and set(typed) <= set(_LETTERS) else None
