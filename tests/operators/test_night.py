"""Who may let an alert go: the rules as values, and signatures that only the team's own keys can make."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import bytes_to_base64url

from newsletter.models.operator import Factor
from newsletter.operators import night, passkeys, pins
from newsletter.operators.night import Fault, Mandated, Matter, Night, Rule, Terms, Word
from newsletter.operators.passkeys import Site
from newsletter.operators.pins import BadPins, OthersMayWrite, Pin, Pins
from newsletter.operators.roles import May
from tests.fakes.authenticator import Authenticator

NOW = datetime(2026, 6, 1, 2, 10, tzinfo=UTC)
HOST, ORIGIN = "news.sarand.example", "https://news.sarand.example"
SITE = Site(HOST, ORIGIN, "Friends of Sarand")
RULES = Night(few=100, alone=timedelta(minutes=15), codes_to=1_000)
PRINT = bytes(range(32))
MATTER = Matter(PRINT, author=1, count=500, digest="weekly")


def enrolled(authenticator):
    """Return (credential, public key) as a registration leaves them."""
    options = passkeys.creation(SITE, handle=b"1" * 16, account="Mina", challenge=b"c" * 32, have=[])
    known = passkeys.created(SITE, authenticator.create(options), challenge=b"c" * 32)
    return known.credential, known.public_key


@pytest.fixture
def phone():
    return Authenticator(HOST, ORIGIN)


@pytest.fixture
def trusted(phone):
    """The phone is operator 2's and pinned."""
    return Pins(SITE, (Pin(2, *enrolled(phone), pins.PINNED),))


def word(rule=Rule.TWO, operator=2, factor=Factor.TOTP, assertion=None, at=NOW, mandate=None):
    return Word(rule, operator, factor, assertion, at, mandate)


def sign(phone, fingerprint=PRINT, deed=Rule.TWO, mandate=b""):
    return phone.sign(bytes_to_base64url(night.challenge(deed, fingerprint, mandate=mandate)))


def judge(words, matter=MATTER, pins=Pins(), now=NOW, rules=RULES):
    return night.judge(words, matter, rules, pins, now=now)


def test_a_second_person_is_the_rule():
    """What one person wrote in a fright, another reads."""
    assert judge([]) is Fault.NOBODY
    assert judge([word(operator=1)]) is Fault.OWN
    assert judge([word(operator=None)]) is Fault.OWN
    assert judge([word()]) is None
    assert judge([word(operator=1), word()]) is None
    assert judge([word()], replace(MATTER, writers=(2, 3))) is Fault.OWN


def test_nobody_approves_what_has_no_author():
    """Who locked it without a name may be the very one who approves it."""
    nameless = replace(MATTER, author=None)
    assert judge([word()], nameless) is Fault.NAMELESS
    assert judge([word()], replace(nameless, count=100)) is Fault.NAMELESS
    assert judge([word(Rule.FEW, None)], replace(nameless, count=100)) is None


@pytest.mark.parametrize(
    ("author", "unread", "few", "found"),
    [
        (1, False, False, None),
        (None, False, False, Fault.NO_AUTHOR),
        (1, True, False, Fault.UNREAD),
        (None, True, True, None),
    ],
)
def test_a_lock_for_many_has_a_name(author, unread, few, found):
    """Whoever asks a second person to approve says who they are, and answers for words that nobody put a name to."""
    assert night.unlockable(author, unread=unread, few=few) is found


def test_a_code_suffices_for_few_and_never_one_from_paper():
    """A code can be phished, so it lets nothing large go; a recovery code is for getting in."""
    assert judge([word()], replace(MATTER, count=1_000)) is None
    assert judge([word()], replace(MATTER, count=1_001)) is Fault.NEEDS_PASSKEY
    assert judge([word(factor=Factor.RECOVERY)]) is Fault.NO_FACTOR
    assert judge([word(factor=None)]) is Fault.NO_FACTOR


