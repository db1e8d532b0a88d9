"""Messages of CAP 1.2: what authorities send, what breaks, and what attackers try."""

import io
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from newsletter import languages
from newsletter.campaigns import cap
from newsletter.campaigns.cap import (
    Area,
    BadCap,
    CapMessage,
    Category,
    Certainty,
    Info,
    Kind,
    NotCap,
    OtherVersion,
    Reference,
    Resource,
    Response,
    Scope,
    Severity,
    Status,
    TooLarge,
    Urgency,
)
from newsletter.errors import Invalid
from tests.campaigns.samples import INFO, real, xml

# The OASIS schema, CAP-v1.2.xsd: each element's children in their order.
SCHEMA = {
    "alert": "identifier sender sent status msgType source scope restriction addresses code note references incidents info",
    "info": "language category event responseType urgency severity certainty audience eventCode effective onset expires "
    "senderName headline description instruction web contact parameter resource area",
    "resource": "resourceDesc mimeType size uri derefUri digest",
    "area": "areaDesc polygon circle geocode altitude ceiling",
    "eventCode": "valueName value",
    "parameter": "valueName value",
    "geocode": "valueName value",
}


def test_a_real_alert():
    """The form in which a flood is announced in England: no headline, an outline of the place."""
    with real("cap-wainfleet.xml").open("rb") as stream:
        found = cap.read(stream, name="cap-wainfleet.xml")
    [info] = found.infos
    assert (found.sender, found.kind, found.status) == ("www.gov.uk/environment-agency", Kind.ALERT, Status.ACTUAL)
    assert found.sent == datetime(2020, 2, 16, 23, 1, 13, tzinfo=UTC)
    assert (info.language, info.severity, info.headline) == ("en-GB", Severity.SEVERE, "")
    assert info.expires == datetime(2020, 2, 26, 23, 1, 14, tzinfo=UTC)
    assert info.areas[0].description == "River Steeping in Wainfleet All Saints"
    assert info.areas[0].geocodes == (("TargetAreaCode", "053FWFSTEEP4"),)


def test_a_real_update_names_what_it_updates():
    """The fourth message about a tsunami; without the three names nobody knows which warning is over."""
    found = cap.read(real("cap-update.xml").read_bytes())
    assert found.kind is Kind.UPDATE
    assert [one.identifier for one in found.references] == ["PAAQ-1-mg5a94", "PAAQ-2-mg5a94", "PAAQ-3-mg5a94"]
    assert found.infos[0].language == "en-US", "the standard's default"
    assert found.infos[0].resources[0].mime_type == "application/json"


def test_a_real_cancel_with_nothing_but_its_name():
    """A cancel needs no words to count."""
    found = cap.read(real("cap-wainfleet_cancel_minimal.xml").read_bytes())
    assert (found.kind, found.infos) == (Kind.CANCEL, ())
    alert = cap.read(real("cap-wainfleet.xml").read_bytes())
    assert found.references == (alert.name,)


