"""One relay of several refuses us once it has greeted us: another has the mail at once, and nothing is held or halted for it."""

from contextlib import suppress
from itertools import product

import pytest
from sqlalchemy import text

from newsletter.delivery import standing, throttle
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from newsletter.ledger.mailings import Lane
from newsletter.relay.opening import Unreachable
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Limit
from tests import house
from tests.fakes import smtp

HOSTS = ("gmail.com", "outlook.com", "a.example")
READERS = [f"reader{number}@{host}" for host in HOSTS for number in range(20)]
ALL = len(READERS)


@pytest.fixture
def other_sink():
    with smtp.running(smtp.Sink()) as serving:
        yield serving


def two(tmp_path, database_urls, first, second):
    """Return a product that asks the first of two relays wherever it may."""
    return house.build(tmp_path, database_urls, f"{first.url}?weight=1000&connections=4 {second.url}?connections=4")


def alarmed(made, tmp_path, readers=READERS):
    house.add_readers(made, tmp_path, readers)
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)


def let_go(made, tmp_path, lane, readers, *, article="The well runs dry"):
    """Send a digest, or an alert where the lane is the urgent one; return its number."""
    if lane == "urgent":
        return alarmed(made, tmp_path, readers)
    house.add_readers(made, tmp_path, readers)
    house.add_articles(made, tmp_path, article)
    composed = publish.compose(made.parts, house.DIGEST)
    publish.send(made.parts, composed.issue)
    return composed.mailing


def turns(made, lane, *, times=3):
    """Deliver, and again what was put off for a moment."""
    for _ in range(times):
        made.sweep()
        made.deliver(lane, seconds=10)
        soon = "UPDATE delivery SET due_at = now() WHERE state = 'deferred' AND due_at < now() + interval '2 seconds'"
        with made.parts.database.transaction() as session:
            session.execute(text(soon))
        if not ask(made, "SELECT 1 FROM delivery WHERE state IN ('planned', 'deferred') LIMIT 1"):
            return


