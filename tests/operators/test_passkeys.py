"""Passkeys against an authenticator in software: what is taken, and everything else that must not be."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webauthn.helpers import bytes_to_base64url

from newsletter.operators import passkeys
from newsletter.operators.passkeys import BadPasskey, Site
from tests.fakes.authenticator import PRESENT, Authenticator

SITE = Site("news.example.org", "https://news.example.org", "Sarand")
CHALLENGE = b"c" * 32


def phone(**changes):
    return Authenticator(**({"host": SITE.host, "origin": SITE.origin} | changes))


def registered(authenticator, site=SITE):
    options = passkeys.creation(site, handle=b"h" * 16, account="A", challenge=CHALLENGE, have=[])
    return passkeys.created(site, authenticator.create(options), challenge=CHALLENGE)


def asked(challenge=CHALLENGE):
    return passkeys.request(SITE, challenge=challenge, have=[])


@pytest.mark.parametrize("counts", [True, False])
def test_a_passkey_is_made_and_used(counts):
    """Whether or not the authenticator counts: those that sync between devices do not."""
    mine = phone(counts=counts)
    known = registered(mine)
    for challenge in (CHALLENGE, b"d" * 32):
        known = passkeys.verify(SITE, mine.get(asked(challenge)), known=known, challenge=challenge)
    assert known.count == (2 if counts else 0)
    assert passkeys.credential_of(mine.get(asked())) == mine.credential


def test_the_owner_must_be_verified():
    """A phone that was picked up unlocked shows a touch, not its owner."""
    with pytest.raises(BadPasskey):
        registered(phone(flags=PRESENT))
    mine = phone()
    known = registered(mine)
    mine.flags = PRESENT
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, mine.get(asked()), known=known, challenge=CHALLENGE)


def test_an_answer_given_to_another_site_is_worth_nothing_here():
    """A page that looks like ours gets a signature for itself: this is why passkeys exist."""
    mine = phone()
    known = registered(mine)
    for changed in ({"origin": "https://news.example.org.evil.example"}, {"host": "evil.example"}):
        fake = Authenticator(
            **({"host": SITE.host, "origin": SITE.origin} | changed), key=mine.key, credential=mine.credential
        )
        with pytest.raises(BadPasskey):
            passkeys.verify(SITE, fake.get(asked()), known=known, challenge=CHALLENGE)


def test_replayed_foreign_and_altered_answers_are_refused():
    """What was recorded once must not open the door again."""
    mine, thief = phone(), phone()
    known = registered(mine)
    answer = mine.get(asked())
    after = passkeys.verify(SITE, answer, known=known, challenge=CHALLENGE)
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, answer, known=after, challenge=CHALLENGE)
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, answer, known=known, challenge=b"other" * 8)
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, thief.get(asked()), known=known, challenge=CHALLENGE)
    renamed = json.loads(mine.get(asked()))
    renamed["id"] = renamed["rawId"] = bytes_to_base64url(thief.credential)
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, json.dumps(renamed), known=known, challenge=CHALLENGE)
    with pytest.raises(BadPasskey):
        passkeys.created(SITE, mine.get(asked()), challenge=CHALLENGE)


def test_a_signature_over_a_fingerprint_is_checked_with_the_public_key_alone():
    """A worker with keys pinned in a file needs no session, no database and no page to judge an approval."""
    mine = phone()
    known = registered(mine)
    fingerprint = bytes(range(32))
    answer = mine.sign(bytes_to_base64url(fingerprint))
    passkeys.verify(SITE, answer, known=passkeys.Known(known.credential, known.public_key, 0), challenge=fingerprint)
    with pytest.raises(BadPasskey):
        passkeys.verify(SITE, answer, known=known, challenge=bytes(32))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_a_browser_sends_is_more_than_a_refusal(data):
    """The answer is a stranger's bytes: every one of them is either right or refused, never a crash."""
    mine = phone()
    known = registered(mine)
    answer = json.loads(mine.get(asked()))
    made = json.loads(mine.create(passkeys.creation(SITE, handle=b"h", account="A", challenge=CHALLENGE, have=[])))
    for document, read in (
        (answer, lambda text: passkeys.verify(SITE, text, known=known, challenge=CHALLENGE)),
        (made, lambda text: passkeys.created(SITE, text, challenge=CHALLENGE)),
    ):
        field = data.draw(st.sampled_from(sorted(document["response"])))
        junk = st.one_of(
            st.binary(max_size=200).map(bytes_to_base64url), st.text(max_size=50), st.none(), st.integers()
        )
        document["response"][field] = data.draw(junk)
        with pytest.raises(BadPasskey):
            read(json.dumps(document))
    for junk in ("", "null", "[]", "{", "[" * 10_000, "x" * 20_000, '{"id": 1}', '"\\ud800"'):
        with pytest.raises(BadPasskey):
            passkeys.verify(SITE, junk, known=known, challenge=CHALLENGE)
        with pytest.raises(BadPasskey):
            passkeys.credential_of(junk)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://news.example.org", "news.example.org"),
        ("https://news.example.org:8443", "news.example.org"),
        ("http://localhost:8080", "localhost"),
        ("http://127.0.0.1:8080", None),
        ("https://192.0.2.7", None),
        ("http://news.example.org", None),
    ],
)
def test_passkeys_are_offered_where_browsers_allow_them(url, host):
    """A button that can only fail is worse than none (WebAuthn §5.1.2: a host's name, over TLS, or localhost)."""
    found = Site.at(url, "Sarand")
    assert (found.host if found else None) == host
    if found:
        assert found.origin == url
