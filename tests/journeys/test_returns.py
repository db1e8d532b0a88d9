"""What comes back, through the doors: real PostgreSQL, a real relay, the intake as a process of its own, LMTP over a socket.

The intake is a fork of the loaded program (tests/fakes/program.py); the real one is begun by tests/cli/test_intake.py.
"""

import email
import email.policy
import json
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from newsletter.journeys import answering, mailing, moving_in, publish
from newsletter.ledger import books
from newsletter.subscribers.consent import Basis
from tests import house
from tests.fakes import returns
from tests.fakes.program import Program
from tests.fakes.relay import Relay
from tests.journeys import workers

DOMAIN = "bounce.sarand.example"
READERS = ["ann@example.org", "ben@example.org", "cem@example.org"]
# Of a partitioned table the whole: its months may be read through it alone.
TABLES = """
    SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
    ORDER BY 1
"""


@pytest.fixture
def relay():
    with Relay() as serving:
        yield serving


@pytest.fixture
def made(tmp_path, database_urls, relay):
    built = house.build(tmp_path, database_urls, relay.url, bounce_domain=DOMAIN)
    yield built
    built.close()


@contextmanager
def intaking(made, *more):
    """Run the intake until the block ends; yield its ready document."""
    environment = workers.environment(made) | {"NEWSLETTER_BOUNCE_DOMAIN": DOMAIN, "NEWSLETTER_LMTP": "127.0.0.1:0"}
    with Program(environment).begin("intake", "--json", *more) as intake:
        yield json.loads(intake.stdout.readline())
        assert intake.terminate() == 0


@pytest.fixture
def port(made):
    """The port of a running intake whose self-test has passed."""
    with intaking(made) as ready:
        assert (ready["domain"], ready["self_test"]) == (DOMAIN, True)
        yield int(ready["lmtp"].rpartition(":")[2])


def everything(made):
    """Return every row of every table, as text."""
    with made.parts.database.transaction() as session:
        names = session.execute(text(TABLES)).scalars().all()
        return {name: sorted(map(str, session.execute(text(f'SELECT * FROM "{name}"')))) for name in names}


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def send(made, tmp_path, title):
    """Send an issue with one new article; return its mailing."""
    house.add_articles(made, tmp_path, title)
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    made.sweep()
    made.deliver("bulk")
    with made.parts.database.transaction() as session:
        assert books.faults(session, composed.mailing) == []
    return composed.mailing


