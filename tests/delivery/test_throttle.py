"""Relays as they are: slow, limited by the day, away, and quick to punish who asks for more."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import budget, leasing, paces, quotas, standing, throttle, windows
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from newsletter.ledger.mailings import Lane
from newsletter.relay.opening import Unreachable
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit
from tests import house
from tests.fakes import smtp


@pytest.fixture
def other_sink():
    with smtp.running(smtp.Sink()) as serving:
        yield serving


@dataclass
class Counting(smtp.Scripted):
    """A scripted server that counts its sessions."""

    ever: int = 0

    async def serve(self, reader, writer):
        self.ever += 1
        await super().serve(reader, writer)


def sending(made, tmp_path, count):
    composed = house.issue(made, tmp_path, addresses=house.addresses(count))
    publish.send(made.parts, composed.issue)
    return composed.mailing


def alarm(made, tmp_path):
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


def status(made, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def change(made, sql, **facts):
    with made.parts.database.transaction() as session:
        session.execute(text(sql), facts)


def at_once(*jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_two_workers_together_keep_the_pace_of_one_relay(sink, tmp_path, database_urls):
    """The relay counts messages, not processes: a second worker must not double what it is given."""
    url = f"{sink.url}?rate=60&connections=2"
    first, second = (house.build(tmp_path, database_urls, url) for _ in range(2))
    house.add_readers(
        first, tmp_path, [f"r{n}@{host}" for n in range(40) for host in ("gmail.com", "outlook.com", "example.org")]
    )
    house.add_articles(first, tmp_path, "The well runs dry")
    composed = publish.compose(first.parts, house.DIGEST)
    publish.send(first.parts, composed.issue)
    at_once(lambda: first.deliver("bulk", seconds=30), lambda: second.deliver("bulk", seconds=30))
    times = sorted(message.at for message in sink.messages)
    first.close()
    second.close()
    assert len(times) == 120
    for start in times:
        # A busy machine may bring to the wire a little late what it was given first.
        assert sum(start <= at < start + 0.9 for at in times) <= 60, "a second that holds more than its pace"
    assert times[-1] - times[0] >= (120 - 30) / 60 * 0.9


def test_service_mail_gets_its_fifth_while_a_digest_has_the_relay(sink, tmp_path, database_urls):
    """Somebody asks for a confirmation while forty thousand newsletters wait in front."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?rate=20")
    sending(made, tmp_path, 400)
    (tmp_path / "m.md").write_text("# A test\n\nHello.\n")
    drafted = journey.draft(made.parts, str(tmp_path / "m.md"), digest_key=house.DIGEST).mailing
    service = house.build(tmp_path, database_urls, f"{sink.url}?rate=20")
    asked: dict[str, float] = {}

    through = threading.Event()

    def tests() -> None:
        try:
            for number in range(3):
                time.sleep(0.8)
                asked[f"me{number}@example.net"] = time.monotonic()
                journey.test(service.parts, drafted, f"me{number}@example.net")
                service.deliver("transactional", seconds=10)
        finally:
            through.set()

    def digest() -> None:
        # However long the tests take on a busy machine.
        while not through.is_set():
            made.deliver("bulk", seconds=1)
        made.deliver("bulk", seconds=1)

    at_once(digest, tests)
    bulk = [message.at for message in sink.messages if message.recipient.startswith("reader")]
    # Counted and not timed: what a test takes to be made on a busy machine is no wait for the relay.
    overtook = [sum(when < at < sink.messages_for(address)[0].at for at in bulk) for address, when in asked.items()]
    made.close()
    service.close()
    assert max(overtook) < 3 * 20
    assert max(bulk) > max(asked.values()), "the digest had ended: the test proved nothing"


