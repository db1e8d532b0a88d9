"""The lifeboat rows on: nobody is there to start it again at once."""

import select
import socket
import threading
import time
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text

from newsletter.campaigns.errands import Act
from newsletter.database import DatabaseUnreachable
from newsletter.journeys import alert, drafting, errands, publish
from newsletter.journeys import mailing as journey
from newsletter.lifeboat import each
from newsletter.operators.roles import Role
from tests import house
from tests.delivery.test_carrying import wait_for
from tests.journeys import nights, traces
from tests.operators.crew import Crew

NO_ALERT = "INSERT INTO hook_call (event, facts) VALUES ('stopped', '{}')"
FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE UPDATE ON shard FOR EACH ROW EXECUTE FUNCTION full_disk()
"""
ROOM = "DROP TRIGGER full_disk ON shard"


def release(made, tmp_path):
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


def test_a_lane_whose_relay_is_away_keeps_no_other_waiting(tmp_path, database_urls, sink):
    """Redis is gone, and so is the relay for digests: an alert waited until something started the lifeboat again."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", relay_url_urgent=sink.url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(3))
    publish.send(made.parts, composed.issue)
    release(made, tmp_path)
    rowing = made.lifeboat(["bulk", "urgent"], until=lambda: len(sink.messages) == 3, pause_seconds=0.05)
    made.close()
    assert (rowing, len(sink.messages)) == (3, 3)


def test_a_database_without_room_is_waited_for(newsletter, tmp_path, sink, database_urls):
    """Nothing goes meanwhile, and all goes once somebody made room."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    release(newsletter, tmp_path)
    house.by_owner(database_urls, FULL)
    ends = time.monotonic() + 15
    begun = []

    def row():
        over = lambda: len(sink.messages) == 3 or time.monotonic() > ends  # noqa: E731
        begun.append(newsletter.lifeboat(["urgent"], until=over, pause_seconds=0.05))

    thread = threading.Thread(target=row)
    thread.start()
    time.sleep(1)
    assert sink.messages == []
    house.by_owner(database_urls, ROOM)
    thread.join(20)
    assert (begun, len(sink.messages)) == ([3], 3)


@pytest.fixture
def silent():
    """A server that takes each session and says nothing: the address of its relay, and its sessions."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take():
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.getsockname()[1]}", held
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


def rowing(made, over):
    """Row in a thread until something is over, or for so long."""
    ends = time.monotonic() + 30
    thread = threading.Thread(
        target=made.lifeboat,
        args=(["urgent", "transactional", "bulk"],),
        kwargs={"until": lambda: over() or time.monotonic() > ends, "pause_seconds": 0.05},
        daemon=True,
    )
    thread.start()
    return thread


def test_a_silent_relay_keeps_its_own_lane_waiting_alone(tmp_path, database_urls, sink, silent):
    """A greeting may be waited for for minutes; an alert that has another relay goes at once."""
    url, sessions = silent
    made = house.build(tmp_path, database_urls, url, relay_url_urgent=sink.url)
    publish.send(made.parts, house.issue(made, tmp_path, addresses=house.addresses(3)).issue)
    rowing(made, over=lambda: len(sink.messages) == 3)
    wait_for(lambda: sessions)
    first = list(sessions)
    release(made, tmp_path)
    wait_for(lambda: len(sink.messages) == 3, seconds=20)
    assert select.select(first, [], [], 0)[0] == [], "the digest waits for its greeting still, and has closed nothing"


def test_a_digest_under_way_keeps_no_alert_waiting(newsletter, tmp_path, sink):
    """Each answer takes a while, and a turn of bulk is half a minute."""
    sink.delay_seconds = lambda: 0.3
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(200))
    publish.send(newsletter.parts, composed.issue)
    here = threading.Event()
    rower = rowing(newsletter, over=here.is_set)
    wait_for(lambda: sink.messages, seconds=10)
    release(newsletter, tmp_path)
    wait_for(lambda: any(b"Soldiers" in message.content for message in sink.messages), seconds=10)
    assert journey.status(newsletter.parts, composed.mailing).state == "sending", "the digest had not ended by then"
    here.set()
    rower.join(20)
    assert not rower.is_alive()


def test_without_a_broker_a_press_waits_neither_for_a_digest_nor_for_links(tmp_path, database_urls, sink):
    """Redis is gone at night: one process does everything, and somebody presses Send while it is at half a minute's work."""
    sink.delay_seconds = lambda: 0.1
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1", fetch_allow="127.0.0.0/8")
    composed = house.issue(made, tmp_path, addresses=house.addresses(300))
    somebody = Crew(made.parts.database, made.parts.database).member(Role.SENDER)
    number = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST)
    alert.lock(made.parts, number)
    seen = alert.standing(made.parts, number).locked.fingerprint
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = "# Draft\n\n" + "".join(f"- [{n}](http://127.0.0.1:{silent.getsockname()[1]}/{n})\n" for n in range(9))
        drafting.draft(made.parts, nights.write(tmp_path, words), digest_key=house.DIGEST)
        publish.send(made.parts, composed.issue)
        rowing = threading.Thread(
            target=made.lifeboat, args=(["urgent", "transactional", "bulk"],), kwargs={"until": over.is_set}
        )
        rowing.start()
        try:
            wait_for(lambda: len(sink.messages) > 3 and _tried(made))
            errands.ask(made.parts, Act.RELEASE, by=somebody.id, mailing=number, seen=seen)
            began = time.monotonic()
            wait_for(lambda: any(b"Lorries at Sarand" in one.content for one in list(sink.messages)), seconds=25)
            waited = time.monotonic() - began
            assert nights.ask(made, "SELECT 1 FROM errand WHERE act = 'check' AND done_at IS NULL"), (
                "the links were over"
            )
        finally:
            over.set()
            rowing.join(40)
    made.close()
    assert waited < 12, "a turn takes 30 s, links 45"


def _tried(made):
    return nights.ask(made, "SELECT 1 FROM errand WHERE act = 'check' AND begun_at IS NOT NULL AND done_at IS NULL")


def test_a_chore_that_fails_keeps_neither_a_sweep_nor_the_boat_from_the_rest(newsletter, tmp_path, sink, database_urls):
    """A row that nobody had thought of ended each sweep at its place; without a broker it ended the process that was left."""
    house.by_owner(database_urls, NO_ALERT)
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    release(newsletter, tmp_path)
    assert newsletter.lifeboat(["urgent"], until=lambda: len(sink.messages) == 2, pause_seconds=0.05) == 2
    assert newsletter.sweep().lanes == []


def test_what_fails_keeps_no_other_from_its_turn_but_a_database_that_is_away():
    """The others would fail as well, each after its patience."""
    done = []

    def fails():
        raise KeyError("alert")

    def away():
        raise DatabaseUnreachable("here")

    each([fails, lambda: done.append(1)])
    with pytest.raises(DatabaseUnreachable):
        each([away, lambda: done.append(2)])
    assert done == [1]


def test_rows_that_somebody_keeps_locked_end_one_chore_alone(newsletter, database_urls):
    """The pages' role can lock a delivery for hours, and the team would hear of no stop meanwhile."""
    done = []

    def waits():
        with newsletter.parts.database.transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '100ms'"))
            session.execute(text("LOCK TABLE refusal"))

    with psycopg.connect(traces.plain(database_urls.owner)) as somebody:
        somebody.execute("LOCK TABLE refusal")
        each([waits, lambda: done.append(1)])
    assert done == [1]
