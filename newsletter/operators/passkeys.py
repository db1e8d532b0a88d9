"""Passkeys: what a browser is asked to sign, and whether the answer is one (WebAuthn level 2, by the library `webauthn`).

Values in, values out; no database. `verify` needs a public key, a challenge and the site, so a worker that holds keys pinned in
a file can ask it of a signature over a fingerprint as well as the pages do of a log-in.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import exceptions, parse_authentication_credential_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from newsletter.errors import Forbidden

CHALLENGE_BYTES = 32
LARGEST = 16 * 1024
# What the library raises for a stranger's bytes, beside its own: found by feeding it many.
_BROKEN = (
    exceptions.WebAuthnException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


class BadPasskey(Forbidden):
    """The browser's answer proves nothing: of another site, another key or challenge, replayed, or without its owner."""

    def __init__(self) -> None:
        super().__init__("operator.bad-passkey")


@dataclass(frozen=True, slots=True)
class Site:
    """Where passkeys of ours are good: the host's name and the origin a browser sees."""

    host: str
    origin: str
    name: str

    @staticmethod
    def at(base_url: str, name: str) -> "Site | None":
        """Return the site of a base URL, or None where browsers allow no passkeys: plain http, or a bare number for a host."""
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        if _is_number(host) or not (parts.scheme == "https" or host == "localhost"):
            return None
        return Site(host, f"{parts.scheme}://{parts.netloc}", name or host)


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Known:
    """The public half of a passkey. `count`: of its last use, where its authenticator counts at all."""

    credential: bytes
    public_key: bytes
    count: int


def creation(site: Site, *, handle: bytes, account: str, challenge: bytes, have: Sequence[bytes]) -> str:
    """Return the options for navigator.credentials.create, as JSON. have: credentials the operator has already."""
    options = webauthn.generate_registration_options(
        rp_id=site.host,
        rp_name=site.name,
        user_id=handle,
        user_name=account,
        challenge=challenge,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in have],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return webauthn.options_to_json(options)


def created(site: Site, answer: str, *, challenge: bytes) -> Known:
    """Return the new passkey that an answer brings. Raises BadPasskey."""
    try:
        made = webauthn.verify_registration_response(
            credential=_bounded(answer),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except _BROKEN:
        raise BadPasskey from None
    return Known(made.credential_id, made.credential_public_key, made.sign_count)


def request(site: Site, *, challenge: bytes, have: Sequence[bytes]) -> str:
    """Return the options for navigator.credentials.get, as JSON: one of these credentials, its owner verified."""
    options = webauthn.generate_authentication_options(
        rp_id=site.host,
        challenge=challenge,
        allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in have],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options)


def credential_of(answer: str) -> bytes:
    """Return which credential an answer says it is of. Raises BadPasskey."""
    try:
        return parse_authentication_credential_json(_bounded(answer)).raw_id
    except _BROKEN:
        raise BadPasskey from None


def verify(site: Site, answer: str, *, known: Known, challenge: bytes) -> Known:
    """Return the passkey with its new count, where the answer signs this challenge. Raises BadPasskey."""
    try:
        found = webauthn.verify_authentication_response(
            credential=_bounded(answer),
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.count,
            require_user_verification=True,
        )
    except _BROKEN:
        raise BadPasskey from None
    if found.credential_id != known.credential:
        raise BadPasskey
    return Known(known.credential, known.public_key, found.new_sign_count)


def _bounded(answer: str) -> str:
    if len(answer) > LARGEST:
        raise ValueError
    return answer