def test_a_digest_leaves_the_reserve_to_the_night_s_alert(sink, tmp_path, database_urls):
    """Who has used up the day's quota in the morning cannot warn anybody at night."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?daily=200&reserve=120")
    composed = house.issue(made, tmp_path, addresses=house.addresses(120))
    told = journey.promise(made.parts, composed.mailing)
    assert told.by_day == (76, 44)
    assert told.held_by == "reserve"
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=10)
    assert status(made, composed.mailing).accepted == 76, "200 less 120 for alerts and 4 for service mail"
    assert made.deliver("bulk", seconds=5) == 0
    urgent = alarm(made, tmp_path)
    made.deliver("urgent", seconds=10)
    assert status(made, urgent).accepted == 120
    change(made, "UPDATE relay_use SET minute = minute - interval '23 hours 58 minutes'")
    change(made, "UPDATE shard SET not_before = now()")
    assert made.deliver("bulk", seconds=5) == 0, "not before the last of it is a day old"
    change(made, "UPDATE relay_use SET minute = minute - interval '3 minutes'")
    change(made, "UPDATE shard SET not_before = now()")
    made.deliver("bulk", seconds=10)
    assert status(made, composed.mailing).accepted == 120, "the next day it goes on where it stood"
    made.close()


def test_a_relay_that_is_away_is_replaced_and_asked_again_now_and_then(sink, other_sink, tmp_path, database_urls):
    """One of two relays fails on the night: nobody waits, nobody knocks on a dead door four times a second."""
    knocks = smtp.Scripted(script={"BANNER": None})
    with smtp.running(knocks):
        made = house.build(tmp_path, database_urls, f"{knocks.url}?weight=1000 {other_sink.url}?weight=1")
        mailing = sending(made, tmp_path, 50)
        for _ in range(5):
            made.deliver("bulk", seconds=2)
        assert status(made, mailing).accepted == len(other_sink.messages) == 50
        [row] = ask(made, "SELECT closed_since, closed_until FROM relay_state WHERE closed_until IS NOT NULL")
        assert row.closed_until - row.closed_since >= timedelta(seconds=9)
        knocks.script["BANNER"] = b"220 back\r\n"
        change(made, "UPDATE relay_state SET closed_until = now() - interval '1 second' WHERE closed_until IS NOT NULL")
        house.add_articles(made, tmp_path, "A second story")
        second = publish.compose(made.parts, house.DIGEST)
        publish.send(made.parts, second.issue)
        made.deliver("bulk", seconds=5)
        assert len(knocks.messages) == 50, "it is back within a probe"
        assert ask(made, "SELECT 1 FROM relay_state WHERE closed_until IS NOT NULL") == []
        made.close()


def test_a_dead_relay_is_knocked_at_once_in_ten_seconds(tmp_path, database_urls):
    """Eight sessions with three tries each would be a flood for a server that is just getting up."""
    dead = Counting(script={"BANNER": None})
    with smtp.running(dead):
        made = house.build(tmp_path, database_urls, f"{dead.url}?connections=8")
        mailing = sending(made, tmp_path, 50)
        for knocks in (1, 2, 3):
            with pytest.raises(Unreachable):
                made.deliver("bulk", seconds=2)
            assert made.deliver("bulk", seconds=2) == 0
            assert dead.ever == knocks
            change(made, "UPDATE relay_state SET closed_until = now() - interval '1 second'")
        dead.script["BANNER"] = b"220 back\r\n"
        made.deliver("bulk", seconds=10)
        assert status(made, mailing).accepted == 50
        made.close()


def test_a_relay_whose_sessions_others_of_us_have_is_not_away(tmp_path, database_urls):
    """It serves the other worker well: to call it dead would stop both for ten seconds."""
    full = smtp.Scripted(script={"BANNER": b"421 4.7.0 Error: too many concurrent connections\r\n"})
    with smtp.running(full):
        made = house.build(tmp_path, database_urls, full.url)
        mailing = sending(made, tmp_path, 5)
        assert made.deliver("bulk", seconds=2) == 0
        assert ask(made, "SELECT 1 FROM relay_state WHERE closed_until IS NOT NULL") == []
        full.script["BANNER"] = b"220 room again\r\n"
        time.sleep(0.3)  # a crowded relay is not asked again at once
        made.deliver("bulk", seconds=5)
        assert status(made, mailing).accepted == 5
        made.close()


def test_only_one_process_probes_a_relay_that_was_away(newsletter):
    """Twenty workers that all try at once are an attack on a server that is just getting up."""
    relay = Relay.parse("smtp://127.0.0.1:9")
    with newsletter.parts.database.transaction() as session:
        standing.closed(session, relay)
        now = session.execute(text("SELECT now()")).scalar_one()
        assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=now) == throttle.Choice(None, "away")
        session.execute(text("UPDATE relay_state SET closed_until = now() - interval '1 second'"))
        assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=now) == throttle.Choice(
            relay, None, probe=True
        )
        assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=now).relay is None
        standing.answered(session, relay)
        assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=now).relay == relay


def test_weights_share_the_mail(newsletter):
    """A relay with three times the weight takes three times the shards."""
    relays = [Relay.parse("smtp://127.0.0.1:1?weight=3"), Relay.parse("smtp://127.0.0.1:2?weight=1")]
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        found = Counter(
            throttle.choose(session, relays, Lane.BULK, chance=place / 100, now=now).relay.port for place in range(100)
        )
    assert found == {1: 75, 2: 25}


def test_a_provider_that_asks_for_less_gets_half_and_recovers_step_by_step(sink, tmp_path, database_urls):
    """Whoever keeps knocking is blocked; whoever never comes back to pace sends all night."""
    sink.refuse = lambda recipient: "421 4.7.28 unusual rate of mail, try again" if "gmail" in recipient else None
    made = house.build(tmp_path, database_urls, sink.url)
    house.add_readers(made, tmp_path, [f"r{n}@{host}" for n in range(20) for host in ("gmail.com", "example.org")])
    house.add_articles(made, tmp_path, "The well runs dry")
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=10)
    assert status(made, composed.mailing).accepted == 20, "the other provider's readers did not wait"
    [(provider, rate)] = ask(made, "SELECT provider, rate FROM provider_pace")
    assert provider == "google"
    assert rate > 0
    change(made, "UPDATE provider_pace SET rate = 100")  # what was measured here depends on the machine
    rate = 100
    with made.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        relay = Relay.parse(sink.url)
        paces.slow(session, relay, "google", observed=500, now=now)
        assert session.execute(text("SELECT rate FROM provider_pace")).scalar_one() == rate, "once in ten seconds"
        granted = throttle.grant(session, relay, Lane.BULK, "google", 10_000, now=now).messages
        assert granted <= rate
        later = now + timedelta(seconds=61)
        throttle.grant(session, relay, Lane.BULK, "google", 1, now=later)
        assert session.execute(text("SELECT rate FROM provider_pace")).scalar_one() == pytest.approx(rate * 1.5)
        for step in range(40):
            throttle.grant(session, relay, Lane.BULK, "google", 1, now=later + timedelta(seconds=61 * (step + 1)))
        assert session.execute(text("SELECT count(*) FROM provider_pace")).scalar_one() == 0, "forgotten in the end"
    made.close()


def test_a_relay_s_own_limits_are_learned_from_its_refusals(sink, tmp_path, database_urls):
    """ "454 Throttling failure" is said to the account, not of a reader: the pace is halved and nobody is suppressed."""
    sink.refuse = lambda _recipient: "454 4.7.0 Throttling failure: Maximum sending rate exceeded"
    made = house.build(tmp_path, database_urls, sink.url)
    mailing = sending(made, tmp_path, 30)
    made.deliver("bulk", seconds=5)
    [row] = ask(made, "SELECT slowed_to FROM relay_state")
    assert row.slowed_to > 0
    sink.refuse = lambda _recipient: "454 4.7.0 Throttling failure: Daily message quota exceeded"
    change(made, "UPDATE delivery SET due_at = now() WHERE state = 'deferred'")
    made.sweep()
    made.deliver("bulk", seconds=5)
    assert ask(made, "SELECT 1 FROM relay_state WHERE full_until > now() + interval '50 minutes'")
    sink.refuse = lambda _recipient: None
    change(made, "UPDATE delivery SET due_at = now() WHERE state = 'deferred'")
    made.sweep()
    assert made.deliver("bulk", seconds=2) == 0, "bulk mail waits an hour"
    urgent = alarm(made, tmp_path)
    made.deliver("urgent", seconds=20)
    assert status(made, urgent).accepted == 30, "an alert asks all the same"
    assert ask(made, "SELECT 1 FROM suppression") == []
    assert status(made, mailing).due == 30
    made.close()


def test_the_promise_knows_what_was_learned_from_refusals(sink, tmp_path, database_urls):
    """ "Done in a minute", said of a relay that has just asked for half the pace, is what people remember of a program."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?rate=100")
    composed = house.issue(made, tmp_path, addresses=[*house.addresses(200), "ann@gmail.com", "ben@gmail.com"])
    relay = made.parts.relays[Lane.BULK][0]

    def promised():
        with made.parts.database.transaction() as session:
            now = session.execute(text("SELECT now()")).scalar_one()
        found = journey.promise(made.parts, composed.mailing)
        return (found.ends_at - now).total_seconds(), found.held_by

    assert promised()[0] == pytest.approx(2, abs=0.5)
    with made.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        standing.slow(session, relay, observed=4, now=now)
    assert promised()[0] == pytest.approx(60 + 82 / 3, abs=2), "120 in the first minute, and then three a second"
    publish.send(made.parts, composed.issue)
    with made.parts.database.transaction() as session:
        paces.slow(session, relay, "google", observed=0.1, now=now)
    change(made, "UPDATE relay_state SET slowed_to = NULL, slowed_until = NULL")
    made.sweep()
    assert promised() == (pytest.approx(20, abs=2), "provider"), "two at one in ten seconds"
    with made.parts.database.transaction() as session:
        standing.fill(session, relay, Limit.ACCOUNT_DAY, now=now)
    assert promised() == (pytest.approx(3602, abs=3), "full")
    with made.parts.database.transaction() as session:
        [bears] = quotas.limits(session, [relay], Lane.URGENT, now=now)
    assert bears.full_until is None, "an alert asks all the same"
    made.close()


