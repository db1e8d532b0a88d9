"""A relay that had no session for us, beside another of the setting: who has the mail, and who is waited for how long."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from newsletter.delivery import knocking, standing, throttle
from newsletter.journeys import joining
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit
from newsletter.subscribers.signup import Wish
from tests import house
from tests.delivery.test_crowding import Small, alarm, digest, few, overtook, until, working
from tests.delivery.test_failover import Full, alarmed
from tests.delivery.test_resting import Slow
from tests.fakes import smtp

SPENT = "454 4.7.0 Throttling failure: Daily message quota exceeded"


class Once(Full):
    """A server that has no session for the first who asks."""

    async def serve(self, reader, writer):
        await (super().serve if self.ever < 1 else super(Full, self).serve)(reader, writer)


def test_the_log_says_that_no_session_is_left_and_no_more_often_than_once_a_minute(tmp_path, database_urls):
    """Nothing was said of it anywhere, while `alerts send --wait` ended with: the worker's log says why."""
    with smtp.running(Full()) as full, capture_logs() as said:
        made = alarmed(tmp_path, database_urls, full.url)
        made.deliver("urgent", seconds=2)
        made.close()
    assert full.ever > 3
    [found] = [one for one in said if one["event"] == "no session left at a relay"]
    assert (found["log_level"], found["relay"], found["lane"]) == ("warning", f"127.0.0.1:{full.port}", "urgent")
    assert "too many concurrent connections" in found["why"]


def fill(session, relay):
    """Let a relay have said that its day is used up; return the time."""
    now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    standing.fill(session, relay, Limit.ACCOUNT_DAY, now=now)
    return now


def test_an_alert_waits_a_moment_for_a_session_and_asks_no_relay_whose_day_is_used_up(tmp_path, database_urls):
    """Each reader was put off by the other relay, for five minutes, a quarter of an hour, a half: again and again, for hours."""
    with smtp.running(Once()) as crowded, smtp.running(smtp.Sink(refuse=lambda _: SPENT)) as spent:
        made = alarmed(tmp_path, database_urls, f"{crowded.url}?weight=1000 {spent.url}")
        with made.parts.database.transaction() as session:
            fill(session, made.parts.relays[Lane.URGENT][1])
        began = time.monotonic()
        assert made.deliver("urgent", seconds=20) == len(crowded.messages) == 50
        assert time.monotonic() - began < 5
        assert not any(line.startswith("RCPT") for line in spent.said)
        made.close()


@pytest.mark.parametrize("lane", [Lane.URGENT, Lane.TRANSACTIONAL])
def test_a_full_relay_is_the_last_choice(newsletter, lane):
    """What a crowded one refuses to take from us the full one can have once its hour is over; and the full one alone is asked."""
    full, crowded = (Relay.parse(f"smtp://127.0.0.1:{port}") for port in (1, 2))
    with newsletter.parts.database.transaction() as session:
        now = fill(session, full)

        def choice(relays, **busy):
            return throttle.choose(session, relays, lane, chance=0.01, now=now, **busy)

        beside = throttle.Choice(crowded, later=True, instead=True)
        assert choice([full, crowded], crowded={crowded: 8.0}) == beside
        assert choice([full]) == throttle.Choice(full)
        assert choice([crowded], crowded={crowded: 8.0}) == throttle.Choice(crowded)


def test_a_relay_that_greets_slowly_has_the_mail_while_strangers_fill_the_other(tmp_path, database_urls):
    """It was given two seconds, since the other might have a session in a moment, and counted as away: no mail, for ever."""
    with smtp.running(Full()) as full, smtp.running(Slow(banner=3.0)) as slow:
        made = alarmed(tmp_path, database_urls, f"{full.url}?weight=1000 {slow.url}")
        assert made.deliver("urgent", seconds=40) == len(slow.messages) == 50
        made.close()


def test_who_waits_for_a_session_of_ours_waits_for_no_silent_relay(newsletter):
    """Ours give way within ten seconds, and then nobody knows: an alert waits two seconds for a silent one, then twenty."""
    crowded, slow = (Relay.parse(f"smtp://127.0.0.1:{port}") for port in (1, 2))
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT clock_timestamp()")).scalar_one()

        def choice(**how):
            return throttle.choose(session, [crowded, slow], Lane.URGENT, chance=0.5, now=now, **how)

        def due():
            standing.closed(session, slow, probe=-timedelta(seconds=1))

        ours, strangers = {"crowded": {crowded: 1.0}}, {"crowded": {crowded: 8.0}, "strange": {crowded}}
        assert choice(**ours) == throttle.Choice(slow, others=True, instead=True)
        assert choice(**strangers) == throttle.Choice(slow, later=True, instead=True)
        due()
        assert choice(**ours) == throttle.Choice(slow, probe=True, others=True, instead=True)
        due()
        assert choice(**strangers) == throttle.Choice(slow, probe=True, later=True, instead=True)
        assert knocking.BRIEF_SECONDS < knocking.LATER_SECONDS <= 20


def ask_for(made, tmp_path, lane):
    """Have something first to send: an alert, or a question to confirm."""
    if lane == "urgent":
        alarm(made, tmp_path)
    else:
        joining.ask(made.parts, Wish("few@example.org", "en", {"few": "weekly"}))
        joining.work(made.parts)


@pytest.mark.parametrize(("lane", "weight"), [("urgent", 1), ("transactional", 1000)], ids=["second", "first"])
def test_a_digest_keeps_no_session_while_its_shard_goes_on_elsewhere(tmp_path, database_urls, lane, weight):
    """It had ended its part there for the alert, and kept the session unused until its other relay had done: half a minute."""
    with (
        smtp.running(Small(delay_seconds=lambda: 0.1)) as small,
        smtp.running(smtp.Sink(), host="127.0.0.2") as wide,  # needs stand under the host
    ):
        small.most = 1
        ordinary = f"smtp://127.0.0.2:{wide.port}?rate=10&weight=30 {small.url}?rate=10&connections=1&weight={weight}"
        first = {f"relay_url_{lane}": f"{small.url}?rate=10&connections=1"}
        bulk, other = (house.build(tmp_path, database_urls, ordinary, **first) for _ in range(2))
        few(other, tmp_path)
        digest(bulk, tmp_path, 1600)
        with working("bulk", bulk):
            until(lambda: small.messages and len(wide.messages) > 10)
            ask_for(other, tmp_path, lane)
            with working(lane, other):
                assert overtook(small, "few", others=wide) < 50, "five seconds' worth"
        for one in (bulk, other):
            one.close()
