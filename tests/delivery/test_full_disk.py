"""A database that has no room left to write: its own words for it, said while a trigger of the owner's stands in the way."""

import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from newsletter.database import DiskFull
from newsletter.delivery.envelopes import Identity
from newsletter.delivery.sending import Sender
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from tests import house
from tests.delivery.test_carrying import wait_for

READERS = 600
FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER full_disk BEFORE UPDATE ON delivery FOR EACH ROW EXECUTE FUNCTION full_disk()
"""
WINDOWS_TOO = FULL + "; CREATE TRIGGER full_disk BEFORE UPDATE ON shard FOR EACH ROW EXECUTE FUNCTION full_disk()"
ROOM = (
    "DROP TRIGGER IF EXISTS full_disk ON delivery; DROP TRIGGER IF EXISTS full_disk ON shard; DROP FUNCTION full_disk"
)


@pytest.fixture
def sent(newsletter, tmp_path):
    """The number of an alert that is due to six hundred readers."""
    house.add_readers(newsletter, tmp_path, house.addresses(READERS))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


@pytest.fixture
def full(newsletter):
    """The disk of the journals is full as well: no file can be made in a folder that leads nowhere."""
    newsletter.settings.home.mkdir(exist_ok=True)
    (newsletter.settings.home / "journals").symlink_to("/nowhere/at/all")


@contextmanager
def delivering(made, urls, *, patience):
    """Deliver alerts while the disk is full, in a thread, by somebody who waits so long for room; yields what it raised."""
    identity = Identity(made.parts.letterhead.sender_address, None)
    parts, journals = made.parts, made.settings.home / "journals"
    sender = Sender(
        parts.database, parts.tokens, parts.relays, identity, journals=journals, house=made._house, patience=patience
    )
    raised = []

    def work():
        try:
            sender.work("urgent", seconds=20)
        except DiskFull as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    house.by_owner(urls, FULL)
    thread.start()
    try:
        yield raised
    finally:
        house.by_owner(urls, ROOM)
        thread.join(30)
    assert not thread.is_alive()
    sender.close()


def quiet(sink):
    """Wait until the wire has been still for a second and more; return how many were taken."""
    before, end = 0, time.monotonic() + 20
    while (before != len(sink.messages) or not before) and time.monotonic() < end:
        before = len(sink.messages)
        time.sleep(1.3)
    return before


def each_once(made, sink, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
    found = journey.status(made.parts, mailing)
    assert set(Counter(message.recipient for message in sink.messages).values()) == {1}
    return (found.state, found.accepted, len(journey.in_doubt(made.parts, mailing))) == ("done", READERS, 0)


def test_outcomes_wait_for_room_as_for_a_restart(newsletter, sink, sent, database_urls):
    """Somebody deletes a log and there is room again: what became of six hundred messages must not be thrown away meanwhile."""
    with delivering(newsletter, database_urls, patience=45) as raised:
        quiet(sink)
    assert raised == []
    assert each_once(newsletter, sink, sent)


def test_one_full_disk_under_database_and_journals_doubles_no_alert(newsletter, sink, sent, full, database_urls):
    """On one machine both lie on one disk: then only the worker knows, so it begins nothing new and waits as long as it lives."""
    with delivering(newsletter, database_urls, patience=0.1) as raised:
        assert 0 < quiet(sink) <= 300, "a window, and nothing new while its outcomes cannot be written"
    assert raised == []
    assert each_once(newsletter, sink, sent)


def test_who_has_waited_too_long_leaves_what_became_of_the_mail_in_its_journal(newsletter, sink, sent, database_urls):
    """A full disk over night: the worker is free for others, and the next one reads what a server has."""
    with delivering(newsletter, database_urls, patience=0.1) as raised:
        quiet(sink)
    assert len(raised) == 1
    newsletter.deliver("urgent", seconds=20)
    assert each_once(newsletter, sink, sent)


def test_a_folder_of_journals_that_cannot_be_written_stops_no_alert(newsletter, sink, sent):
    """A disk that fails is mounted read-only by the kernel: then not even what is not there can be removed."""
    newsletter.settings.home.mkdir(exist_ok=True)
    (newsletter.settings.home / "journals").write_text("no folder")
    newsletter.deliver("urgent", seconds=20)
    newsletter.sweep()
    assert each_once(newsletter, sink, sent)


def test_no_window_without_room_puts_nobody_in_doubt(newsletter, sink, tmp_path, database_urls, full):
    """No journal, and a disk that is full as the next window is asked for: what was announced and not begun goes later, once."""
    sink.delay_seconds = lambda: 0.05
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(READERS))
    publish.send(newsletter.parts, composed.issue)
    thread = threading.Thread(target=lambda: _until_full(newsletter))
    thread.start()
    wait_for(lambda: len(sink.messages) >= 100)
    house.by_owner(database_urls, WINDOWS_TOO)
    quiet(sink)
    house.by_owner(database_urls, ROOM)
    thread.join(30)
    assert not thread.is_alive()
    sink.delay_seconds = lambda: 0.0
    newsletter.deliver("bulk", seconds=20)
    newsletter.sweep()
    assert each_once(newsletter, sink, composed.mailing)


def _until_full(made):
    with suppress(DiskFull):
        made.deliver("bulk", seconds=30)
