"""Reports that real servers and mailboxes sent, and mail that means harm: what they say is read, and nothing breaks the reader."""

import json
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.relay.verdict import Class
from newsletter.reports import mime, parse, verdict
from newsletter.reports.parse import Automatic, Bounce, Complaint, Letter, Said
from newsletter.reports.verdict import Fate

BOUNCES = Path(__file__).parents[2] / "../shared/data/bounces"
OWN = sorted((BOUNCES / "own-postfix-dsn").glob("*.eml"))
SHARED = pytest.mark.skipif(not BOUNCES.exists(), reason="the shared data is not here: ../shared/data/bounces")

DSN = b"""Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
Subject: Undelivered Mail
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="=a"

--=a

That did not work.
--=a
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Original-Envelope-Id: b-00

Final-Recipient: rfc822; ann@example.org
Action: ACTION
Status: STATUS
Diagnostic-Code: smtp; WORDS

--=a
Content-Type: message/rfc822

Return-Path: <b-00@bounce.sarand.example>
Message-ID: <one@sarand.example>
To: <ann@example.org>
Subject: The Weekly

Dear Ann
--=a--
"""
ARF = b"""From: fbl@example.net
Content-Type: multipart/report; report-type=feedback-report; boundary=x

--x
Content-Type: text/plain

This is a complaint.
--x
Content-Type: message/feedback-report

Feedback-Type: KIND
Version: 1
Original-Mail-From: <b-00@bounce.sarand.example>
Original-Rcpt-To: <ann@example.org>

--x
Content-Type: message/rfc822

Message-ID: <one@sarand.example>
To: ann@example.org

Dear Ann
--x--
"""


def dsn(action: str = "failed", status: str = "5.1.1", words: str = "550 5.1.1 no such user") -> bytes:
    filled = DSN.replace(b"ACTION", action.encode()).replace(b"STATUS", status.encode())
    return filled.replace(b"WORDS", words.encode())


def labelled() -> list[dict]:
    if not BOUNCES.exists():
        pytest.skip("the shared data is not here: ../shared/data/bounces")
    return json.loads((BOUNCES / "dev-labels.json").read_text())


def read(name: str) -> parse.Report:
    return parse.parse((BOUNCES / "dev" / name).read_bytes())


def test_a_delivery_status_says_whom_what_and_of_which_message():
    """These three make the difference between a reader left alone and a report thrown away."""
    report = parse.parse(dsn())
    assert isinstance(report, Bounce)
    assert report.said == (Said("ann@example.org", "", "failed", "5.1.1", "550 5.1.1 no such user"),)
    assert report.envid == "b-00"
    assert report.sent == parse.Sent("one@sarand.example", "b-00@bounce.sarand.example", "ann@example.org")
    assert parse.parse(dsn().replace(b"\n", b"\r\n")) == report


@pytest.mark.parametrize(
    ("action", "status", "words", "fate", "cls"),
    [
        ("failed", "5.1.1", "550 5.1.1 no such user", Fate.FAILED, Class.DEAD),
        ("failed", "5.2.2", "552 5.2.2 mailbox full", Fate.FAILED, Class.QUOTA),
        ("failed", "5.7.26", "550 5.7.26 unauthenticated mail is not accepted", Fate.FAILED, Class.POLICY),
        ("failed", "4.4.1", "connect timed out", Fate.FAILED, Class.TRANSIENT),
        ("failed", "4.1.1", "450 4.1.1 user unknown", Fate.FAILED, Class.TRANSIENT),
        ("delayed", "4.4.1", "connect timed out", Fate.DELAYED, None),
        ("delivered", "2.0.0", "250 ok", Fate.DELIVERED, None),
        ("relayed", "2.1.9", "250 ok", Fate.RELAYED, None),
        ("expanded", "2.1.5", "250 ok", Fate.RELAYED, None),
        ("painted", "5.1.1", "550 5.1.1 no such user", Fate.NOTHING, None),
    ],
)
def test_what_a_report_means(action, status, words, fate, cls):
    """Only a server that says for good that nobody is there makes an address a dead one."""
    found = verdict.of(parse.parse(dsn(action, status, words)))
    assert (found.fate, found.cls) == (fate, cls)


@pytest.mark.parametrize("place", ["195.5.1.1", "80.5.1.2", "5.1.1.20", "37.5.4.4", "5.1.1"])
@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("4.4.2", "lost connection with mx.example.org[{}] while receiving the initial server greeting"),
        ("4.4.1", "connect to mx.example.org[{}]:25: No route to host"),
        ("4.7.5", "Cannot start TLS: handshake failure with {}"),
        ("4.0.0", "host mx.example.org[{}] said: 550 {} is not welcome here"),
        ("5.0.0", "host mx.example.org[{}] said: 554 you are not welcome here"),
    ],
)
def test_the_address_of_a_server_is_no_code(place, status, words):
    """Twelve readers of twelve were silenced because their server's address has a five and two ones in it."""
    found = verdict.of(parse.parse(dsn("failed", status, words.replace("{}", place))))
    assert found.cls is not Class.DEAD
    if "550" not in words:
        assert found.enhanced == status


@pytest.mark.parametrize(
    "words", ["550 5.1.1 no such user", "550-5.1.1 no such\n 550 5.1.1 user", "550 #5.1.1 no such user"]
)
def test_what_a_report_calls_passing_makes_nobody_dead(words):
    """A server that is being moved says "no such user" for now: whoever sends for us says so by the status."""
    assert verdict.of(parse.parse(dsn("failed", "5.1.1", words))).cls is Class.DEAD
    found = verdict.of(parse.parse(dsn("failed", "4.1.1", words)))
    assert (found.cls, found.enhanced) == (Class.TRANSIENT, "5.1.1")


