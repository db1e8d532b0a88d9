"""A second verifier reads our signatures: mailauth, which mail services use. The first, dkimpy, is in the composer's tests."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from newsletter.composer import signing
from newsletter.composer.stamping import Stamper
from tests.composer.conftest import layout as layout
from tests.composer.test_messages import FRAME, KINDS, PERSIAN, PERSON, made


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.proof
@pytest.mark.short
def test_mailauth_finds_every_mail_well_signed_and_a_changed_one_not(judges, layout, tmp_path):
    """Two verifiers that agree are what a receiver is; one of them could share a mistake with us."""
    secrets = f"s1\n{pem(rsa.generate_private_key(65537, 2048))}\ns2\n{pem(ed25519.Ed25519PrivateKey.generate())}"
    keys = signing.keys(secrets)
    signer = signing.Signer("example.org", keys)
    messages = [
        signer.sign(Stamper(made(kind, layout, frame)).stamp(PERSON)) for frame in (FRAME, PERSIAN) for kind in KINDS
    ]
    messages.append(messages[0].replace(b"\r\nSubject: ", b"\r\nSubject: Re: ", 1))
    paths = []
    for number, message in enumerate(messages):
        paths.append(tmp_path / f"{number}.eml")
        paths[-1].write_bytes(message)
    zone = {f"{key.selector}._domainkey.example.org": key.record for key in keys}
    (tmp_path / "in.json").write_text(json.dumps({"paths": [str(path) for path in paths], "zone": zone}))
    *good, changed = judges.ask("dkim.mjs", str(tmp_path / "in.json"))
    for found in good:
        assert sorted(found) == [["s1", "pass", "example.org"], ["s2", "pass", "example.org"]]
    assert {result for _selector, result, _aligned in changed} == {"fail"}
