"""A nudge is a courtesy: it is quick, it may be lost, and it never hangs whoever sends it."""

import time

import redis

from newsletter.jobs import DELIVER, Nudger, eviction_policy, require_noeviction
from tests.fakes.ports import free_port


def test_a_dead_broker_costs_no_time(tmp_path):
    """Someone who unsubscribes must not wait for a machine that is down."""
    nudger = Nudger(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    assert not any(nudger.nudge(DELIVER["bulk"]) for _ in range(10))
    assert time.monotonic() - began < 1.5


def test_no_broker_is_no_error():
    """On a machine without Redis the lifeboat does all the work."""
    assert Nudger(None).nudge(DELIVER["urgent"]) is False


def test_a_nudge_lies_in_the_queue_of_its_lane(redis_url):
    """Urgent mail has workers of its own, so its nudge must not stand behind others."""
    assert Nudger(redis_url).nudge(DELIVER["urgent"])
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("newsletter:urgent") == 1


def test_a_broker_that_throws_jobs_away_is_refused(redis_url):
    """With allkeys-lru a full Redis loses jobs without a word."""
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("memory")["maxmemory_policy"]
    assert before == "noeviction"
    require_noeviction(redis_url)
    assert eviction_policy(redis_url) == "noeviction"
