"""The lifeboat rows on: nobody is there to start it again at once."""

import threading
import time

from newsletter.journeys import alert, publish
from tests import house

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
