"""What a relay's log can say of a message in doubt, and what it cannot."""

import time

import pytest
from sqlalchemy import text

from newsletter import assembly
from newsletter.delivery import journal, leasing, windows
from newsletter.delivery.relaylog import RelayLog
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from tests import house

TAKEN = """\
Jun  1 08:00:00 mx postfix/smtpd[101]: 4bQk7y2Xz: client=localhost[127.0.0.1]
Jun  1 08:00:00 mx postfix/cleanup[102]: 4bQk7y2Xz: message-id=<{one}>
Jun  1 08:00:00 mx postfix/qmgr[99]: 4bQk7y2Xz: from=<news@sarand.example>, size=18211, nrcpt=1 (queue active)
"""
BROKEN_OFF = """\
2026-06-01T08:00:01+00:00 mx postfix/cleanup[102]: 4bQk7y2Y0: message-id=<{two}>
2026-06-01T08:00:01+00:00 mx postfix/smtpd[101]: lost connection after DATA (18000 bytes) from localhost[127.0.0.1]
"""


def test_only_what_reached_the_queue_was_taken(tmp_path):
    """Its Message-ID alone is in the log as soon as the header came; the rest may never have come."""
    log = tmp_path / "mail.log"
    log.write_text(TAKEN.format(one="a=@x") + BROKEN_OFF.format(two="b=@x"))
    assert RelayLog(log).taken({"a=@x", "b=@x", "c=@x"}) == {"a=@x"}


BEFORE = """\
Jun  1 07:00:00 mx postfix/cleanup[102]: 4F2A1C0B2: message-id=<{other}>
Jun  1 07:00:00 mx postfix/qmgr[99]: 4F2A1C0B2: from=<x@example.org>, size=18211, nrcpt=1 (queue active)
Jun  1 07:00:01 mx postfix/qmgr[99]: 4F2A1C0B2: removed
"""
OURS = "Jun  1 08:00:00 mx postfix/cleanup[102]: 4F2A1C0B2: message-id={id}\n"
ACTIVE = "Jun  1 08:00:00 mx postfix/qmgr[99]: 4F2A1C0B2: from=<x@example.org>, size=18211, nrcpt=1 (queue active)\n"


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        (BEFORE.format(other="other@elsewhere") + OURS.format(id="<a=@x>"), set()),
        (BEFORE.format(other="other@elsewhere") + OURS.format(id="<a=@x>") + ACTIVE, {"a=@x"}),
        (OURS.format(id="<a=@x>") + BEFORE.format(other="other@elsewhere"), set()),
        (OURS.format(id="<a=@x>") + OURS.format(id="<>") + ACTIVE, set()),
        (OURS.format(id="<a=@x>") + OURS.format(id="of.no.standard") + ACTIVE, set()),
        (BEFORE.format(other="a=@x") + OURS.format(id="<b=@x>"), {"a=@x"}),
        (BEFORE.format(other="a=@x") + ACTIVE, {"a=@x"}),
    ],
    ids=["broken off", "taken", "another's later", "nameless later", "odd later", "ours before ours", "active again"],
)
def test_a_short_queue_id_comes_again(tmp_path, lines, taken):
    """Postfix's default: another mail had the id an hour before, and ours, broken off, must not be called taken for it."""
    log = tmp_path / "mail.log"
    log.write_text(lines)
    assert RelayLog(log).taken({"a=@x", "b=@x"}) == taken


def test_what_is_asked_for_again_is_read_on(tmp_path):
    """A doubt stays for a day, and each sweep read four hundred thousand messages for it: only what was added is new."""
    log = tmp_path / "mail.log"
    log.write_text(TAKEN.format(one="a=@x") + "x" * 10_000_000 + "\n")
    reading = RelayLog(log)
    assert reading.taken({"b=@x"}) == set()
    began = time.process_time()
    for _ in range(200):
        reading.taken({"b=@x"})
    assert time.process_time() - began < 0.2, "ten megabytes, two hundred times"
    with log.open("a") as more:
        more.write(TAKEN.format(one="b=@x"))
    assert reading.taken({"b=@x"}) == {"b=@x"}


def test_a_doubt_younger_than_its_lines_is_found(tmp_path):
    """The relay wrote that it has the message, somebody read that far for another one, and only then the worker died."""
    log = tmp_path / "mail.log"
    log.write_text(TAKEN.format(one="a=@x"))
    reading = RelayLog(log)
    assert reading.taken({"b=@x"}) == set()
    assert reading.taken({"b=@x", "a=@x"}) == {"a=@x"}