def mailto(message):
    """Return address and subject of the mailto: in List-Unsubscribe, as a mail program reads it."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    [found] = [part for part in parsed["List-Unsubscribe"].split(",") if "mailto:" in part]
    address, _, subject = found.strip(" <>").removeprefix("mailto:").partition("?subject=")
    return address, subject


def test_what_comes_back_decides_who_gets_the_next_issue(made, tmp_path, relay, port):
    """One address is dead, one reader leaves by mail, one stays: the next issue goes to the one who stays, and nobody else."""
    house.add_readers(made, tmp_path, READERS)
    first = send(made, tmp_path, "The well runs dry")
    assert sorted(recipient for recipient, _ in relay.received) == READERS

    path, message = relay.of("ann@example.org")
    assert returns.hand_over(port, "", path.upper(), returns.dsn(message, "ann@example.org"))[0] == 250
    address, subject = mailto(relay.of("ben@example.org")[1])
    assert address == f"leave@{DOMAIN}"
    letter = returns.letter("a stranger <forwarded@example.net>", address, subject)
    assert returns.hand_over(port, "forwarded@example.net", address, letter)[0] == 250

    status = mailing.status(made.parts, first)
    assert (status.accepted, status.returned) == (3, {"failed": 1})
    assert ask(made, "SELECT reason, said_by FROM suppression") == [("dead", "report")]
    relay.received.clear()
    relay.senders.clear()
    second = send(made, tmp_path, "It rains")
    assert [recipient for recipient, _ in relay.received] == ["cem@example.org"]
    assert mailing.status(made.parts, second).excluded == {"suppressed": 1}


def test_what_is_not_ours_changes_nothing(made, tmp_path, relay, port):
    """Anyone can write to these addresses: without a whole, true token not one row of any table may change."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    path, message = relay.of("ann@example.org")
    address, subject = mailto(message)
    local = path.partition("@")[0]
    tokens = made.parts.tokens
    before = everything(made)
    flip = "1" if local[20] == "0" else "0"
    forged = [
        local[:-1],
        local + "0",
        local[:20] + flip + local[21:],
        "b-" + "0" * 48,
        tokens.leave(1, 1, 1),
        tokens.probe(7, now=datetime.now(UTC)),
        "p-" + local[2:],
        "nobody",
    ]
    for one in forged:
        bounce = returns.dsn(b"", "ann@example.org", envid=one)
        assert returns.hand_over(port, "", f"{one}@{DOMAIN}", bounce)[0] == 250, one
        assert returns.hand_over(port, "", "postmaster@" + DOMAIN, bounce)[0] == 250, one
    for one in (
        subject[:-1],
        subject[:9] + "xyz" + subject[12:],
        tokens.preferences(1, now=datetime.now(UTC)),
        tokens.harmless(),
    ):
        assert (
            returns.hand_over(port, "x@example.net", address, returns.letter("x@example.net", address, one))[0] == 250
        )
    stolen = message.replace(b"Message-ID: <", b"Message-ID: <x")
    assert returns.hand_over(port, "", "news@sarand.example", returns.dsn(stolen, "ann@example.org"))[0] == 250
    away = b"Auto-Submitted: auto-replied\r\n" + returns.letter("ann@example.org", path, "Away")
    assert returns.hand_over(port, "ann@example.org", path, away)[0] == 250
    assert returns.hand_over(port, "", "someone@elsewhere.example", returns.dsn(message, "ann@example.org"))[0] == 550
    assert everything(made) == before


def test_a_report_finds_its_delivery_without_its_return_path(made, tmp_path, relay, port):
    """Some servers answer to From or to the postmaster; what they return still names the mail."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    for found, (reader, clue) in enumerate(zip(READERS, ("envelope id", "return path", "message id"), strict=True), 1):
        path, message = relay.of(reader)
        envid = path.partition("@")[0] if clue == "envelope id" else ""
        if clue != "message id":
            message = message.replace(b"Message-ID: <", b"Message-ID: <x")
        if clue == "return path":
            message = f"Return-Path: <{path}>\r\n".encode() + message
        report = returns.dsn(message, reader, envid=envid)
        assert returns.hand_over(port, "", f"postmaster@{DOMAIN}", report)[0] == 250, clue
        assert ask(made, "SELECT reason FROM suppression") == [("dead",)] * found, clue


def test_a_report_counts_once_and_a_lifted_address_stays_lifted(made, tmp_path, relay, port):
    """A queue repeats itself; an operator who has lifted an entry must not find it back because an old report came again."""
    house.add_readers(made, tmp_path, READERS)
    first = send(made, tmp_path, "The well runs dry")
    path, message = relay.of("ann@example.org")
    for _ in range(3):
        returns.hand_over(port, "", path, returns.dsn(message, "ann@example.org"))
    assert mailing.status(made.parts, first).returned == {"failed": 1}
    assert ask(made, "SELECT sum(dead) FROM tally") == [(1,)]
    reference = ask(made, "SELECT reference FROM subscriber ORDER BY id")[0][0]
    from newsletter.journeys import suppressing

    assert suppressing.lift(made.parts, reference=reference, address=None, why="she wrote", dry_run=False).lifted == (
        "dead",
    )
    returns.hand_over(port, "", path, returns.dsn(message, "ann@example.org"))
    assert ask(made, "SELECT count(*) FROM suppression WHERE lifted_at IS NULL") == [(0,)]


def test_a_stale_report_does_nothing(made, tmp_path, relay, port):
    """A return path is kept in logs and backups for years; after a month it must not end anything any more."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    path, message = relay.of("ann@example.org")
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET outcome_at = outcome_at - interval '31 days'"))
    before = everything(made)
    for to in (path, f"postmaster@{DOMAIN}"):
        assert returns.hand_over(port, "", to, returns.dsn(message, "ann@example.org"))[0] == 250
    assert everything(made) == before