def test_a_young_relay_gets_little_on_its_first_days_and_an_alert_all_the_same(newsletter):
    """A new sender that writes to a million on its first day is a spammer to every provider; but danger does not wait."""
    relay = Relay.parse("smtp://relay.example:25")
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        granted = sum(throttle.grant(session, relay, Lane.BULK, "other", 250, now=now).messages for _ in range(4))
        assert granted == 500
        assert throttle.choose(session, [relay], Lane.BULK, chance=0.5, now=now) == throttle.Choice(None, "warm-up")
        assert throttle.grant(session, relay, Lane.URGENT, "other", 250, now=now).messages == 250
        tomorrow = now + timedelta(days=1, minutes=2)
        second = sum(throttle.grant(session, relay, Lane.BULK, "other", 250, now=tomorrow).messages for _ in range(6))
        assert second == 1000
        standing.warm(session, relay, now=now)
        assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=tomorrow).messages == 250


def test_the_promise_for_a_young_relay_follows_its_plan(newsletter):
    """Five thousand readers, a relay of today: the last of them reads on the fourth day, and the operator knows it now."""
    relay = Relay.parse("smtp://relay.example:25?rate=100")
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        bears = quotas.limits(session, [relay], Lane.BULK, now=now)
    promise = budget.promise(5000, bears, now=now)
    assert sum(promise.by_day) == 5000
    assert promise.held_by == "warm-up"
    assert timedelta(days=3) <= promise.ends_at - now <= timedelta(days=4)