def test_what_was_found_is_told_until_it_is_written_down(tmp_path):
    """The database was away just then: the line is read once, and must not be lost."""
    log = tmp_path / "mail.log"
    log.write_text(TAKEN.format(one="a=@x"))
    reading = RelayLog(log)
    assert reading.taken({"a=@x"}) == {"a=@x"}
    assert reading.taken({"a=@x"}) == {"a=@x"}
    assert reading.taken({"b=@x"}) == set()


@pytest.mark.parametrize("cut", [1, 60, 150, 161, 300])
def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path, cut):
    """A sweep may come in the middle of a line, and between the two that belong together."""
    log = tmp_path / "mail.log"
    whole = TAKEN.format(one="a=@x")
    assert len(whole) > 240
    log.write_text(whole[:cut])
    reading = RelayLog(log)
    assert reading.taken({"a=@x"}) == (set() if cut < 240 else {"a=@x"})
    with log.open("a") as rest:
        rest.write(whole[cut:])
    assert reading.taken({"a=@x"}) == {"a=@x"}


@pytest.mark.parametrize("name", ["mail.log.1", "mail.log-20260601"])
def test_a_log_that_is_put_aside_is_read_to_its_end(tmp_path, name):
    """Every midnight, or every week: what was written before it, during it and after it counts alike."""
    log, old = tmp_path / "mail.log", tmp_path / name
    log.write_text("of yesterday\n")
    reading = RelayLog(log)
    reading.taken({"a=@x", "b=@x", "c=@x"})
    with log.open("a") as writing:
        writing.write(TAKEN.format(one="a=@x"))
        writing.flush()
        log.rename(old)
        log.write_text(TAKEN.format(one="b=@x"))
        assert reading.taken({"a=@x", "b=@x", "c=@x"}) == {"a=@x", "b=@x"}
        writing.write(TAKEN.format(one="c=@x"))
    # The server was still writing where the log had been.
    assert reading.taken({"a=@x", "b=@x", "c=@x"}) == {"a=@x", "b=@x", "c=@x"}


@pytest.mark.parametrize("name", ["mail.log.1", "mail.log-20260601"])
def test_a_doubt_of_before_midnight_is_found_after_it(tmp_path, name):
    """Who died at 23:59 is missed at 00:00, when the log has another name: a number or a date."""
    (tmp_path / name).write_text(TAKEN.format(one="a=@x"))
    (tmp_path / "mail.log").write_text("of today\n")
    assert RelayLog(tmp_path / "mail.log").taken({"a=@x"}) == {"a=@x"}


def test_a_log_that_was_emptied_is_read_from_its_beginning(tmp_path):
    """Some copy it and cut it off."""
    log = tmp_path / "mail.log"
    log.write_text("of yesterday, and long enough\n" * 20)
    reading = RelayLog(log)
    reading.taken({"a=@x"})
    log.write_text(TAKEN.format(one="a=@x"))
    assert reading.taken({"a=@x"}) == {"a=@x"}


@pytest.fixture
def looking(tmp_path, database_urls, sink):
    """A product that may look into its relay's log."""
    built = house.build(tmp_path, database_urls, sink.url)
    chosen = built.settings.model_copy(update={"relay_log": tmp_path / "mail.log"})
    built.close()
    made = assembly.assemble(chosen)
    yield made
    made.close()


def test_a_digest_in_doubt_is_found_in_the_log(looking, sink, tmp_path):
    """One look into the log, and nobody is uncertain: accepted, not sent twice, still listed."""
    sink.hang_up = lambda recipient: recipient.startswith(("reader1@", "reader2@"))
    composed = house.issue(looking, tmp_path, addresses=house.addresses(4))
    publish.send(looking.parts, composed.issue)
    looking.deliver("bulk", seconds=10)
    looking.sweep()
    assert journey.status(looking.parts, composed.mailing).uncertain == 2, "there is no log yet: nothing is guessed"
    ids = [
        message.content.split(b"Message-ID: <")[1].split(b">")[0].decode()
        for name in ("reader1", "reader2")
        for message in sink.messages_for(f"{name}@example.org")
    ]
    (tmp_path / "mail.log").write_text(TAKEN.format(one=ids[0]) + BROKEN_OFF.format(two=ids[1]))
    looking.sweep()
    found = journey.status(looking.parts, composed.mailing)
    assert (found.accepted, found.uncertain) == (3, 1)
    assert sorted(doubt.state for doubt in journey.in_doubt(looking.parts, composed.mailing)) == [
        "accepted",
        "uncertain",
    ]
    with looking.parts.database.transaction() as session:
        assert books.faults(session, composed.mailing) == []
        assert session.execute(text("SELECT count(*) FROM delivery WHERE reason = 'relay log'")).scalar_one() == 1