def test_a_full_mailbox_and_a_block_end_nobody(made, tmp_path, relay, port):
    """Most of what comes back says nothing about the reader; they get the next issue."""
    house.add_readers(made, tmp_path, READERS)
    first = send(made, tmp_path, "The well runs dry")
    for address, words in (
        ("ann@example.org", "552 5.2.2 mailbox full"),
        ("ben@example.org", "550 5.7.1 blocked by policy"),
    ):
        path, message = relay.of(address)
        assert returns.hand_over(port, "", path, returns.dsn(message, address, words=words))[0] == 250
    late = returns.dsn(message, "ben@example.org", action="delayed", words="451 4.4.1 connect timed out")
    assert returns.hand_over(port, "", path, late)[0] == 250
    assert mailing.status(made.parts, first).returned == {"failed": 2, "delayed": 1}
    assert ask(made, "SELECT count(*) FROM suppression") == [(0,)]
    assert ask(made, "SELECT class, code, enhanced FROM returned ORDER BY id") == [
        ("mailbox full", 552, "5.2.2"),
        ("policy", 550, "5.7.1"),
        (None, None, None),
    ]
    relay.received.clear()
    relay.senders.clear()
    send(made, tmp_path, "It rains")
    assert len(relay.received) == 3


def test_a_complaint_ends_it_and_a_letter_is_kept_sealed(made, tmp_path, relay, port):
    """Who calls us spam is left alone; who writes to us is heard, by the operator and nobody else."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    _, message = relay.of("ann@example.org")
    assert (
        returns.hand_over(port, "fbl@example.net", f"fbl@{DOMAIN}", returns.complaint(message, "ann@example.org"))[0]
        == 250
    )
    assert ask(made, "SELECT reason FROM suppression") == [("complaint",)]
    letter = returns.letter("Ben <ben@example.org>", "news@sarand.example", "My sister", "Please call me.")
    for _ in range(2):
        assert returns.hand_over(port, "ben@example.org", "news@sarand.example", letter)[0] == 250
    [one] = answering.listed(made.parts, limit=10, done=False)
    assert one.subject == "My sister"
    assert answering.shown(made.parts, one.reply).reply.letter.text == "Please call me."
    assert not [row for rows in everything(made).values() for row in rows if "ben@example" in row or "sister" in row]
    answering.done(made.parts, one.reply)
    assert answering.listed(made.parts, limit=10, done=False) == []


def test_late_returns_stop_what_is_still_due(made, tmp_path, relay, port, database_urls):
    """The relay took everything; that half of the list is dead is told an hour later, and the rest must not go."""
    readers = [f"reader{number}@example.org" for number in range(40)]
    house.add_readers(made, tmp_path, readers)
    mailing_id = send(made, tmp_path, "The well runs dry")
    house.by_owner(database_urls, "UPDATE mailing SET state = 'sending', finished_at = NULL")
    for number, address in enumerate(readers[:10]):
        assert mailing.status(made.parts, mailing_id).state == "sending", number
        path, message = relay.of(address)
        returns.hand_over(port, "", path, returns.dsn(message, address))
    status = mailing.status(made.parts, mailing_id)
    assert (status.state, status.halted) == ("paused", "dead")


@pytest.fixture
def called_dead(made, tmp_path, relay, port):
    """Ann, whose last mail came back: what she got."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    path, message = relay.of("ann@example.org")
    assert returns.hand_over(port, "", path, returns.dsn(message, "ann@example.org"))[0] == 250
    assert ask(made, "SELECT reason, lifted_at FROM suppression") == [("dead", None)]
    return path, message


def answer(message, sender):
    """What a mail program sends when its reader answers a mail."""
    head = f"In-Reply-To: {email.message_from_bytes(message)['Message-ID']}\r\n".encode()
    return head + returns.letter(sender, "news@sarand.example", "Re: The well runs dry", "I am here!")


