"""A worker for everything never gives all its children to digests."""

import importlib.util
import os
import time

import pytest

from newsletter.journeys import alert, mailing, publish
from tests import house
from tests.journeys import workers as real

# By its file: the package reads the settings of a whole installation when it is imported.
_SPEC = importlib.util.spec_from_file_location("seats", real.ROOT / "workers" / "seats.py")
assert _SPEC
assert _SPEC.loader
seats = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(seats)


@pytest.mark.parametrize(
    ("queues", "children", "expected"),
    [
        ({"urgent", "presses", "transactional", "events", "outside", "bulk", "compose", "upkeep"}, 3, 2),
        ({"urgent", "bulk"}, 1, 0),  # there is nobody to keep free
        ({"bulk"}, 2, 0),  # nothing waits behind it
        ({"bulk", "upkeep"}, 2, 0),
        ({"bulk", "compose", "upkeep"}, 2, 1),
        ({"presses", "outside"}, 2, 1),  # the thumb of somebody at night
        ({"outside"}, 4, 0),
    ],
)
def test_one_child_is_kept_free_where_it_matters(queues, children, expected):
    """Two digests must not take both children of the only worker; a worker for bulk alone uses all it has."""
    assert seats.arrange(queues, children) == expected


def asked_by_another_process(kind=seats.bulk):
    """Return whether a child of ours, forked now, would find a seat."""
    child = os.fork()
    if not child:
        with kind() as free:
            os._exit(0 if free else 7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_links_have_the_next_seat_and_a_digest_the_one_after():
    """A digest takes its seat anew every half minute, for hours: an alert's links would be tried by nobody meanwhile."""
    seats.arrange({"presses", "outside", "bulk"}, 2)
    with seats.bulk() as digest:
        assert digest
        assert not asked_by_another_process(seats.links)
    with seats.bulk() as digest:
        assert not digest, "links were there first"
    assert asked_by_another_process(seats.links)
    with seats.bulk() as digest:
        assert digest


def test_a_seat_is_one_process_s_until_it_ends():
    """A child that is killed must not take its seat with it."""
    seats.arrange({"urgent", "bulk"}, 2)
    with seats.bulk() as mine:
        assert mine
        assert not asked_by_another_process()
    assert asked_by_another_process(), "it was given back"
    assert asked_by_another_process(), "that child has ended"


@pytest.mark.timeout(120)
def test_an_alert_passes_two_digests_in_one_worker(tmp_path, database_urls, redis_url, sink):
    """`celery -A workers worker` is all a small campaign runs: its alert must not wait for the turns of its digests."""
    sink.delay_seconds = lambda: 0.1
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1", redis_url=redis_url)
    composed = house.issue(made, tmp_path, addresses=house.addresses(150))
    (tmp_path / "second.md").write_text("# Thank you\n\nDear {{ name }}, thank you.\n")
    second = mailing.draft(made.parts, str(tmp_path / "second.md"), digest_key=house.DIGEST).mailing
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    with real.working(made, None, children=2, log=tmp_path / "worker.log"):
        publish.send(made.parts, composed.issue)
        publish.release(made.parts, second)
        _until(lambda: len(sink.messages) > 3)
        alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        released = time.monotonic()
        _until(lambda: any(b"Soldiers at the gate" in message.content for message in list(sink.messages)))
        waited = time.monotonic() - released
        left = mailing.status(made.parts, composed.mailing).due + mailing.status(made.parts, second).due
    made.close()
    assert waited < 5
    assert left > 50, "the digests had ended: the test proved nothing"


@pytest.mark.timeout(120)
def test_a_digest_that_stood_aside_goes_on_behind_the_alert(tmp_path, database_urls, redis_url, sink):
    """Nobody else wakes it here: no beat runs, whose sweep would, and a digest must not stand for seconds behind each alert."""
    sink.delay_seconds = lambda: 0.02
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1", redis_url=redis_url)
    readers = [*house.addresses(100), *(f"reader{number}@gmail.com" for number in range(100))]
    composed = house.issue(made, tmp_path, addresses=readers)
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    with real.working(made, None, children=2, log=tmp_path / "worker.log"):
        publish.send(made.parts, composed.issue)
        _until(lambda: len(sink.messages) > 3)
        number = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        _until(lambda: mailing.status(made.parts, number).over)
        assert not mailing.status(made.parts, composed.mailing).over, "it had ended: the test proved nothing"
        _until(lambda: mailing.status(made.parts, composed.mailing).over)
    made.close()


def _until(seen):
    deadline = time.monotonic() + 40
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)
