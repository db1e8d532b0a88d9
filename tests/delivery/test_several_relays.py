"""Several relays with a pace each: a sender gives to all of them at once."""

import time
from collections import Counter

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.delivery import paces, standing
from newsletter.ledger.mailings import Lane
from tests import house
from tests.delivery.test_carrying import status, under_way
from tests.fakes import smtp


@pytest.fixture
def other_sink():
    with smtp.running(smtp.Sink()) as serving:
        yield serving


@pytest.mark.parametrize(
    "whose", ["the relay's", pytest.param("taught by the relay", marks=pytest.mark.proof), "taught by the provider"]
)
def test_one_sender_uses_the_paces_of_two_relays(sink, other_sink, tmp_path, database_urls, whose):
    """Two relays at six a second were promised as twelve, and one sender used one of them: twice as long as was said."""
    rate = "rate=6&" if whose == "the relay's" else ""
    made = house.build(tmp_path, database_urls, f"{sink.url}?{rate}connections=2 {other_sink.url}?{rate}connections=2")
    mailing = under_way(made, tmp_path, 96)
    if not rate:
        made.sweep()
        with made.parts.database.transaction() as session:
            [provider] = session.execute(text("SELECT DISTINCT provider FROM shard")).scalars()
            for relay in made.parts.relays[Lane.BULK]:
                now = database.now(session)
                if whose == "taught by the relay":
                    standing.slow(session, relay, observed=12, now=now)
                else:
                    paces.slow(session, relay, provider, observed=12, now=now)
    began = time.monotonic()
    while status(made, mailing).due and time.monotonic() < began + 30:
        if not made.deliver("bulk", seconds=15):
            time.sleep(0.05)
    went = sorted((message.at, one.port) for one in (sink, other_sink) for message in one.messages)
    for many in (24, 48, 72):
        assert min(Counter(port for _, port in went[:many]).get(one.port, 0) for one in (sink, other_sink)) >= many / 3
    # A machine that has other things to do holds it up here and there, but not all along.
    quickest = min(after - before for (before, _), (after, _) in zip(went, went[24:], strict=False))
    assert quickest < 24 / 12 * 1.3, "one of them takes four seconds for as many"
    assert min(len(sink.messages), len(other_sink.messages)) >= 40
    had = [message.recipient for one in (sink, other_sink) for message in one.messages]
    assert sorted(had) == sorted(house.addresses(96)), "each of them once"
    assert (status(made, mailing).state, status(made, mailing).uncertain) == ("done", 0)
    made.close()


def test_a_second_relay_that_is_silent_keeps_nobody_waiting(other_sink, tmp_path, database_urls):
    """Its part of the shard goes by the first, and it is known to be away."""
    silent = smtp.Scripted(script={"BANNER": None})
    with smtp.running(silent):
        made = house.build(tmp_path, database_urls, f"{other_sink.url}?rate=40&weight=1000 {silent.url}?rate=40")
        mailing = under_way(made, tmp_path, 60)
        made.deliver("bulk", seconds=15)
        assert status(made, mailing).accepted == len(other_sink.messages) == 60
        with made.parts.database.transaction() as session:
            away = text("SELECT count(*) FROM relay_state WHERE closed_since IS NOT NULL")
            assert session.execute(away).scalar_one() == 1
        made.close()
