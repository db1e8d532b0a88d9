"""When a mailing stops by itself, and when it must not."""

import pytest
from sqlalchemy import text

from newsletter import languages
from newsletter.delivery import thresholds
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from newsletter.ledger.tallies import Counts
from newsletter.relay.verdict import Class
from tests import house
from tests.fakes import smtp


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        (Counts(tried=1000), None),
        (Counts(tried=100, dead=9), None),
        (Counts(tried=1000, dead=50), None),
        (Counts(tried=199, dead=10), "dead"),
        (Counts(tried=90, policy=9), None),
        (Counts(tried=99, policy=10), "policy"),
        (Counts(tried=100, policy=10), None),
        (Counts(tried=999, complaints=50), None),
        (Counts(tried=1000, complaints=3), None),
        (Counts(tried=1000, complaints=4), "complaints"),
        (Counts(tried=100_000, complaints=3), None),
        (Counts(tried=500, sender=2), None),
        (Counts(tried=500, sender=3), "sender"),
        (Counts(tried=1, sender=1), "sender"),
        (Counts(tried=2, content=2), None),
        (Counts(tried=3, content=3), "content"),
        (Counts(tried=3, content=1, protocol=2), "protocol"),
        (Counts(tried=1000, content=400, in_a_row=9), None),
        (Counts(tried=1000, protocol=10, in_a_row=10), "protocol"),
        (Counts(tried=90, standstill=9), None),
        (Counts(tried=99, standstill=10), "standstill"),
        (Counts(tried=100, standstill=10), None),
    ],
)
def test_each_threshold_is_where_it_is_written(counts, why):
    """Too early, and ten typing errors stop a newsletter; too late, and a provider blocks everything."""
    assert thresholds.breached(counts) == why


def test_attempts_are_counted_by_what_their_refusal_was_about():
    """A full mailbox stops nobody, but of one in ten it is no mailbox."""
    assert thresholds.count([None, Class.DEAD, Class.POLICY, Class.QUOTA, Class.TRANSIENT, Class.SENDER]) == Counts(
        tried=6, dead=1, policy=1, sender=1, standstill=2
    )
    refused = [Class.CONTENT, None, Class.PROTOCOL, Class.CONTENT]
    assert thresholds.count(refused) == Counts(tried=4, content=2, protocol=1, in_a_row=2)
    assert thresholds.count(refused, first=False).in_a_row == 0, "only the refused are asked again: they prove nothing"


def status(made, mailing):
    with made.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def readers(*hosts, each):
    return [f"reader{number}@{host}" for host in hosts for number in range(each)]


def test_a_digest_that_is_blocked_stops_by_itself_and_goes_on_when_told(newsletter, sink, tmp_path):
    """Two thousand more refusals would cost the campaign its name; but a person decides when it goes on."""
    sink.refuse = lambda _recipient: "550 5.7.1 Message blocked by policy"
    composed = house.issue(newsletter, tmp_path, addresses=readers("a.example", each=400))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=20)
    found = status(newsletter, composed.mailing)
    assert (found.state, found.halted) == ("paused", "policy")
    assert found.rejected < 400, "it stopped before the end"
    sink.refuse = lambda _recipient: None
    journey.resume(newsletter.parts, composed.mailing)
    newsletter.deliver("bulk", seconds=20)
    after = status(newsletter, composed.mailing)
    assert (after.state, after.halted, after.accepted) == ("done", None, 400 - found.rejected)


SUSPENDED = {
    "554 Message rejected: Sending suspended for this account. See your inbox.": "sender",
    "550 Account locked. Sending disabled due to unusual activity": "sender",
    "554 5.3.0 Service temporarily unavailable": "standstill",
    "550 5.3.2 System is down for maintenance, try again later": "standstill",
    "552 5.3.1 Mail system full": "standstill",
    "550 this account is closed for now, suspended": "standstill",
}


@pytest.mark.parametrize("at", ["refuse", "refuse_body"])
def test_a_relay_that_suspends_us_stops_the_mailing_and_costs_no_reader_it(newsletter, sink, tmp_path, at):
    """The provider suspends the account in the night: all of the list was given up, and the mailing was done."""
    house.add_readers(newsletter, tmp_path, readers("a.example", each=120))
    for said, why in SUSPENDED.items():
        setattr(sink, at, lambda _recipient, said=said: said)
        house.add_articles(newsletter, tmp_path, f"What follows {said}")
        composed = publish.compose(newsletter.parts, house.DIGEST)
        publish.send(newsletter.parts, composed.issue)
        newsletter.deliver("bulk", seconds=10)
        found = status(newsletter, composed.mailing)
        assert (found.state, found.halted, found.rejected, found.due) == ("paused", why, 0, 120), said
        assert found.deferred < 60, f"what was on the wire, and no more: {said}"
        assert languages.say(f"halted.{why}").endswith(".")
        setattr(sink, at, lambda _recipient: None)
        journey.resume(newsletter.parts, composed.mailing)
        for _ in range(2):
            with newsletter.parts.database.transaction() as session:
                session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
            newsletter.sweep()
            newsletter.deliver("bulk", seconds=20)
        after = status(newsletter, composed.mailing)
        assert (after.state, after.halted, after.accepted) == ("done", None, 120), said