@pytest.mark.parametrize(("sending_lane", "left"), [(Lane.BULK, 80), (Lane.URGENT, 98), (Lane.TRANSACTIONAL, 100)])
def test_an_hour_holds_as_much_as_was_agreed(newsletter, sending_lane, left):
    """Relays that count by the hour refuse everything for the rest of it."""
    relay = Relay.parse("smtp://127.0.0.1:9?hourly=100")
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        first = throttle.grant(session, relay, sending_lane, "other", 250, now=now)
        assert first.messages == left, "a fifth is kept for service mail, and an alert may use most of that"
        assert throttle.grant(session, relay, sending_lane, "other", 250, now=now).why == "hourly"
        assert throttle.choose(session, [relay], sending_lane, chance=0.5, now=now) == throttle.Choice(None, "hourly")
        later = now + timedelta(minutes=61)
        assert throttle.grant(session, relay, sending_lane, "other", 250, now=later).messages == left


def test_a_relay_that_queues_may_be_given_more_at_once(newsletter):
    """A relay of one's own takes a thousand into its queue and sends them at its pace."""
    now = datetime.now(UTC)
    with newsletter.parts.database.transaction() as session:
        for url, at_once in (("smtp://127.0.0.1:8?rate=20", 5), ("smtp://127.0.0.1:9?rate=20&ahead=200", 200)):
            relay = Relay.parse(url)
            assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=now).messages == at_once
            assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=now).messages == 0
            soon = now + timedelta(seconds=1)
            assert throttle.grant(session, relay, Lane.BULK, "other", 250, now=soon).messages in (5, 20)


