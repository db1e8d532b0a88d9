"""An address: what is accepted, how it is written, and that a refusal never repeats it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.addresses import BadAddress, EmailAddress


@pytest.mark.parametrize(
    ("text", "wire", "normal"),
    [
        ("Ann.Smith@Example.ORG", "Ann.Smith@example.org", "ann.smith@example.org"),
        (" ann@example.org ", "ann@example.org", "ann@example.org"),
        ("info@bücher.example", "info@xn--bcher-kva.example", "info@xn--bcher-kva.example"),
        ('"ann"@example.org', '"ann"@example.org', "ann@example.org"),
        ('"ann smith"@example.org', '"ann smith"@example.org', '"ann smith"@example.org'),
        ("o'brien+news@example.org", "o'brien+news@example.org", "o'brien+news@example.org"),
    ],
)
def test_one_mailbox_has_one_normal_form(text, wire, normal):
    """Two spellings of one address must not be two readers."""
    found = EmailAddress.parse(text)
    assert (found.wire, found.normal) == (wire, normal)


@pytest.mark.parametrize(
    ("text", "inbox"),
    [
        ("Ann+Shop@Example.ORG", "ann@example.org"),
        ("ann+a+b@example.org", "ann@example.org"),
        ('"ann+a b"@example.org', "ann@example.org"),
        ("a.nn@example.org", "a.nn@example.org"),
        ("+ann@example.org", "+ann@example.org"),
        ("A.n.n+x@googlemail.com", "ann@gmail.com"),
        ("ann@gmail.com", "ann@gmail.com"),
    ],
)
def test_the_ways_to_write_one_inbox_are_counted_as_one(text, inbox):
    """Else a mailbox is buried by whoever puts another tag or another dot into its address."""
    assert EmailAddress.parse(text).inbox == inbox


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "ann@localhost",
        "ann@[127.0.0.1]",
        "ann..smith@example.org",
        ".ann@example.org",
        "ann smith@example.org",
        "ann@exa mple.org",
        "ann@-example.org",
        "ann@example.org\r\nRCPT TO:<b@example.org>",
        "ann@example.org\x00",
        "ann\u202e@example.org",
        "a" * 65 + "@example.org",
        "ann@" + "a" * 250 + ".org",
        "Ann <ann@example.org>",
        "ann@example.org, ben@example.org",
        "ann@example.123",
    ],
)
def test_what_cannot_be_delivered_is_refused_without_repeating_it(text):
    """A refusal is shown and logged; the address is neither."""
    with pytest.raises(BadAddress) as refusal:
        EmailAddress.parse(text)
    assert refusal.value.facts == {}
    assert "ann" not in str(refusal.value)


@pytest.mark.parametrize(
    ("domain", "group"),
    [
        ("gmail.com", "google"),
        ("hotmail.co.uk", "microsoft"),
        ("yahoo.es", "yahoo"),
        ("icloud.com", "apple"),
        ("web.de", "gmx"),
        ("members.parliament.uk", "parliament.uk"),
        ("yahoo.some-campaign.org", "other"),
        ("example.org", "other"),
    ],
)
def test_the_provider_group_is_whose_rules_hold(domain, group):
    """A server that slows us down must slow its own readers only."""
    assert EmailAddress.parse(f"ann@{domain}").provider == group


def test_an_address_is_never_printed_whole():
    """str() ends in logs."""
    found = EmailAddress.parse("ann@example.org")
    assert str(found) == found.masked == "a…@e…"


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser_or_the_wire(text):
    """Forms, feeds and lists bring anything; what comes out is safe in an envelope."""
    try:
        found = EmailAddress.parse(text)
    except BadAddress:
        return
    assert found.domain.isascii()
    assert not any(letter in found.wire for letter in "\r\n\0<>") or found.local.startswith('"')
    assert EmailAddress.parse(found.wire) == found