def test_a_tenth_of_a_list_asleep_stops_nobody_whoever_is_asked_again(newsletter, sink, tmp_path):
    """They are asked three times; a count of each time would stop every old list at its third."""
    asleep = {f"reader{number}@a.example" for number in range(0, 200, 12)}
    sink.refuse = lambda recipient: "550 5.2.1 mailbox disabled" if recipient in asleep else None
    composed = house.issue(newsletter, tmp_path, addresses=readers("a.example", each=200))
    publish.send(newsletter.parts, composed.issue)
    for _ in range(3):
        newsletter.deliver("bulk", seconds=10)
        with newsletter.parts.database.transaction() as session:
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
        newsletter.sweep()
    found = status(newsletter, composed.mailing)
    assert (found.state, found.halted, found.accepted, found.rejected) == ("done", None, 183, 17)


def test_an_alert_to_a_relay_that_suspends_us_waits_and_goes_on_by_itself(newsletter, sink, tmp_path):
    """Nobody is awake at three: the group is held, nobody is given up, and after the hour all of it goes."""
    sink.refuse_body = lambda _recipient: "550 5.3.2 System is down for maintenance"
    house.add_readers(newsletter, tmp_path, readers("a.example", each=150))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    mailing = alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    for hour in range(4):
        newsletter.deliver("urgent", seconds=10)
        found = status(newsletter, mailing)
        assert (found.state, found.rejected, found.due) == ("sending", 0, 150), hour
        with newsletter.parts.database.transaction() as session:
            session.execute(text("UPDATE tally SET held_until = now()"))
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
        newsletter.sweep()
    sink.refuse_body = lambda _recipient: None
    newsletter.deliver("urgent", seconds=20)
    assert status(newsletter, mailing).accepted == 150


def test_what_is_blocked_loses_no_more_than_what_was_on_the_wire(newsletter, sink, tmp_path):
    """Each refusal by policy is final and costs our name: five hundred were given up before anybody counted."""
    sink.refuse = lambda _recipient: "550 5.7.1 Message blocked by policy"
    composed = house.issue(newsletter, tmp_path, addresses=readers("a.example", each=400))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=20)
    found = status(newsletter, composed.mailing)
    assert (found.halted, found.due) == ("policy", 400 - found.rejected)
    assert found.rejected < 60


def test_a_refused_sender_stops_at_once_and_costs_no_reader_the_digest(sink, tmp_path, database_urls):
    """A forgotten password or domain is mended in an hour: then everyone has it, those first who were asked for in vain."""
    sink.refuse = lambda _recipient: "553 5.7.1 Sender address rejected: not owned by user"
    made = house.build(tmp_path, database_urls, f"{sink.url}?rate=40")
    composed = house.issue(made, tmp_path, addresses=readers("a.example", each=200))
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=20)
    found = status(made, composed.mailing)
    assert (found.state, found.halted) == ("paused", "sender")
    assert (found.rejected, found.due) == (0, 200)
    assert len([line for line in sink.said if line.startswith("RCPT")]) < 100, "it stopped at once"
    sink.refuse = lambda _recipient: None
    journey.resume(made.parts, composed.mailing)
    for _ in range(2):
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
        made.sweep()
        made.deliver("bulk", seconds=20)
    after = status(made, composed.mailing)
    assert (after.state, after.halted, after.accepted) == ("done", None, 200)
    made.close()