def test_what_was_granted_and_not_begun_is_given_back_whole(newsletter):
    """A window that closed early must not cost the relay, the lane or the provider a part of their pace."""
    relay = Relay.parse("smtp://127.0.0.1:9?rate=40&daily=1000")
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        paces.slow(session, relay, "google", observed=80, now=now)
        for _ in range(5):
            granted = throttle.grant(session, relay, Lane.BULK, "google", 250, now=now).messages
            assert granted == 10
            throttle.refund(session, relay, Lane.BULK, "google", [now] * granted, now=now)
        assert throttle.known(session, relay, Lane.BULK, now=now).left == 800


def test_each_lane_may_have_a_relay_of_its_own(sink, other_sink, tmp_path, database_urls):
    """The road of alerts must not be the one that two hundred thousand newsletters are queued on."""
    made = house.build(tmp_path, database_urls, sink.url, relay_url_urgent=other_sink.url)
    sending(made, tmp_path, 5)
    made.deliver("bulk", seconds=5)
    assert (len(sink.messages), len(other_sink.messages)) == (5, 0)
    alarm(made, tmp_path)
    made.deliver("urgent", seconds=5)
    assert (len(sink.messages), len(other_sink.messages)) == (5, 5)
    made.close()


def test_what_is_held_or_refused_costs_no_quota(sink, tmp_path, database_urls):
    """What was granted to readers of a held version, or of a stopped mailing, is nobody's: the day is there for others."""
    url = f"{sink.url}?daily=1000"
    made = house.build(tmp_path, database_urls, url)
    sending(made, tmp_path, 30)
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE variant SET held = 'mistake'"))
    made.deliver("bulk", seconds=3)
    assert ask(made, "SELECT sum(used) FROM relay_use") == [(0,)]
    assert ask(made, "SELECT DISTINCT state, reason FROM delivery") == [("cancelled", "mistake")]
    house.add_articles(made, tmp_path, "A second story")
    second = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, second.issue)
    with made.parts.database.transaction() as session:
        work = leasing.lease(session, "bulk", owner="x:1", journals=tmp_path / "journals")
    journey.stop(made.parts, second.mailing)
    assert windows.open(made.parts.database, work.lease, work.rows, relay=Relay.parse(url)) is None
    assert ask(made, "SELECT sum(used) FROM relay_use") == [(0,)]
    made.close()