def test_who_answers_our_mail_is_not_dead(made, tmp_path, relay, port, called_dead):
    """An alias leads to two mailboxes and one is gone; she reads the other, writes to us, and gets the next issue."""
    letter = answer(called_dead[1], "Ann <Ann@example.org>")
    assert returns.hand_over(port, "ann@example.org", "news@sarand.example", letter)[0] == 250
    assert ask(made, "SELECT lifted_why FROM suppression") == [("mail arrived later",)]
    assert [one.subject for one in answering.listed(made.parts, limit=10, done=False)] == ["Re: The well runs dry"]
    relay.received.clear()
    relay.senders.clear()
    send(made, tmp_path, "It rains")
    assert sorted(recipient for recipient, _ in relay.received) == READERS


def test_a_sender_is_not_believed_without_our_mail_nor_our_mail_without_its_reader(made, relay, port, called_dead):
    """Anyone can write in her name: ten thousand dead addresses brought back would cost us every provider's trust."""
    _, hers = called_dead
    _, bens = relay.of("ben@example.org")
    plain = returns.letter("ann@example.org", "news@sarand.example", "Re: The well runs dry")
    forged = hers.replace(b"Message-ID: <", b"Message-ID: <x")
    for letter in (plain, answer(bens, "ann@example.org"), answer(hers, "eve@example.net"), answer(forged, READERS[0])):
        assert returns.hand_over(port, "ann@example.org", "news@sarand.example", letter)[0] == 250
    assert ask(made, "SELECT lifted_at FROM suppression") == [(None,)]
    assert len(answering.listed(made.parts, limit=10, done=False)) == 4, "each is heard all the same"


def test_a_delivery_that_nobody_asked_for_proves_nothing_of_later(made, port, called_dead):
    """We ask servers for failures and delays; "delivered" of the very mail that came back is older than what is known."""
    path, message = called_dead
    fine = returns.dsn(message, "ann@example.org", action="delivered", words="250 2.0.0 ok")
    assert returns.hand_over(port, "", path, fine)[0] == 250
    assert ask(made, "SELECT lifted_at FROM suppression") == [(None,)]
    assert mailing.status(made.parts, 1).returned == {"failed": 1}, "what is expected is not written down"


def test_a_report_settles_a_doubt(made, tmp_path, relay, port):
    """Where a provider keeps its log to itself its word is all there is: what it speaks of it has, and no alert goes twice."""
    said = dict(zip(("delivered", "relayed", "delayed", "failed"), house.addresses(4), strict=True))
    house.add_readers(made, tmp_path, list(said.values()))
    number = send(made, tmp_path, "The well runs dry")
    doubt = "UPDATE delivery SET state = 'uncertain', reason = 'worker lost', code = NULL, uncertain_at = now()"
    with made.parts.database.transaction() as session:
        session.execute(text(f"{doubt} WHERE mailing_id = :mailing"), {"mailing": number})
        session.execute(text("UPDATE shard SET uncertain = accepted, accepted = 0"))
    for settled, (action, reader) in enumerate(said.items(), 1):
        path, message = relay.of(reader)
        words = "250 2.0.0 ok" if action in ("delivered", "relayed") else "450 4.2.0 later"
        report = returns.dsn(message, reader, action=action, words=words)
        for _ in range(2):
            assert returns.hand_over(port, "", path, report)[0] == 250, action
        found = mailing.status(made.parts, number)
        assert (found.accepted, found.uncertain) == (settled, 4 - settled), action
        assert len(mailing.in_doubt(made.parts, number)) == 4, "the list keeps whom it was about"
        with made.parts.database.transaction() as session:
            assert books.faults(session, number) == [], action