def test_a_passkey_signs_this_fingerprint_and_no_other(phone, trusted):
    """A signature over yesterday's alert, of a stranger's key, or by another operator's hand is good for nothing."""
    large = replace(MATTER, count=1_000_000)
    assert judge([word(factor=Factor.PASSKEY, assertion=sign(phone))], large, trusted) is None
    other = sign(phone, bytes(32))
    assert judge([word(factor=Factor.PASSKEY, assertion=other)], large, trusted) is Fault.BAD_SIGNATURE
    assert (
        judge([word(operator=3, factor=Factor.PASSKEY, assertion=sign(phone))], large, trusted) is Fault.BAD_SIGNATURE
    )
    stranger = Authenticator(HOST, ORIGIN, credential=phone.credential)
    assert judge([word(factor=Factor.PASSKEY, assertion=sign(stranger))], large, trusted) is Fault.BAD_SIGNATURE
    elsewhere = Authenticator(
        HOST, "https://news.sarand.example.evil.example", key=phone.key, credential=phone.credential
    )
    assert judge([word(factor=Factor.PASSKEY, assertion=sign(elsewhere))], large, trusted) is Fault.BAD_SIGNATURE
    assert judge([word(factor=Factor.PASSKEY, assertion=sign(phone))], large, Pins()) is Fault.BAD_SIGNATURE


@pytest.mark.parametrize(("rule", "may"), [(Rule.TWO, May.APPROVE), (Rule.ALONE, May.SEND), (Rule.MANDATE, May.SEND)])
def test_a_key_counts_for_what_it_is_pinned_for(phone, rule, may):
    """A role is a row that a worker's password writes; the file says of each key whether its owner approves, or sends."""
    credential, public_key = enrolled(phone)
    said = word(rule, factor=Factor.PASSKEY, assertion=sign(phone, deed=rule))
    large = replace(MATTER, count=5_000)
    for pinned in (frozenset(), pins.PINNED - {may}):
        trusted = Pins(SITE, (Pin(2, credential, public_key, pinned),))
        assert night.proven(said, large, RULES, trusted) is Fault.BAD_SIGNATURE
    assert night.proven(said, large, RULES, Pins(SITE, (Pin(2, credential, public_key, frozenset({may})),))) is None


@pytest.mark.parametrize("meant", [Rule.TWO, Rule.ALONE, Rule.MANDATE, night.SIGNING])
@pytest.mark.parametrize("used", [Rule.TWO, Rule.ALONE, Rule.MANDATE])
def test_a_signature_is_for_what_its_owner_meant(phone, trusted, meant, used):
    """Who sends alone, where everybody has a quarter of an hour to stop it, has not approved it for now."""
    by, other = (replace(MANDATE, fingerprint=letter * 32) for letter in (b"m", b"n"))
    mandate = b"m" * 32 if meant is Rule.MANDATE else b""
    assertion = sign(phone, deed=meant, mandate=mandate)
    said = word(used, factor=Factor.PASSKEY, assertion=assertion, mandate=by if used is Rule.MANDATE else None)
    assert night.proven(said, MATTER, RULES, trusted) is (None if meant == used else Fault.BAD_SIGNATURE)
    assert night.proven(replace(said, mandate=other), MATTER, RULES, trusted) is Fault.BAD_SIGNATURE
    assert (night.signs(said, PRINT, 5_000, RULES, trusted) is None) is (meant == night.SIGNING)


def test_a_file_from_before_trusts_nobody(tmp_path, phone):
    """It does not say what its keys are for; until the team is pinned anew no passkey lets anything go."""
    path = tmp_path / "approvers.json"
    pins.write(path, SITE, [Pin(2, *enrolled(phone), pins.PINNED)])
    fields = json.loads(path.read_text())
    del fields["keys"][0]["may"]
    path.write_text(json.dumps(fields))
    assert not any(pins.read(path).of(2, act, at=NOW) for act in pins.PINNED)


