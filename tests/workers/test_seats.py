"""A worker for everything never gives all its children to digests."""

import importlib.util
import os
import threading

import pytest

from newsletter.journeys import alert, mailing, publish
from tests import house
from tests.journeys import workers as real
from tests.reliability.machine import wait_for

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


@pytest.fixture
def working(tmp_path, database_urls, redis_url, sink):
    """A product beside `celery -A workers worker`, which is all a small campaign runs: two children and no beat."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1", redis_url=redis_url)
    with real.working(made, None, children=2, log=tmp_path / "worker.log"):
        yield made
    made.close()


def told(made, tmp_path, subject):
    """Send an alert; return its number."""
    (tmp_path / "alert.md").write_text(f"# {subject}\n\nPlease call.\n")
    return alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


def over(made, *numbers):
    return all(mailing.status(made.parts, number).over for number in numbers)


def test_an_alert_passes_two_digests_in_one_worker(working, tmp_path, sink):
    """A small campaign's alert must not wait for the turns of its digests: here they end when it has come, and not before.

    And a digest that stood aside for one goes on behind it. Nobody else wakes it here: no beat runs, whose sweep would, and a
    digest must not stand for seconds behind each alert.
    """
    made, held = working, threading.Event()
    held.set()
    let_through = (b"Soldiers", b"They are leaving")
    sink.held = lambda _recipient, content: held.is_set() and not any(one in content for one in let_through)
    # Of two providers: an alert of two parts lacks a hand while a digest has the other.
    readers = [*house.addresses(20), *(f"reader{number}@gmail.com" for number in range(20))]
    composed = house.issue(made, tmp_path, addresses=readers)
    (tmp_path / "second.md").write_text("# Thank you\n\nDear {{ name }}, thank you.\n")
    second = mailing.draft(made.parts, str(tmp_path / "second.md"), digest_key=house.DIGEST).mailing
    publish.send(made.parts, composed.issue)
    publish.release(made.parts, second)
    wait_for(lambda: sink.holding, what="a digest")
    first = told(made, tmp_path, "Soldiers at the gate")
    wait_for(lambda: over(made, first), what="the alert")
    assert len(sink.messages) == 40, "a digest went before it"

    sink.delay_seconds = lambda: 0.1
    held.clear()
    wait_for(lambda: len(sink.messages) > 43, what="the digests")
    held.set()
    again = told(made, tmp_path, "They are leaving")
    wait_for(lambda: any(b"They are leaving" in one.content for one in list(sink.messages)), what="the second alert")
    held.clear()
    wait_for(lambda: over(made, again), what="the second alert's end")
    assert not over(made, composed.mailing, second), "they had ended: the test proved nothing"
    sink.delay_seconds = lambda: 0.0
    wait_for(lambda: over(made, composed.mailing, second), what="the digests behind it")