def test_a_test_that_arrives_brings_an_address_back(made, relay, port, called_dead):
    """The operator sends a test to somebody who telephoned: where a report says that it arrived, she is written to again.

    Not where it was handed on to a server that reports nothing (RFC 3464 §2.3.3): nobody knows whether there is anyone.
    """
    relay.received.clear()
    relay.senders.clear()
    mailing.test(made.parts, 1, "ann@example.org")
    made.deliver("transactional")
    path, message = relay.of("ann@example.org")
    for action in ("relayed", "expanded"):
        on = returns.dsn(message, "ann@example.org", action=action, words="250 2.0.0 ok")
        assert returns.hand_over(port, "", path, on)[0] == 250
        assert ask(made, "SELECT lifted_at FROM suppression") == [(None,)]
    fine = returns.dsn(message, "ann@example.org", action="delivered", words="250 2.0.0 ok")
    assert returns.hand_over(port, "", path, fine)[0] == 250
    assert ask(made, "SELECT lifted_why FROM suppression") == [("mail arrived later",)]


def test_a_wish_to_leave_by_mail_waits_for_the_database_on_disk(made, tmp_path, relay, port, database_urls):
    """The POST keeps a wish while the database is away, and so does the mail: nobody has to ask twice."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    address, subject = mailto(relay.of("ben@example.org")[1])
    from newsletter.bounces.routing import Arrived
    from newsletter.journeys import returns as journey
    from tests.servers import Urls

    nowhere = Urls(*(["postgresql+psycopg://nobody@127.0.0.1:1/none"] * 4))
    away = house.assembly.assemble(
        made.settings.model_copy(update={"database_url": house.settings.SecretStr(nowhere.worker)})
    )
    letter = returns.letter("ben@example.org", address, subject)
    assert journey.take(away.parts, Arrived("ben@example.org", address, letter)) is journey.Done.LEFT
    away.close()
    assert ask(made, "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL") == [(0,)]
    made.sweep()
    assert ask(made, "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL") == [(1,)]


def test_the_mailto_is_printed_only_where_mail_is_read(made, tmp_path, relay):
    """A mailto: that nobody reads is a reader who believes to have left, and a complaint next week."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    assert b"mailto:" not in relay.of("ann@example.org")[1].partition(b"\r\n\r\n")[0]
    with intaking(made):
        send(made, tmp_path, "It rains")
    head = relay.of("ann@example.org")[1].partition(b"\r\n\r\n")[0]
    assert b"<mailto:leave@bounce.sarand.example?subject=" in head
    assert head.index(b"<http") < head.index(b"<mailto:")


def test_a_folder_of_mail_is_worked_off(made, tmp_path, relay):
    """Where no LMTP is to be had, a mail server delivers into a folder; what was done lies apart and is done once."""
    box = tmp_path / "box"
    for name in ("tmp", "new", "cur"):
        (box / name).mkdir(parents=True)
    house.add_readers(made, tmp_path, READERS)
    first = send(made, tmp_path, "The well runs dry")
    path, message = relay.of("ann@example.org")
    report = f"Return-Path: <>\r\nDelivered-To: {path}\r\n".encode() + returns.dsn(message, "ann@example.org")
    (box / "new" / "1.again").write_bytes(report)
    (box / "new" / "2.again").write_bytes(report)
    with intaking(made, "--maildir", str(box)) as ready:
        assert ready["self_test"] is True
    assert list((box / "new").iterdir()) == []
    assert {file.name.partition(":")[0] for file in (box / "cur").iterdir()} >= {"1.again", "2.again"}
    assert mailing.status(made.parts, first).returned == {"failed": 1}


def test_permission_to_write_is_not_given_back_by_an_import(made, tmp_path, relay, port):
    """A reader who left by mail stays away whatever list is imported afterwards."""
    house.add_readers(made, tmp_path, READERS)
    send(made, tmp_path, "The well runs dry")
    address, subject = mailto(relay.of("ben@example.org")[1])
    returns.hand_over(port, "ben@example.org", address, returns.letter("ben@example.org", address, f"Re: {subject}"))
    path = tmp_path / "again.csv"
    path.write_text("email\nben@example.org\n")
    permission = moving_in.Permission(Basis.IMPORTED, "a test")
    moving_in.import_subscribers(made.parts, str(path), digest_key=house.DIGEST, permission=permission)
    assert ask(made, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(2,)]