def test_a_dropped_key_holds_for_what_was_said_before(tmp_path, phone, trusted):
    """A new phone must not take back what the old one signed; nor does whoever finds the old one sign anything."""
    path = tmp_path / "approvers.json"
    pins.write(path, SITE, trusted.renewed([], now=NOW))
    dropped, large = pins.read(path), replace(MATTER, count=5_000)
    said = word(factor=Factor.PASSKEY, assertion=sign(phone), at=NOW - timedelta(seconds=1))
    assert judge([said], large, dropped) is None
    assert judge([replace(said, at=NOW)], large, dropped) is Fault.BAD_SIGNATURE
    assert dropped.renewed([], now=NOW + timedelta(days=399)) == list(dropped.keys)
    assert dropped.renewed([], now=NOW + timedelta(days=400)) == []


def test_a_key_that_is_pinned_for_less_holds_for_what_was_said_before(trusted):
    """Whoever approves no more has approved what they approved; pinned again for as much, nothing was dropped."""
    [key] = trusted.keys
    less = replace(key, may=key.may - {May.APPROVE})
    renewed = Pins(SITE, tuple(trusted.renewed([less], now=NOW)))
    assert renewed.keys == (less, replace(key, until=NOW))
    assert not renewed.of(2, May.APPROVE, at=NOW)
    assert trusted.renewed([key], now=NOW) == [key]


def test_one_person_may_send_to_few():
    """A village of eighty needs no committee."""
    alone = [word(Rule.FEW, operator=1, factor=None)]
    assert judge(alone, replace(MATTER, count=100)) is None
    assert judge(alone, replace(MATTER, count=101)) is Fault.TOO_MANY


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        ({"count": 50}, None),
        ({"count": 101}, Fault.TOO_MANY),
        ({"count": 50, "beside": 51}, Fault.TOGETHER),
        ({"count": 50, "whole": 101, "limited": True}, Fault.LIMITED),
        ({"count": 50, "whole": 100, "limited": True}, None),
        ({"count": 50, "whole": 101}, None),
        ({"count": 100, "before": 200}, None),
        ({"count": 100, "before": 201}, Fault.FEW_REPEATED),
    ],
)
def test_what_is_cut_into_parts_is_not_few(cut, why):
    """Slices of a large digest, each to few, are one large alert; languages that come later are added up as they go."""
    assert judge([word(Rule.FEW, operator=1, factor=None)], replace(MATTER, **cut)) is why


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        ({"count": 50, "whole": 1_000}, None),
        ({"count": 50, "whole": 1_001}, Fault.REACH_NEEDS_PASSKEY),
        ({"count": 1_000, "before": 2_000}, None),
        ({"count": 1_000, "before": 2_001}, Fault.CODES_REPEATED),
    ],
)
def test_no_code_lets_a_large_digest_go_in_parts(phone, trusted, cut, why):
    """That a code was right is only a row; what can be written without a key stays small, however often it is."""
    assert judge([word()], replace(MATTER, **cut)) is why
    assert judge([word(factor=Factor.PASSKEY, assertion=sign(phone))], replace(MATTER, **cut), trusted) is None
    assert judge([word(Rule.ALONE)], replace(MATTER, **cut), now=NOW + timedelta(hours=1)) is why


def test_one_person_alone_waits():
    """Fifteen minutes in which anyone may stop it; a house may forbid it."""
    alone = [word(Rule.ALONE, operator=1)]
    assert judge([word(Rule.ALONE, operator=1, factor=None)], now=NOW + timedelta(days=1)) is Fault.NO_FACTOR
    assert judge([word(Rule.ALONE, operator=None)], now=NOW + timedelta(days=1)) is Fault.NOBODY
    large = replace(MATTER, count=1_001)
    assert judge(alone, large, now=NOW + timedelta(days=1)) is Fault.NEEDS_PASSKEY
    assert judge(alone, now=NOW + timedelta(minutes=14, seconds=59)) is Fault.TOO_SOON
    assert judge(alone, now=NOW + timedelta(minutes=15)) is None
    assert judge(alone, rules=replace(RULES, alone=None), now=NOW + timedelta(days=1)) is Fault.NOT_ALONE


