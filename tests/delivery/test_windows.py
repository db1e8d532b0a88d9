"""A window is open for half a second from its question, whatever it waited for before."""

import threading
import time
from datetime import UTC, datetime, timedelta

from newsletter.delivery import leasing, standing, throttle, windows
from newsletter.journeys import publish
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from tests import house


def test_a_window_that_waited_for_the_budget_is_open_all_the_same(newsletter, tmp_path):
    """Seven children ask one after the other: whoever waits half a second for the relay's lock would send nothing, ever."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(5))
    publish.send(newsletter.parts, composed.issue)
    relay, parts, locked = Relay.parse("smtp://127.0.0.1:9?rate=100"), newsletter.parts, threading.Event()
    with parts.database.transaction() as session:
        work = leasing.lease(session, Lane.BULK, owner="a test", journals=tmp_path)
        standing.answered(session, relay)
        throttle.grant(session, relay, Lane.BULK, "other", 1, now=work.lease.planned_at - timedelta(hours=1))

    def hold():
        with parts.database.transaction() as session:
            standing.locked(session, relay)
            locked.set()
            time.sleep(0.7)

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    window = windows.open(parts.database, work.lease, work.rows, relay=relay)
    holder.join(10)
    assert (len(window.allowed), window.is_open) == (5, True)


def granted(ago):
    """Return the moment of a grant so many seconds ago."""
    return windows.Clock(datetime(2026, 6, 1, tzinfo=UTC), windows.boot_seconds() - ago)


def test_a_grant_that_lies_longer_on_its_way_than_they_usually_do_is_late():
    """From a database a tenth of a second away all come a tenth later: only what comes later than those can meet them."""
    way = windows.Way()
    assert way.late(granted(ago=0.05)), "nothing is known of a way yet"
    for ago in (0.1, 0.11, 0.09):
        way.came(granted(ago=ago))
    assert [way.late(granted(ago=ago)) for ago in (0.01, 0.1, 0.115, 0.13)] == [False, False, False, True]
    for _ in range(30):
        way.came(granted(ago=0.01))
    assert way.late(granted(ago=0.1)), "it is near again"