def status(made, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def asked(sink):
    return sum(line.startswith("RCPT") for line in sink.said)


SUSPENDED = "550 5.7.1 Relaying denied: this account is suspended"


REFUSED = {
    SUSPENDED: True,
    "530 5.7.0 Authentication required": True,
    "452 4.3.1 Insufficient system storage": True,
    "454 4.7.0 Throttling failure: Daily message quota exceeded": False,
    "550 5.4.5 Daily user sending limit exceeded.": False,
}


def test_an_alert_has_the_other_relay_at_once(tmp_path, database_urls):
    """Three hundred never had it, and two providers waited for an hour, while another relay had nothing to do."""
    for said, closed in REFUSED.items():
        with (
            smtp.running(smtp.Sink(refuse=lambda _recipient, said=said: said)) as sink,
            smtp.running(smtp.Sink()) as other,
        ):
            made = two(tmp_path, database_urls, sink, other)
            before = {name for (name,) in ask(made, "SELECT name FROM relay_state")}
            number = alarmed(made, tmp_path)
            turns(made, "urgent")
            found = status(made, number)
            assert (found.state, found.accepted, len(other.messages)) == ("done", ALL, ALL), said
            assert 0 < asked(sink) <= 30, f"three in a row, and what was on the wire: {said}"
            assert ask(made, "SELECT 1 FROM tally WHERE held_until IS NOT NULL") == [], said
            states = "SELECT name, closed_until > now() + interval '30 seconds', full_until > now() FROM relay_state"
            [(away, full)] = [state for name, *state in ask(made, states) if name not in before]
            assert (bool(away), bool(full)) == (closed, not closed), said
            made.close()


def test_what_is_said_before_a_reader_is_named_or_after_is_the_relay_s(tmp_path, database_urls):
    """At MAIL no reader was named; and what is final behind the body was no word of the reader either."""
    for at, said in (
        ("MAIL", b"451 4.7.1 try again later"),
        ("MAIL", b"550 5.7.1 Blocked, see our policy"),
        ("MAIL", b"554 5.3.0 Service temporarily unavailable"),
        ("BODY", b"554 5.3.0 Service temporarily unavailable"),
    ):
        server = smtp.Scripted(script={at: said + b"\r\n"})
        with smtp.running(server), smtp.running(smtp.Sink()) as other:
            made = two(tmp_path, database_urls, server, other)
            number = alarmed(made, tmp_path)
            turns(made, "urgent")
            assert status(made, number).accepted == len(other.messages) == ALL, f"{at}: {said!r}"
            made.close()


def test_a_digest_goes_on_by_the_other_relay(sink, other_sink, tmp_path, database_urls):
    """One of two accounts is suspended: nobody need get up for that."""
    sink.refuse_body = lambda _recipient: "554 Message rejected: Sending suspended for this account."
    made = two(tmp_path, database_urls, sink, other_sink)
    composed = house.issue(made, tmp_path, addresses=READERS)
    publish.send(made.parts, composed.issue)
    turns(made, "bulk")
    found = status(made, composed.mailing)
    assert (found.state, found.halted, found.accepted) == ("done", None, ALL)
    made.close()


def test_where_both_refuse_a_digest_halts_and_an_alert_is_held_and_nobody_is_lost(
    sink, other_sink, tmp_path, database_urls
):
    """Only then is there nothing left to do but to tell somebody."""
    sink.refuse = other_sink.refuse = lambda _recipient: SUSPENDED
    made = two(tmp_path, database_urls, sink, other_sink)
    composed = house.issue(made, tmp_path, addresses=READERS)
    publish.send(made.parts, composed.issue)
    turns(made, "bulk")
    found = status(made, composed.mailing)
    assert (found.state, found.halted, found.due) == ("paused", "sender", ALL)
    number = alarmed(made, tmp_path)
    turns(made, "urgent")
    assert status(made, number).due == ALL
    held = ask(made, f"SELECT count(*) FROM tally WHERE mailing_id = {number} AND held_until > now()")
    assert held[0][0] > 0
    sink.refuse = other_sink.refuse = lambda _recipient: None
    for one in (composed.mailing, number):
        journey.resume(made.parts, one)
    for lane in ("bulk", "urgent"):
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
            session.execute(text("UPDATE tally SET held_until = now() WHERE held_until > now()"))
        turns(made, lane)
    assert [status(made, one).accepted for one in (composed.mailing, number)] == [ALL, ALL]
    made.close()


def minutes(made, lane, *, times):
    """Let minute after minute go by: every closed relay is asked again, and whoever was put off is due."""
    for _ in range(times):
        with suppress(Unreachable):
            made.deliver(lane, seconds=10)
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE relay_state SET closed_until = now() WHERE closed_until IS NOT NULL"))
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
            session.execute(text("UPDATE shard SET not_before = now() WHERE state = 'open'"))
        made.sweep()


AWAY = ({"BANNER": b"421 4.3.2 back soon\r\n"}, {"MAIL": b"451 4.3.2 back soon\r\n"})


@pytest.mark.parametrize("lane", ["bulk", "urgent"])
def test_a_relay_that_is_away_for_a_while_is_waited_for(tmp_path, database_urls, lane):
    """A mailing was halted, and an alert held for an hour, because nothing could carry it: minutes before one relay was back."""
    for refusing, away in product(("BANNER", "MAIL"), AWAY):
        case = f"{refusing} {away}"
        passing = smtp.Scripted(script=dict(away))
        strict = smtp.Scripted(script={refusing: b"550 5.7.1 Relaying denied: this account is suspended\r\n"})
        with smtp.running(passing), smtp.running(strict):
            made = two(tmp_path, database_urls, passing, strict)
            number = let_go(made, tmp_path, lane, READERS[:5], article=case)
            made.sweep()
            minutes(made, lane, times=4)
            found = status(made, number)
            assert (found.state, found.halted, found.due) == ("sending", None, 5), case
            assert ask(made, "SELECT 1 FROM tally WHERE held_until IS NOT NULL") == [], case
            passing.script.clear()
            minutes(made, lane, times=2)
            assert status(made, number).accepted == len(passing.messages) == 5, case
            made.close()


@pytest.mark.parametrize("lane", ["bulk", "urgent"])
def test_a_relay_that_has_used_up_its_hour_is_waited_for(sink, tmp_path, database_urls, lane):
    """A mailing was halted by the account of one relay although the other would have had it within the hour."""
    strict = smtp.Scripted(script={"MAIL": SUSPENDED.encode() + b"\r\n"})
    with smtp.running(strict):
        relays = f"{sink.url}?weight=1000&connections=4&hourly=10 {strict.url}?connections=4"
        made = house.build(tmp_path, database_urls, relays)
        number = let_go(made, tmp_path, lane, READERS[:30])
        made.sweep()
        minutes(made, lane, times=4)
        found = status(made, number)
        assert (found.state, found.halted, found.accepted) == ("sending", None, len(sink.messages))
        assert 0 < found.accepted <= 10, "what the hour allows"
        assert ask(made, "SELECT 1 FROM tally WHERE held_until IS NOT NULL") == []
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE relay_use SET minute = minute - interval '2 hours'"))
        minutes(made, lane, times=2)
        assert len(sink.messages) > found.accepted, "the next hour"
        made.close()


def test_once_the_relay_that_was_waited_for_refuses_us_too_a_digest_halts(tmp_path, database_urls):
    """Then nothing can carry it, and somebody has to be told."""
    first, second = (
        smtp.Scripted(script={"BANNER": said}) for said in (b"421 back soon\r\n", b"554 5.7.1 not you\r\n")
    )
    with smtp.running(first), smtp.running(second):
        made = two(tmp_path, database_urls, first, second)
        composed = house.issue(made, tmp_path, addresses=READERS[:5])
        publish.send(made.parts, composed.issue)
        made.sweep()
        minutes(made, "bulk", times=2)
        assert status(made, composed.mailing).halted is None
        first.script["BANNER"] = b"554 5.7.1 not you either\r\n"
        minutes(made, "bulk", times=1)
        assert status(made, composed.mailing).halted == "unwelcome"
        made.close()


def test_what_providers_and_readers_are_refused_for_closes_no_relay(sink, other_sink, tmp_path, database_urls):
    """Gmail's pace, a greylisting and a block at RCPT are not the relay's word: the other would hear the same."""
    said = {
        "gmail.com": "421 4.7.28 unusual rate of mail",
        "outlook.com": "451 4.7.1 Greylisted",
        "a.example": "550 5.7.1 Blocked by policy",
    }
    sink.refuse = lambda recipient: said[recipient.partition("@")[2]]
    made = two(tmp_path, database_urls, sink, other_sink)
    alarmed(made, tmp_path)
    made.sweep()
    made.deliver("urgent", seconds=10)
    assert ask(made, "SELECT 1 FROM relay_state WHERE closed_since IS NOT NULL") == []
    assert ask(made, "SELECT 1 FROM delivery WHERE due_at < now() + interval '2 minutes'") == []
    assert not other_sink.messages
    made.close()


def test_a_relay_that_refused_us_is_asked_again_in_a_minute(sink, other_sink, tmp_path, database_urls):
    """Once the account is paid for it has its part of the mail again, and nobody has to say so."""
    sink.refuse = lambda _recipient: SUSPENDED
    made = two(tmp_path, database_urls, sink, other_sink)
    number = alarmed(made, tmp_path)
    turns(made, "urgent")
    sink.refuse = lambda _recipient: None
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE relay_state SET closed_until = now() WHERE closed_until IS NOT NULL"))
    house.add_articles(made, tmp_path, "The well runs dry")
    publish.send(made.parts, publish.compose(made.parts, house.DIGEST).issue)
    turns(made, "bulk")
    assert len(sink.messages) == ALL
    assert ask(made, "SELECT 1 FROM relay_state WHERE closed_since IS NOT NULL") == []
    assert status(made, number).accepted == ALL
    made.close()


@pytest.mark.parametrize("lane", [Lane.URGENT, Lane.TRANSACTIONAL])
def test_a_full_relay_is_chosen_where_no_other_is_left(newsletter, lane):
    """An alert asks a full one all the same, but not while another has room; bulk mail does not ask it at all."""
    full, free = (Relay.parse(f"smtp://127.0.0.1:{port}") for port in (1, 2))
    with newsletter.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        standing.fill(session, full, Limit.ACCOUNT_DAY, now=now)

        def choice(relays, lane=lane):
            return {throttle.choose(session, relays, lane, chance=place / 10, now=now) for place in range(10)}

        assert choice([full, free]) == {throttle.Choice(free, later=True, instead=True)}
        assert choice([full]) == {throttle.Choice(full)}
        assert choice([full], Lane.BULK) == {throttle.Choice(None, "full")}
        standing.fill(session, free, Limit.ACCOUNT_HOUR, now=now)
        both = choice([full, free])
        assert {one.relay for one in both} == {full, free}
        assert {(one.later, one.instead) for one in both} == {(True, False)}, "the other would say the same"