TERMS = Terms(
    holder=1,
    cause="Sarand camp",
    digest="weekly",
    until=NOW + timedelta(hours=6),
    most_alerts=3,
    most_readers=900,
    frames=("raid", "transport"),
    nonce="n",
)
MANDATE = Mandated(TERMS, b"m" * 32, ((2, Factor.TOTP, None, NOW), (3, Factor.TOTP, None, NOW)), used=0, ended=False)
FRAMED = replace(MATTER, frames=("raid",))


def mandated(mandate=MANDATE, **more):
    return [word(Rule.MANDATE, **({"operator": 1, "mandate": mandate} | more))]


def test_a_mandate_lets_its_holder_send_what_it_names():
    """In the evening two people decide; at night one thumb is enough."""
    assert judge(mandated(), FRAMED) is None


@pytest.mark.parametrize(
    ("changed", "matter", "more", "why"),
    [
        ({"ended": True}, FRAMED, {}, Fault.MANDATE_OVER),
        ({}, FRAMED, {"at": NOW + timedelta(hours=6)}, Fault.MANDATE_OVER),
        ({"used": 3}, FRAMED, {}, Fault.MANDATE_USED),
        ({}, FRAMED, {"operator": 2}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, frames=("raid", None)), {}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, frames=("appeal",)), {}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, frames=("raid", "appeal")), {}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, frames=()), {}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, digest="daily"), {}, Fault.MANDATE_OTHER),
        ({}, replace(FRAMED, count=901), {}, Fault.MANDATE_SMALLER),
        ({"signed": MANDATE.signed[:1]}, FRAMED, {}, Fault.MANDATE_UNSIGNED),
        ({"signed": (MANDATE.signed[0], (1, Factor.TOTP, None, NOW))}, FRAMED, {}, Fault.MANDATE_UNSIGNED),
        ({"signed": (MANDATE.signed[0], MANDATE.signed[0])}, FRAMED, {}, Fault.MANDATE_UNSIGNED),
        ({"signed": (MANDATE.signed[0], (3, Factor.PASSKEY, "{}", NOW))}, FRAMED, {}, Fault.MANDATE_UNSIGNED),
        ({}, FRAMED, {"factor": None}, Fault.NO_FACTOR),
        ({}, FRAMED, {"factor": Factor.PASSKEY, "assertion": "{}"}, Fault.BAD_SIGNATURE),
        ({"terms": replace(TERMS, most_readers=5_000)}, FRAMED, {}, Fault.MANDATE_UNSIGNED),
        ({}, replace(FRAMED, whole=1_001, limited=True), {}, Fault.MANDATE_UNSIGNED),
        ({"at": NOW + timedelta(hours=6)}, FRAMED, {}, Fault.MANDATE_OVER),
    ],
)
def test_a_mandate_holds_for_nothing_else(changed, matter, more, why):
    """Whoever holds a mandate holds it for this night, cause, size and wording, and by two others' word."""
    assert judge(mandated(replace(MANDATE, **changed), **more), matter) is why


@given(st.lists(st.sampled_from("abcdef"), max_size=3), st.integers(1, 9), st.text(max_size=20))
def test_terms_survive_their_text(frames, most, cause):
    """What two people signed is read back as it was."""
    terms = replace(TERMS, frames=tuple(sorted(frames)), most_alerts=most, cause=cause)
    assert Terms.parse(terms.text) == terms


def test_pins_are_read_as_they_were_written(tmp_path, trusted):
    """And a file that anyone may write is no file to trust."""
    path = tmp_path / "keys" / "approvers.json"
    assert pins.read(path) == Pins()
    pins.write(path, SITE, trusted.keys)
    assert pins.read(path).keys == trusted.keys
    assert pins.read(path).site.origin == ORIGIN
    path.chmod(0o666)
    with pytest.raises(OthersMayWrite):
        pins.read(path)
    path.chmod(0o600)
    for damaged in ("", "[]", "{}", json.dumps({"site": {"host": HOST, "origin": ORIGIN}, "keys": [{"operator": 1}]})):
        path.write_text(damaged)
        with pytest.raises(BadPins):
            pins.read(path)