@pytest.mark.parametrize(
    ("said", "offered", "why"),
    [
        (None, ("SIZE 4000", "PIPELINING"), "content"),
        ("550 5.6.0 message rejected: invalid header", ("PIPELINING",), "content"),
        ("503 5.5.1 Error: need MAIL command", ("PIPELINING",), "protocol"),
        ("501 5.5.4 Unsupported option: ORCPT", (), "protocol"),
    ],
)
def test_what_is_wrong_with_every_message_stops_the_mailing_and_costs_no_reader_it(
    tmp_path, database_urls, said, offered, why
):
    """A relay with a new limit, or another way of speaking, is mended in an hour: until then the list must not be burned."""
    server = smtp.Sink(extensions=offered)
    server.refuse = lambda _recipient: said
    with smtp.running(server):
        made = house.build(tmp_path, database_urls, f"{server.url}?connections=2")
        composed = house.issue(made, tmp_path, addresses=readers("a.example", each=200))
        publish.send(made.parts, composed.issue)
        made.deliver("bulk", seconds=10)
        found = status(made, composed.mailing)
        assert (found.state, found.halted, found.rejected, found.due) == ("paused", why, 0, 200)
        assert found.deferred < 200, "it stopped before the end"
        assert languages.say(f"halted.{why}").endswith("."), "a sentence says why"
        server.extensions, server.refuse = ("PIPELINING",), lambda _recipient: None
        journey.resume(made.parts, composed.mailing)
        for _ in range(2):
            with made.parts.database.transaction() as session:
                session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
            made.sweep()
            made.deliver("bulk", seconds=10)
        after = status(made, composed.mailing)
        assert (after.state, after.halted, after.accepted) == ("done", None, 200)
        made.close()


def test_one_server_that_dislikes_the_message_stops_nobody_elses(newsletter, sink, tmp_path):
    """A company's filter wants no pictures: its readers are asked three times, and all others have theirs."""
    sink.refuse = lambda recipient: "550 5.6.0 attachment refused" if recipient.startswith("reader7@") else None
    composed = house.issue(newsletter, tmp_path, addresses=readers("a.example", "b.example", each=10))
    publish.send(newsletter.parts, composed.issue)
    for tried in (1, 2, 3):
        newsletter.deliver("bulk", seconds=10)
        found = status(newsletter, composed.mailing)
        assert (found.halted, found.accepted, found.due) == (None, 18, 2 if tried < 3 else 0)
        with newsletter.parts.database.transaction() as session:
            session.execute(text("UPDATE delivery SET due_at = now() WHERE state = 'deferred'"))
        newsletter.sweep()
    assert (found.state, found.rejected) == ("done", 2)


def test_a_dead_list_stops_by_itself(newsletter, sink, tmp_path):
    """A list of ten years ago, imported by mistake, is a list of spam traps."""
    sink.refuse = lambda recipient: "550 5.1.1 User unknown" if int(recipient[6:].split("@")[0]) % 3 == 0 else None
    composed = house.issue(newsletter, tmp_path, addresses=readers("a.example", each=1000))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=20)
    assert status(newsletter, composed.mailing).halted == "dead"


def test_an_alert_holds_only_the_provider_that_refuses(newsletter, sink, tmp_path):
    """People are in danger: the other providers' readers must have it, and the one that refuses is asked again in an hour."""
    sink.refuse = lambda recipient: "550 5.7.1 Message blocked by policy" if "gmail" in recipient else None
    house.add_readers(newsletter, tmp_path, readers("gmail.com", "a.example", each=400))
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    mailing = alert.send(newsletter.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
    newsletter.deliver("urgent", seconds=20)
    found = status(newsletter, mailing)
    assert (found.state, found.accepted) == ("sending", 400)
    assert 0 < found.due < 400
    sink.refuse = lambda _recipient: None
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE tally SET held_until = now()"))
    newsletter.deliver("urgent", seconds=20)
    assert status(newsletter, mailing).due == 0


def test_a_mailing_stops_within_its_first_tranche(newsletter, sink, tmp_path, database_urls):
    """Two hundred find out what five hundred would have suffered from: the rest is not begun, whenever its time comes."""
    far = house.build(tmp_path, database_urls, "smtp://relay.example:25", tranche_pause=15)
    gone = {f"reader{number}@example.org" for number in range(0, 500, 5)}
    sink.refuse = lambda recipient: "550 5.1.1 no such user" if recipient in gone else None
    composed = house.issue(far, tmp_path, addresses=house.addresses(500))
    publish.send(far.parts, composed.issue)
    newsletter.deliver("bulk", seconds=10)
    status = journey.status(newsletter.parts, composed.mailing)
    assert (status.state, status.halted) == ("paused", "dead")
    tried = status.accepted + status.rejected
    assert 10 <= status.rejected <= 40, "of two hundred at most"
    assert tried <= 200
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET not_before = now()"))
        assert books.faults(session, composed.mailing) == []
    assert newsletter.deliver("bulk", seconds=2) == 0
    assert journey.status(newsletter.parts, composed.mailing).due == 500 - tried
    far.close()