def test_the_last_answers_teach_too(sink, tmp_path, database_urls):
    """A confirmation is a shard of one: what the relay says to it must not be forgotten because nothing followed."""
    sink.refuse = lambda _recipient: "454 4.7.0 Throttling failure: Maximum sending rate exceeded"
    made = house.build(tmp_path, database_urls, sink.url)
    sending(made, tmp_path, 1)
    made.deliver("bulk", seconds=3)
    [(slowed,)] = ask(made, "SELECT slowed_to FROM relay_state")
    assert 0 < slowed <= 20
    made.close()


def test_what_the_relay_says_before_it_hears_of_a_reader_slows_the_relay_alone(tmp_path, database_urls):
    """Postfix's "too much mail" slowed Gmail, Outlook and Yahoo in turn, at every relay, and never the one that said it."""
    server = smtp.Scripted(script={"MAIL": b"450 4.7.1 Error: too much mail from 192.0.2.1\r\n"})
    with smtp.running(server):
        made = house.build(tmp_path, database_urls, server.url)
        house.add_readers(made, tmp_path, [f"r{n}@{host}" for n in range(9) for host in ("gmail.com", "outlook.com")])
        house.add_articles(made, tmp_path, "The well runs dry")
        publish.send(made.parts, publish.compose(made.parts, house.DIGEST).issue)
        made.deliver("bulk", seconds=4)
        assert ask(made, "SELECT 1 FROM provider_pace") == []
        [(slowed,)] = ask(made, "SELECT slowed_to FROM relay_state")
        assert slowed > 0
        made.close()


def test_nobody_is_lost_to_a_full_day_that_is_said_with_a_final_code(sink, tmp_path, database_urls):
    """Gmail says 550 when the day is used up: all are asked again tomorrow, and few are asked today."""
    sink.refuse = lambda _recipient: "550 5.4.5 Daily user sending limit exceeded."
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=2")
    mailing = sending(made, tmp_path, 3000)
    for _ in range(3):
        made.deliver("bulk", seconds=3)
    told = status(made, mailing)
    assert (told.rejected, told.due) == (0, 3000)
    assert ask(made, "SELECT 1 FROM relay_state WHERE full_until > now() + interval '50 minutes'")
    assert sum(line.startswith("RCPT") for line in sink.said) <= 300, "a window's worth"
    made.close()


def test_a_relay_that_has_had_enough_of_the_day_is_left_in_peace_at_once(sink, tmp_path, database_urls):
    """It went on being asked for six seconds and a thousand readers, each of whom waits five minutes longer for it."""
    sink.refuse = lambda _recipient: "454 4.7.0 Throttling failure: Daily message quota exceeded"
    made = house.build(tmp_path, database_urls, f"{sink.url}?rate=200&daily=50000&connections=2")
    mailing = sending(made, tmp_path, 1500)
    made.deliver("bulk", seconds=6)
    assert sum(line.startswith("RCPT") for line in sink.said) <= 60, "a quarter of a second's worth"
    assert ask(made, "SELECT sum(used) FROM relay_use")[0][0] <= 60, "what was not asked costs no quota"
    assert status(made, mailing).due == 1500
    made.close()


def test_a_shard_under_way_heeds_what_another_child_has_learned(sink, tmp_path, database_urls):
    """Seven children would go on at full speed to the end of their two thousand, at a provider that has just said "slow down"."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1")
    sink.refuse = lambda _recipient: time.sleep(0.002)  # some five hundred a second
    mailing = sending(made, tmp_path, 2000)
    relay = made.parts.relays[Lane.BULK][0]
    sender = threading.Thread(target=lambda: made.deliver("bulk", seconds=6))
    sender.start()
    while not sink.messages:
        time.sleep(0.01)
    with made.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        paces.slow(session, relay, "other", observed=4, now=now)
    time.sleep(2)
    heeded = len(sink.messages)
    sender.join(20)
    assert heeded < 1900, "it had ended: the test proved nothing"
    assert len(sink.messages) - heeded <= 2 * 4 + 2
    assert status(made, mailing).uncertain == 0
    made.close()
