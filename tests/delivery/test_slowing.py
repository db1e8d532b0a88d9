"""What one refusal because of the pace costs: half of it, on the road that a real refusal takes, and raised step by step."""

import threading

import pytest
from sqlalchemy import text

from newsletter.journeys import publish
from tests import house

RELAY = "454 4.7.0 Throttling failure: Maximum sending rate exceeded"
PROVIDER = "450 4.7.28 Our system has detected an unusual rate of mail, try again later"
TAUGHT = {RELAY: "SELECT slowed_to FROM relay_state", PROVIDER: "SELECT rate FROM provider_pace"}
BEFORE = {
    RELAY: "UPDATE relay_state SET slowed_until = now() - interval '1 second'",
    PROVIDER: "UPDATE provider_pace SET changed_at = changed_at - interval '61 seconds'",
}


class Refusing:
    """Refuses some recipients, by their number from 1 on."""

    def __init__(self, said, numbers):
        self.said, self.numbers, self.heard = said, numbers, 0

    def __call__(self, _recipient):
        self.heard += 1
        return self.said if self.heard in self.numbers else None


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql)).scalar_one()


def change(made, sql):
    with made.parts.database.transaction() as session:
        session.execute(text(sql))


def sent(made, tmp_path, addresses):
    composed = house.issue(made, tmp_path, addresses=addresses)
    publish.send(made.parts, composed.issue)


@pytest.mark.parametrize("said", [RELAY, PROVIDER])
@pytest.mark.parametrize(("rate", "least"), [(14, 5), pytest.param(50, 15, marks=pytest.mark.proof)])
def test_one_refusal_halves_the_pace_and_it_is_raised_step_by_step(sink, tmp_path, database_urls, said, rate, least):
    """A relay of fourteen a second was taken to one in ten seconds by one word, and a digest to the day after."""
    sink.refuse = Refusing(said, {2 * rate + 2})
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4&rate={rate}")
    sent(made, tmp_path, house.addresses(rate * 6))
    made.deliver("bulk", seconds=30, until=lambda: sink.refuse.heard > 3 * rate)
    assert sink.refuse.heard > 2 * rate + 2, "nothing was refused: the test proved nothing"
    taught = ask(made, TAUGHT[said])
    assert least <= taught <= rate / 2
    change(made, BEFORE[said])
    change(made, "UPDATE shard SET not_before = now() WHERE state = 'open'")
    made.deliver("bulk", seconds=2)
    assert ask(made, TAUGHT[said]) == pytest.approx(min(taught * 1.5, rate)), "a minute later it is half as much again"
    made.close()


@pytest.mark.parametrize("said", [RELAY, PROVIDER])
def test_several_refusals_of_one_moment_halve_it_once(sink, tmp_path, database_urls, said):
    """Eight sessions that hear the same within a second or two have learned one thing, not eight."""
    sink.refuse = Refusing(said, {30, 31, 32, 33, 36, 40})
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=8&rate=14")
    sent(made, tmp_path, house.addresses(80))
    made.deliver("bulk", seconds=30, until=lambda: sink.refuse.heard > 44)
    assert sink.refuse.heard > 40
    assert 5 <= ask(made, TAUGHT[said]) <= 7
    made.close()


def test_a_relay_s_pace_is_what_all_senders_bring_it(sink, tmp_path, database_urls):
    """Each of two had half of it; whoever was refused knew of its own half alone, and left a quarter."""
    sink.refuse = Refusing(RELAY, {40})
    made, other = (house.build(tmp_path, database_urls, f"{sink.url}?connections=4&rate=14") for _ in range(2))
    sent(made, tmp_path, [f"r{n}@{host}" for n in range(30) for host in ("gmail.com", "outlook.com", "example.org")])
    how = {"seconds": 30, "until": lambda: sink.refuse.heard > 50}
    threads = [threading.Thread(target=one.deliver, args=("bulk",), kwargs=how) for one in (made, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 5 <= ask(made, TAUGHT[RELAY]) <= 7
    made.close()
    other.close()
