"""Six digits and ten codes on paper, judged by the vectors of the standards."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from newsletter.operators import codes

SECRET = b"12345678901234567890"
NOW = datetime(2026, 11, 25, 2, 10, tzinfo=UTC)
# RFC 4226, appendix D
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
# RFC 6238, appendix B: time, then SHA-1, SHA-256, SHA-512
TOTP = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]


def test_the_vectors_of_rfc_4226():
    """Every authenticator app computes these; ours must be the same to the last digit."""
    assert [codes.hotp(SECRET, counter) for counter in range(10)] == HOTP


@pytest.mark.parametrize(("seconds", "sha1", "sha256", "sha512"), TOTP)
def test_the_vectors_of_rfc_6238(seconds, sha1, sha256, sha512):
    """The time step is the counter, for all three digests."""
    step = codes.step_of(datetime.fromtimestamp(seconds, UTC))
    wanted = {"sha1": (20, sha1), "sha256": (32, sha256), "sha512": (64, sha512)}
    for algorithm, (size, code) in wanted.items():
        assert codes.hotp((SECRET * 4)[:size], step, digits=8, algorithm=algorithm) == code


def code_at(steps):
    return codes.hotp(SECRET, codes.step_of(NOW) + steps)


@pytest.mark.parametrize(("steps", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_of_drift_and_no_more(steps, taken):
    """A phone's clock is off by seconds; a code somebody read over a shoulder is older."""
    assert (codes.matching_step(SECRET, code_at(steps), now=NOW, used=None) is not None) is taken


def test_a_code_works_once():
    """Whoever watches a code being typed has half a minute in which it must be worth nothing."""
    step = codes.matching_step(SECRET, code_at(0), now=NOW, used=None)
    assert step == codes.step_of(NOW)
    assert codes.matching_step(SECRET, code_at(0), now=NOW, used=step) is None
    assert codes.matching_step(SECRET, code_at(-1), now=NOW, used=step) is None
    assert codes.matching_step(SECRET, code_at(1), now=NOW, used=step) == step + 1
    assert codes.matching_step(SECRET, code_at(1), now=NOW + timedelta(seconds=30), used=step) == step + 1


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "12345６"])
def test_what_is_no_code_is_refused(typed):
    """Python's int() and \\d take digits of all scripts; a comparison of bytes does not."""
    assert codes.matching_step(SECRET, typed, now=NOW, used=None) is None


def test_blanks_in_a_code_mean_nothing():
    """Apps show "123 456", and people type what they see."""
    code = code_at(0)
    assert codes.matching_step(SECRET, f" {code[:3]} {code[3:]} ", now=NOW, used=None) is not None


def test_a_secret_reads_back_and_a_short_one_does_not():
    """The form brings the secret back from the browser: one that is weaker than ours is not taken."""
    made = codes.new_secret()
    assert len(codes.read_secret(made)) == 20
    assert codes.read_secret(made.lower()) == codes.read_secret(made)
    for bad in ("", "A", "JBSWY3DPEHPK3PXP", "!" * 32, base64.b32encode(bytes(64)).decode()):
        assert codes.read_secret(bad) is None


def test_the_app_s_link_says_what_the_code_is_made_of():
    """An app that guesses another period shows codes that never fit."""
    link = codes.app_link("ABC", account="a…@s…", issuer="Friends of Sarand")
    facts = parse_qs(urlsplit(link).query)
    assert link.startswith("otpauth://totp/Friends%20of%20Sarand%3A")
    assert (facts["secret"], facts["digits"], facts["period"]) == (["ABC"], ["6"], ["30"])
    assert "+" not in link


def test_ten_recovery_codes_that_can_be_read_at_night():
    """They are typed from paper, on a borrowed phone."""
    made = codes.new_recovery()
    assert len(set(made)) == 10
    for code in made:
        typed = codes.read_recovery(code.lower().replace("-", " "))
        assert typed == code.replace("-", "")
    assert codes.read_recovery("OOOO-0000-1111") is None
    assert codes.read_recovery("") is None