@pytest.mark.parametrize(
    "name",
    [
        "cap-update.xml",
        "cap-wainfleet.xml",
        "cap-wainfleet_cancel.xml",
        "cap-wainfleet_cancel_minimal.xml",
        "cap-windemere.xml",
    ],
)
def test_real_messages_come_out_as_they_went_in(name):
    """What we pass on must say what we were told, whatever else stood in the file."""
    message = cap.read(real(name).read_bytes())
    assert cap.read(cap.write(message)) == message
    assert cap.read(cap.document(real(name).read_bytes()).encode()) == message


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (xml(identifier=None), "lacks <identifier>"),
        (xml(sender=""), "lacks <sender>"),
        (xml(sent=None), "lacks <sent>"),
        (xml(sent="2026-06-01T02:10:00"), "names no zone"),
        (xml(sent="1 June 2026"), "cannot be read"),
        (xml(sent="2026-02-30T02:10:00-00:00"), "cannot be read"),
        (xml(sent="0001-01-01T00:00:00+14:00"), "cannot be read"),
        (xml(sent="2026-06-01T02:10:00+99:00"), "cannot be read"),
        (xml(status="actual"), "must be one of: Actual"),
        (xml(msgType="Warning"), "must be one of: Alert"),
        (xml(scope="Everyone"), "must be one of: Public"),
        (xml(identifier="a b"), "no blanks"),
        (xml(sender="a,b"), "no blanks"),
        (xml(identifier="x" * 301), "at most 300"),
        (xml(references="A"), "sender,identifier,sent"),
        (xml(references="s,A,2026-06-01T02:10:00"), "sender,identifier,sent"),
        (xml(references="s,A,2026-06-01T02:10:00-00:00,x"), "sender,identifier,sent"),
        (xml(references=" ".join(f"s,{n},2026-06-01T02:10:00-00:00" for n in range(501))), "more than 500"),
        (xml(info="<identifier>B</identifier>"), "<identifier> twice"),
        (xml(info=INFO.replace("<category>Safety</category>", "")), "lacks <category>"),
        (xml(info=INFO.replace("Attack on a camp", " ")), "lacks <event>"),
        (xml(info=INFO.replace("Immediate", "Now")), "must be one of: Immediate"),
        (xml(info=INFO.replace(">en<", ">the English of England<")), "cannot be read"),
        (xml(info=INFO.replace("</info>", "<area><polygon>1,1</polygon></area></info>")), "lacks <areaDesc>"),
        (xml(info=INFO.replace("</info>", "<expires>soon</expires></info>")), "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(raw, words):
    """Whoever took it in tells its sender what to mend."""
    with pytest.raises(BadCap) as refusal:
        cap.read(raw)
    sentence = languages.say(refusal.value.message, **refusal.value.facts)
    assert words in sentence
    assert sentence.endswith("Nothing was taken in.")


def test_a_blank_line_before_the_declaration_does_no_harm():
    """A frequent slip, and no reason to miss an alert."""
    assert cap.read(b"\r\n" + xml(before='<?xml version="1.0"?>')).identifier == "A"


def test_z_is_taken_as_a_zone():
    """CAP forbids it and many write it; an alert must not be lost to a letter that can mean only one thing."""
    sent = cap.read(xml(sent="2026-06-01T02:10:00.250Z")).sent
    assert sent == cap.read(xml(sent="2026-06-01T03:10:00+01:00")).sent == datetime(2026, 6, 1, 2, 10, tzinfo=UTC)


def laughs() -> str:
    """Return a billion laughs."""
    nested = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    return f'<!DOCTYPE alert [<!ENTITY a "ha">{nested}]>'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"PK\x03\x04",
        b"<alert>",
        b"<alert/>",
        b'<alert xmlns="urn:example"/>',
        b'<info xmlns="urn:oasis:names:tc:emergency:cap:1.2"/>',
        b"<html><body>Not found</body></html>",
        xml(before=laughs(), identifier="&j;"),
        xml(before='<!DOCTYPE alert [<!ENTITY x SYSTEM "file:///etc/passwd">]>', identifier="&x;"),
        xml(before='<!DOCTYPE alert [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'),
        xml(before='<!DOCTYPE alert SYSTEM "http://127.0.0.1:9/cap.dtd">'),
        xml(identifier="&undefined;"),
        xml(info="<x>" * 5000),
        xml(info="<x>" * 5000 + "</x>" * 5000),
        xml(before='<?xml version="1.0" encoding="utf-8"?>', identifier="caf\u00e9").replace(b"\xc3\xa9", b"\xe9"),
        xml(before='<?xml version="1.0" encoding="klingon"?>'),
        xml(before='<?xml version="1.0" encoding="utf-16"?>'),
        xml(identifier="a\x08b"),
        xml()[:-20],
    ],
)
def test_hostile_files_are_refused_at_once(raw):
    """They come from the web, at night: no file of ours is read, no memory filled, nothing asked of anyone."""
    began = time.monotonic()
    with pytest.raises(NotCap) as refusal:
        cap.read(raw, name="cap.xml")
    assert time.monotonic() - began < 5
    assert "cap.xml is no message" in languages.say(refusal.value.message, **refusal.value.facts)


def test_laughs_in_an_attribute_are_refused():
    """Entities in attributes are expanded by the parser itself; its own limit must hold."""
    raw = xml(before=laughs()).replace(b"<alert xmlns", b'<alert x="&j;" xmlns')
    with pytest.raises(NotCap):
        cap.read(raw)


