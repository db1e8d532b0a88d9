"""A relay that counts any second, and takes its time to answer, is never brought more than its rate, and not much less."""

import random
import time

import pytest

from newsletter.journeys import alert, publish
from tests import house
from tests.fakes import smtp
from tests.journeys import workers

RATE = 14
SECOND = 0.99
"""What of a second is counted here: sender, database and relay share two busy cores, on which a thread waits for its turn."""
WARM = 20


class Counting:
    """Remembers when each recipient was named, and refuses nobody."""

    def __init__(self):
        self.times = []

    def __call__(self, _recipient):
        self.times.append(time.monotonic())

    @property
    def most(self):
        return max(sum(start <= at < start + SECOND for at in self.times) for start in self.times)

    @property
    def pace(self):
        """Messages a second, without the start, in which sessions are opened."""
        steady = self.times[WARM:]
        return (len(steady) - 1) / (steady[-1] - steady[0])


def held(most):
    """Return how long a relay thinks about each message."""
    dice = random.Random(1)
    return lambda: dice.uniform(0, most)


@pytest.mark.proof
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seconds", [0, 0.4])
def test_no_second_of_a_slow_relay_holds_more_than_its_rate(tmp_path, database_urls, redis_url, seconds):
    """Whoever is told fourteen a second counts as it pleases: what was introduced behind a message that it still held came late."""
    counting = Counting()
    with smtp.running(smtp.Sink(refuse=counting, delay_seconds=held(seconds))) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=8&rate={RATE}", redis_url=redis_url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(600))
        with workers.working(made, "bulk", log=tmp_path / "bulk.log"):
            publish.send(made.parts, composed.issue)
            time.sleep(30)
        made.close()
    assert counting.most <= RATE
    assert counting.pace >= 12.5, "13.4 where nobody else has the cores"


@pytest.mark.proof
@pytest.mark.timeout(120)
def test_nor_where_a_digest_and_an_alert_share_it(tmp_path, database_urls, redis_url):
    """Two senders that each keep to what they were given must not meet in one second at the relay."""
    counting = Counting()
    with smtp.running(smtp.Sink(refuse=counting, delay_seconds=held(0.4))) as sink:
        made = house.build(tmp_path, database_urls, f"{sink.url}?connections=8&rate={RATE}", redis_url=redis_url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(600))
        (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
        with (
            workers.working(made, "bulk", log=tmp_path / "bulk.log"),
            workers.working(made, "urgent", log=tmp_path / "urgent.log"),
        ):
            publish.send(made.parts, composed.issue)
            time.sleep(10)
            alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
            time.sleep(25)
        made.close()
    assert counting.most <= RATE
    assert counting.pace >= 11.5, "what the alert leaves to the digest is a tenth, asked for one by one"
