"""The lifeboat rows on: nobody is there to start it again at once."""

import socket
import threading
import time

from newsletter.campaigns.errands import Act
from newsletter.journeys import alert, drafting, errands, publish
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.operators.crew import Crew
from tests.reliability.machine import wait_for

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
    ends = time.monotonic() + 10
    rowing = made.lifeboat(
        ["bulk", "urgent"], until=lambda: len(sink.messages) == 3 or time.monotonic() > ends, pause_seconds=0.05
    )
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