def killed_with_one_on_the_wire(made, tmp_path):
    """Release an alert whose first sender dies within its first message; return its number, and that message's id."""
    house.add_readers(made, tmp_path, house.addresses(5))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    sent = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    journals = made.settings.home / "journals"
    with made.parts.database.transaction() as session:
        work = leasing.lease(session, "urgent", owner="dead:1", journals=journals)
    assert windows.open(made.parts.database, work.lease, work.rows)
    marks, row = journal.Journal.open(journals, work.lease), work.rows[0]
    marks.begin(row.position)
    marks.close(remove=False)  # as when its holder is killed
    return sent, made.parts.tokens.message_id(sent, row.mailbox_id, row.occasion, "sarand.example")


def let_a_minute_pass(made):
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = due_at - interval '1 minute' WHERE state = 'deferred'"))
    made.sweep()


def test_an_alert_in_doubt_is_looked_for_before_it_goes_again(looking, sink, tmp_path):
    """The worker was killed before it heard that the relay has it: the log says so, and nobody is told twice."""
    sent, message_id = killed_with_one_on_the_wire(looking, tmp_path)
    (tmp_path / "mail.log").write_text(TAKEN.format(one=message_id))
    looking.deliver("urgent", seconds=5)
    let_a_minute_pass(looking)
    looking.deliver("urgent", seconds=5)
    found = journey.status(looking.parts, sent)
    assert (found.accepted, found.due, len(sink.messages)) == (5, 0, 4)
    assert not [one for one in sink.messages if message_id.encode() in one.content]


def test_an_alert_that_no_log_knows_goes_again_after_a_minute(looking, sink, tmp_path):
    """Better twice than not at all; but the relay has that minute to write down what it took."""
    sent, message_id = killed_with_one_on_the_wire(looking, tmp_path)
    looking.deliver("urgent", seconds=5)
    assert len(sink.messages) == 4, "it went again at once"
    let_a_minute_pass(looking)
    looking.deliver("urgent", seconds=5)
    assert len([one for one in sink.messages if message_id.encode() in one.content]) == 1
    found = journey.status(looking.parts, sent)
    assert (found.accepted, found.due, len(sink.messages)) == (5, 0, 5)
    with looking.parts.database.transaction() as session:
        assert books.faults(session, sent) == []


def test_the_log_is_heard_while_somebody_has_the_shard(looking, sink, tmp_path):
    """A slow shard is carried for minutes, lease after lease: what is in doubt in it must not go again meanwhile."""
    sent, message_id = killed_with_one_on_the_wire(looking, tmp_path)
    journals = looking.settings.home / "journals"
    looking.sweep()
    with looking.parts.database.transaction() as session:
        work = leasing.lease(session, "urgent", owner="alive:2", journals=journals)
    assert len(work.rows) == 4
    (tmp_path / "mail.log").write_text(TAKEN.format(one=message_id))
    let_a_minute_pass(looking)
    assert journey.status(looking.parts, sent).accepted == 1


def test_a_log_that_cannot_be_opened_for_a_while_ends_no_later_sweep(looking, sink, tmp_path):
    """A new file that only its owner may read: all else that a sweep does goes on, and the log is read once it may be."""
    log = tmp_path / "mail.log"
    sink.hang_up = lambda recipient: recipient.startswith("reader1@")
    composed = house.issue(looking, tmp_path, addresses=house.addresses(2))
    publish.send(looking.parts, composed.issue)
    looking.deliver("bulk", seconds=10)
    log.write_text("nothing\n")
    looking.sweep()
    log.rename(tmp_path / "mail.log.1")
    log.mkdir()
    looking.sweep()
    log.rmdir()
    [doubtful] = sink.messages_for("reader1@example.org")
    log.write_text(TAKEN.format(one=doubtful.content.split(b"Message-ID: <")[1].split(b">")[0].decode()))
    let_a_minute_pass(looking)
    assert journey.status(looking.parts, composed.mailing).uncertain == 0