class Endless(io.RawIOBase):
    """50 MB of blanks, counted as they are read."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        count = min(size if size >= 0 else 50 * 2**20, 50 * 2**20 - self.given)
        self.given += count
        return b" " * count


def test_a_huge_file_is_not_read_to_its_end():
    """The limit is on what is read, not on what was read."""
    stream = Endless()
    with pytest.raises(TooLarge) as refusal:
        cap.read(stream, name="cap.xml")
    assert stream.given == cap.MAX_BYTES + 1
    assert "2 MB" in languages.say(refusal.value.message, **refusal.value.facts)


def test_an_older_version_is_named():
    """Its sender can mend that; “damaged” would send an operator looking for what is not there."""
    with pytest.raises(OtherVersion) as refusal:
        cap.read(xml().replace(b"cap:1.2", b"cap:1.1"))
    assert "CAP 1.1" in languages.say(refusal.value.message, **refusal.value.facts)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings_that_are_named_are_read(encoding):
    """A file says how it is written, and most say it rightly."""
    head = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    raw = xml(before=head, source="Château").decode().encode(encoding)
    assert cap.read(raw).source == "Château"


@given(st.binary(max_size=400))
def test_nothing_that_comes_in_does_more_than_be_refused(raw):
    """A crash at the door is a page that stays silent."""
    for data in (raw, xml(source="x").replace(b">x<", b">" + raw + b"<")):
        with suppress(Invalid):
            assert cap.read(data)


LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXT = st.text(LETTERS, max_size=30).map(str.strip)
WORDS = TEXT.filter(bool)
NAMES = st.text(st.characters(categories=["L", "N"], include_characters="-.@:/"), min_size=1, max_size=20)
MOMENTS = st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
PAIRS = st.lists(st.tuples(WORDS, TEXT), max_size=2).map(tuple)
AREAS = st.builds(Area, WORDS, st.just(("1,1 2,2 1,1",)), st.just(("1,1 0",)), PAIRS, TEXT, TEXT)


def some(one):
    return st.lists(one, max_size=2).map(tuple)


INFOS = st.builds(
    Info,
    event=WORDS,
    urgency=st.sampled_from(Urgency),
    severity=st.sampled_from(Severity),
    certainty=st.sampled_from(Certainty),
    categories=st.lists(st.sampled_from(Category), min_size=1, max_size=2).map(tuple),
    language=st.sampled_from(["en-US", "fa", "ar"]),
    responses=some(st.sampled_from(Response)),
    audience=TEXT,
    event_codes=PAIRS,
    effective=st.none() | MOMENTS,
    onset=st.none() | MOMENTS,
    expires=st.none() | MOMENTS,
    sender_name=TEXT,
    headline=TEXT,
    description=TEXT,
    instruction=TEXT,
    web=TEXT,
    contact=TEXT,
    parameters=PAIRS,
    resources=some(st.builds(Resource, WORDS, WORDS, TEXT, TEXT, TEXT)),
    areas=some(AREAS),
)
MESSAGES = st.builds(
    CapMessage,
    identifier=NAMES,
    sender=NAMES,
    sent=MOMENTS,
    status=st.sampled_from(Status),
    kind=st.sampled_from(Kind),
    scope=st.sampled_from(Scope),
    infos=some(INFOS),
    references=st.lists(st.builds(Reference, MOMENTS, NAMES, NAMES), max_size=3, unique=True).map(tuple),
    source=TEXT,
    restriction=TEXT,
    addresses=TEXT,
    codes=some(WORDS),
    note=TEXT,
    incidents=TEXT,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(MESSAGES)
def test_what_is_written_is_read_again_in_the_order_of_the_schema(message):
    """Receivers check against the OASIS schema; one element out of order and the whole alert is dropped."""
    raw = cap.write(message)
    assert cap.write(message) == raw
    assert cap.read(raw) == message
    for element in etree.fromstring(raw).iter():
        names = [etree.QName(child).localname for child in element]
        order = SCHEMA.get(etree.QName(element).localname, "").split()
        assert [order.index(name) for name in names] == sorted(order.index(name) for name in names)


def test_times_are_written_as_the_standard_wants():
    """CAP 1.2 §3.3.2: "Z" must not be used, and UTC is "-00:00"."""
    raw = cap.write(cap.read(xml(sent="2026-06-01T03:10:00+01:00", references="s,B,2026-06-01T02:00:00Z")))
    assert b"<sent>2026-06-01T02:10:00-00:00</sent>" in raw
    assert b"<references>s,B,2026-06-01T02:00:00-00:00</references>" in raw
