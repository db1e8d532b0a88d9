"""What the name system is asked, and what its answers mean; a name server on loopback answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset

from newsletter import settings
from newsletter.cli import checking, names

GOOD = {
    ("campaign.org.uk.", "TXT"): ['"v=spf1 mx -all"', '"something else"'],
    ("_domainkey.campaign.org.uk.", "TXT"): [],
    ("_dmarc.campaign.org.uk.", "TXT"): ['"v=DMARC1; " "p=reject"'],
    ("relay.campaign.org.uk.", "A"): ["192.0.2.7"],
    ("relay.campaign.org.uk.", "AAAA"): [],
    ("7.2.0.192.in-addr.arpa.", "PTR"): ["relay.campaign.org.uk."],
}


@contextmanager
def name_server(zone: dict[tuple[str, str], list[str]]) -> Iterator[dns.resolver.Resolver]:
    """Answer from a zone on loopback; names that it lacks do not exist. Yields who asks there."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while question := server.recvfrom(4096):
            if not question[0]:
                return
            server.sendto(_answer(zone, dns.message.from_wire(question[0])), question[1])

    serving = threading.Thread(target=serve)
    serving.start()
    asking = dns.resolver.Resolver(configure=False)
    asking.nameservers, asking.port = ["127.0.0.1"], server.getsockname()[1]
    try:
        yield asking
    finally:
        server.sendto(b"", server.getsockname())
        serving.join()
        server.close()


def _answer(zone: dict[tuple[str, str], list[str]], asked: dns.message.Message) -> bytes:
    name, kind = str(asked.question[0].name), dns.rdatatype.to_text(asked.question[0].rdtype)
    answer = dns.message.make_response(asked)
    answer.flags |= dns.flags.RA
    if records := zone.get((name, kind)):
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *records))
    elif (name, kind) not in zone:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()


def found(zone: dict[tuple[str, str], list[str]], **keys: str) -> dict[str, bool | None]:
    with name_server(zone) as asking:
        answers = names.look("campaign.org.uk", ["relay.campaign.org.uk"], keys=keys, resolver=asking)
        return {answer.check: answer.ok for answer in answers}


def test_names_for_examples_are_asked_of_nobody():
    """A test or a demo must not send a single packet to a resolver."""
    for domain in ("sarand.example", "example.org", "mail.example.com", "here.test"):
        [answer] = names.look(domain)
        assert (answer.check, answer.ok) == ("DNS", None)


def test_a_domain_in_order_is_called_so():
    """An operator who did everything right must not be sent looking; a record in two strings is one record."""
    assert found(GOOD) == {"SPF": True, "DKIM": True, "DMARC": True, "PTR": True}


def test_each_thing_that_is_missing_is_named():
    """Microsoft refuses mail that lacks any of the three (standards §19); the operator must learn it before the readers."""
    for check, name in (("SPF", "campaign.org.uk."), ("DKIM", "_domainkey."), ("DMARC", "_dmarc."), ("PTR", "7.2.")):
        without = {asked: records for asked, records in GOOD.items() if not asked[0].startswith(name)}
        assert [bad for bad, ok in found(without).items() if not ok] == [check]


OURS = "v=DKIM1; k=ed25519; p=MCowBQYDK2Vw"
PUBLISHED = ("s1._domainkey.campaign.org.uk.", "TXT")


def test_a_key_of_ours_that_is_published_is_called_so():
    """Zone files split a long record and add blanks (RFC 6376 §3.6.1 lets them): that is the same key."""
    for record in (f'"{OURS}"', '"v=DKIM1;k=ed25519; t=s; " "p=MCow BQYDK2Vw;"'):
        assert found(GOOD | {PUBLISHED: [record]}, s1=OURS)["DKIM"] is True


def test_another_key_under_our_selector_is_not_ours():
    """After a change of keys the old record still stands there: every signature fails, and large providers refuse the mail."""
    for records in (
        ['"v=DKIM1; k=ed25519; p=AAAAAAAAAAAA"'],
        ['"v=DKIM1; p=MCowBQYDK2Vw"'],
        ['"v=DKIM1; k=ed25519; p="'],
        ['"the key will stand here"'],
        [f'"{OURS}"', '"v=DKIM1; k=ed25519; p=AAAAAAAAAAAA"'],
        [],
    ):
        assert found(GOOD | {PUBLISHED: records}, s1=OURS)["DKIM"] is False, records


def test_a_name_below_domainkey_is_not_enough_where_we_sign():
    """Another service of the same organisation publishes its keys there; ours is missing all the same, and doctor says which."""
    other = GOOD | {("google._domainkey.campaign.org.uk.", "TXT"): ['"v=DKIM1; p=AAAA"'], PUBLISHED: [f'"{OURS}"']}
    with name_server(other) as asking:
        [dkim] = [
            one
            for one in names.look("campaign.org.uk", keys={"s1": OURS, "s2": OURS}, resolver=asking)
            if one.check == "DKIM"
        ]
    assert dkim.ok is False
    assert "s2._domainkey.campaign.org.uk" in dkim.found
    assert OURS in dkim.found, "what to publish"


def test_what_is_missing_is_said_before_a_mailing_is_released(tmp_path):
    """Forty thousand refusals teach the same, a day later (standards §19)."""
    chosen = settings.read(
        home=tmp_path / "home", keys=tmp_path / "keys" / "keys.json", sender="The Campaign <news@campaign.org.uk>"
    )
    without = {asked: records for asked, records in GOOD.items() if not asked[0].startswith("_dmarc")}
    with name_server(without) as asking:
        [said] = checking.doubts(chosen, resolver=asking)
    assert said.startswith("Warning: DMARC: _dmarc.campaign.org.uk needs exactly one TXT record")
    with name_server(GOOD) as asking:
        assert checking.doubts(chosen, resolver=asking) == []


def test_two_spf_records_are_as_bad_as_none():
    """RFC 7208 §4.5: receivers answer two records with a permanent error."""
    twice = GOOD | {("campaign.org.uk.", "TXT"): ['"v=spf1 mx -all"', '"v=spf1 -all"']}
    assert found(twice)["SPF"] is False


def test_a_name_that_leads_elsewhere_is_no_name():
    """A provider looks the name up again and compares; a borrowed PTR fails there."""
    elsewhere = GOOD | {("7.2.0.192.in-addr.arpa.", "PTR"): ["pool-7.provider.net."], ("pool-7.provider.net.", "A"): []}
    assert found(elsewhere)["PTR"] is False


def test_a_relay_on_this_machine_has_no_name_to_look_up():
    """On one machine the relay is 127.0.0.1 or ::1; asking for its PTR would report a fault that is none."""
    with name_server(GOOD) as asking:
        checks = [answer.check for answer in names.look("campaign.org.uk", ["127.0.0.1", "::1"], resolver=asking)]
    assert checks == ["SPF", "DKIM", "DMARC"]


def test_silence_is_no_fault():
    """A machine without a resolver (a chroot, a plane) must still get the rest of the examination."""
    asking = dns.resolver.Resolver(configure=False)
    asking.nameservers = []
    [answer] = names.look("campaign.org.uk", resolver=asking)
    assert (answer.check, answer.ok) == ("DNS", None)
