"""The recipient alone says what a mail can be, without any database."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.bounces import processing
from newsletter.bounces.routing import Place, Route, Router
from newsletter.reports import parse
from newsletter.reports.parse import Bounce, Sent
from newsletter.tokens import BadToken, Tokens
from newsletter.vault import Keyring
from tests.bounces.conftest import DOMAIN

OWN = Path(__file__).parents[2] / "../shared/data/bounces/own-postfix-dsn"


def test_each_address_has_its_place(router, tokens):
    """A bounce that lands on the operator's desk is not counted, and a letter that lands among bounces is not read."""
    back = tokens.return_path(7, 9, now=datetime.now(UTC))
    assert router.route(f"{back}@{DOMAIN}") == Route(Place.RETURN, 7, 9)
    assert router.route(f"{back.upper()}@{DOMAIN.upper()}") == Route(Place.RETURN, 7, 9)
    assert router.route(router.leaving).place is Place.LEAVE
    assert router.route(router.probe(5)) == Route(Place.PROBE, probe=5)
    for desk in ("News@Sarand.example", f"postmaster@{DOMAIN}", f"Abuse@{DOMAIN}", f"fbl@{DOMAIN}"):
        assert router.route(desk).place is Place.DESK
    for nobody in (f"info@{DOMAIN}", f"@{DOMAIN}", f"{back}0@{DOMAIN}", f"{back[:-1]}@{DOMAIN}"):
        assert router.route(nobody).place is Place.NOBODY
    for elsewhere in ("", "leave", f"{back}@sarand.example", f"{back}@{DOMAIN}.example.net"):
        assert router.route(elsewhere).place is Place.ELSEWHERE


def test_a_token_of_one_purpose_is_nothing_in_the_place_of_another(router, tokens):
    """The link in a footer is forwarded with the mail: it must not be able to end an address."""
    raw = {
        "return": tokens.return_path(7, 9, now=datetime.now(UTC))[2:],
        "probe": tokens.probe(5, now=datetime.now(UTC))[2:],
    }
    assert router.route(f"p-{raw['return']}@{DOMAIN}").place is Place.NOBODY
    assert router.route(f"b-{raw['probe']}@{DOMAIN}").place is Place.NOBODY


@given(place=st.integers(0, 47), letter=st.sampled_from("0123456789abcdef"))
def test_one_changed_letter_makes_it_nobody_s(place, letter):
    """Somebody will try them all."""
    keyring = Keyring.make()
    tokens = Tokens(keyring.token.live, keyring.token.keys)
    back = tokens.return_path(7, 9, now=datetime.now(UTC))
    changed = back[: 2 + place] + letter + back[3 + place :]
    found = Router(tokens, domain=DOMAIN, sender="a@b.example").route(f"{changed}@{DOMAIN}").place
    assert found is (Place.RETURN if changed == back else Place.NOBODY)


def test_the_surest_clue_decides():
    """A report that came to a return path of ours is about that delivery, whatever else it quotes."""
    known = {"one": 1, "two": 2, "three": 3}

    def read(clue: str) -> int:
        if clue not in known:
            raise BadToken
        return known[clue]

    report = Bounce((), "two", Sent(sender="three@x.example"))
    assert processing.meant("one@x.example", report, read) == 1
    assert processing.meant("postmaster@x.example", report, read) == 2
    assert processing.meant("postmaster@x.example", Bounce((), "", report.sent), read) == 3
    assert processing.meant("postmaster@x.example", Bounce((), "", Sent()), read) is None


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("hidden", ["nothing", "the recipient", "the recipient and the envelope id"])
def test_a_real_postfix_names_the_delivery_by_each_clue(number, hidden):
    """Five of five, also where a mail server on the way has lost one of the names."""
    if not OWN.exists():
        pytest.skip("the shared data is not here: ../shared/data/bounces/own-postfix-dsn")
    raw = (OWN / f"{number}.eml").read_bytes()
    report = parse.parse(raw)
    assert isinstance(report, Bounce)
    to = raw.partition(b"Delivered-To: ")[2].partition(b"\n")[0].decode()
    given_out = {f"tok{place}": place for place in range(1, 6)}

    def read(clue: str) -> int:
        name = clue.removeprefix("b+")
        if name not in given_out:
            raise BadToken
        return given_out[name]

    if hidden != "nothing":
        to = "postmaster@x.example"
    if "envelope" in hidden:
        report = Bounce(report.said, "", report.sent)
    found = processing.meant(to, report, read)
    assert found == given_out[raw.partition(b"Original-Envelope-Id: ")[2].partition(b"\n")[0].decode()]


@pytest.mark.parametrize(
    ("subject", "tokens", "letter"),
    [
        ("A" * 32, ["A" * 32], False),
        ("Re: " + "A" * 32 + " please", ["A" * 32], False),
        ("=?utf-8?q?" + "A" * 32 + "?=", ["A" * 32], False),
        ("A" * 31, [], False),
        ("A" * 33, [], False),
        ("please take me off", [], True),
        ("", [], True),
    ],
)
def test_a_wish_is_read_from_the_subject(subject, tokens, letter):
    """Mail programs add to a subject; what almost is a link is somebody trying, and what is none is a person asking."""
    content = f"From: a@example.org\r\nSubject: {subject}\r\n\r\n{'B' * 32}\r\n".encode()
    assert processing.wishes(content) == (tokens, letter)