def test_one_living_recipient_behind_an_alias_keeps_the_address_alive():
    """A family's address leads to three mailboxes; that one is gone does not end the newsletter for the others."""
    dead, alive = parse.Said(action="failed", status="5.1.1"), parse.Said(action="delivered")
    assert verdict.of(Bounce((dead, alive), "", parse.Sent())).fate is Fate.DELIVERED
    full = parse.Said(action="failed", status="5.2.2")
    assert verdict.of(Bounce((dead, full), "", parse.Sent())).cls is Class.QUOTA
    assert verdict.of(Bounce((dead, dead), "", parse.Sent())).cls is Class.DEAD


@pytest.mark.parametrize(
    ("kind", "fate"), [("abuse", Fate.COMPLAINT), ("fraud", Fate.COMPLAINT), ("not-spam", Fate.NOTHING)]
)
def test_a_complaint_names_the_message_it_is_about(kind, fate):
    """Who presses "spam" is never written to again; who presses "not spam" is."""
    report = parse.parse(ARF.replace(b"KIND", kind.encode()))
    sent = parse.Sent("one@sarand.example", "b-00@bounce.sarand.example", "ann@example.org")
    assert report == Complaint(kind, "", sent)
    assert verdict.of(report).fate is fate


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied (vacation)",
        "Precedence: bulk",
        "X-Autoreply: yes",
        "Subject: Out of office: June",
        "List-Id: <x>",
    ],
)
def test_a_machine_s_answer_is_no_letter(head):
    """An operator who finds four hundred holiday notices does not find the one who needs help."""
    assert parse.parse(f"From: a@example.org\n{head}\n\nI am away\n".encode()) == Automatic()


def test_a_letter_is_read_as_its_reader_would():
    """People write in their own script, from programs of every kind."""
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "Şirin <sirin@example.org>", "چاه خشک شد"
    mail.set_content("سلام")
    mail.add_alternative("<p>سلام</p>", subtype="html")
    assert parse.parse(mail.as_bytes()) == Letter("Şirin <sirin@example.org>", "چاه خشک شد", "سلام")


@SHARED
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_a_real_postfix_is_understood(path):
    """The server most likely to stand before us: what it reports must name the delivery three times over."""
    report = parse.parse(path.read_bytes())
    assert isinstance(report, Bounce)
    [said] = report.said
    assert said.recipient == said.original
    assert said.recipient[1:].startswith(f"{said.diagnostic.split()[0]}-{said.status}")
    assert report.sent.sender == f"b+{report.envid}@bounce.news.example.test"
    assert report.sent.message_id.endswith("@news.example.test")


@SHARED
def test_a_real_dovecot_s_vacation_answer_changes_nothing():
    """A reader on holiday is a reader."""
    assert parse.parse((BOUNCES / "own-vacation-dovecot.eml").read_bytes()) == Automatic()


def test_no_report_of_the_sample_calls_the_living_dead_too_often():
    """375 real reports: few addresses may be given up wrongly; what is not understood is left alone."""
    right = wrong = missed = 0
    for one in labelled():
        found = verdict.of(read(one["file"]))
        dead = found.fate is Fate.FAILED and found.cls is Class.DEAD
        truly = bool(one["facts"]) and all(fact["hard"] for fact in one["facts"])
        right, wrong, missed = right + (dead and truly), wrong + (dead and not truly), missed + (truly and not dead)
    assert right / (right + wrong) >= 0.92
    assert right / (right + missed) >= 0.68


def test_no_vacation_of_the_sample_is_taken_for_a_bounce_or_a_letter():
    """A holiday must neither end a subscription nor lie on the operator's desk."""
    found = [read(one["file"]) for one in labelled() if one["kind"] == "vacation"]
    assert len(found) == 6
    assert set(found) == {Automatic()}


def test_nothing_is_read_beyond_the_bounds():
    """Somebody will send a million nested parts, or one of a gigabyte, to see what happens."""
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(20_000)
    )
    assert len(list(mime.leaves(mime.read(nested)))) == 1
    wide = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000
    assert len(list(mime.leaves(mime.read(wide)))) == mime.PARTS
    assert len(mime.read(b"x: y\n" * 10_000).fields) == mime.FIELDS
    assert len(mime.read(b"\n" + b"x" * 3 * mime.LARGEST).body) <= mime.LARGEST


@pytest.mark.parametrize(
    "hostile",
    [
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 200_000,
        b"Content-Type: message/delivery-status\n\n" + b"a: b\n\n" * 170_000,
        b"From: mailer-daemon@x\nSubject: failure\n\n" + b"550 5.1.1 " * 100_000,
        b"From: mailer-daemon@x\nSubject: failure\n\n" + b"(a@" * 300_000,
        b"From: mailer-daemon@x\nSubject: failure\n\n" + b"-- copy of\n" * 90_000,
        b"From: postmaster@x\nSubject: failed\n\n" + b"<a" * 500_000,
        b"Subject: " + b"=?utf-8?q?a?= " * 80_000,
    ],
    ids=["parts", "groups", "replies", "addresses", "copies", "brackets", "words"],
)
def test_no_mail_of_a_megabyte_costs_seconds(hostile):
    """A pattern that looks back over everything is how one mail holds up a thousand unsubscribes."""
    began = time.process_time()
    verdict.of(parse.parse(hostile))
    assert time.process_time() - began < 1.5


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.integers(0, len(DSN)), st.integers(0, 40))
def test_damage_never_breaks_the_reader(noise, place, gone):
    """Whatever a stranger sends must end as a report or as a letter, not as an error that stops the queue."""
    damaged = dsn()[:place] + noise + dsn()[place + gone :]
    verdict.of(parse.parse(damaged))
    verdict.of(parse.parse(noise))
