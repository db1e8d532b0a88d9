"""The engine room against real servers: each reader once, refusals recorded, nothing after a stop."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from newsletter import languages
from newsletter.journeys import alert, publish
from newsletter.journeys import mailing as journey
from newsletter.ledger import books
from newsletter.relay.opening import Unreachable
from newsletter.vault import CannotUnseal
from tests import house
from tests.fakes import smtp


def deliver(newsletter):
    newsletter.sweep()
    while newsletter.deliver("bulk", seconds=20):
        pass


def status(newsletter, mailing):
    with newsletter.parts.database.transaction() as session:
        assert books.faults(session, mailing) == []
        return books.status(session, mailing)


def test_every_reader_gets_the_issue_exactly_once(newsletter, sink, tmp_path):
    """The one promise of a newsletter."""
    readers = house.addresses(600)
    composed = house.issue(newsletter, tmp_path, addresses=readers)
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    assert sorted(message.recipient for message in sink.messages) == sorted(readers)
    found = status(newsletter, composed.mailing)
    assert (found.state, found.accepted, found.due) == ("done", 600, 0)
    assert found.messages_per_second > 0


def test_each_body_is_its_reader_s_own(newsletter, sink, tmp_path):
    """A link that unsubscribes somebody else would be worse than none."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(30))
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    links = {message.content.split(b"List-Unsubscribe: ")[1].split(b"\r\n")[0] for message in sink.messages}
    assert len(links) == 30


@pytest.mark.parametrize("offered", [("8BITMIME", "SMTPUTF8", "PIPELINING"), ("SMTPUTF8", "PIPELINING"), ("8BITMIME",)])
def test_an_address_beyond_ascii_goes_as_what_it_is(newsletter, sink, tmp_path, offered):
    """It stands in To, so the message has eight bits: what is not announced may be mangled on the way (RFC 6152, 6531)."""
    sink.extensions = offered
    readers = ["jösé@example.org", *house.addresses(3)]
    composed = house.issue(newsletter, tmp_path, addresses=readers)
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    carries = "8BITMIME" in offered and "SMTPUTF8" in offered
    assert [line.partition("> ")[2] for line in sink.said if "BODY" in line or "UTF8" in line] == (
        ["BODY=8BITMIME SMTPUTF8"] if carries else []
    )
    assert all(one.content.isascii() for one in sink.messages if one.recipient.isascii())
    found = status(newsletter, composed.mailing)
    assert (found.state, found.accepted, found.rejected) == ("done", 4 if carries else 3, 0 if carries else 1)


def test_a_dead_mailbox_is_suppressed_and_a_blocked_one_is_not(newsletter, sink, tmp_path):
    """Writing to the dead ruins a sender's name; dropping the living betrays a reader."""
    replies = {"reader1@example.org": "550 5.1.1 User unknown", "reader2@example.org": "554 5.7.1 Blocked by policy"}
    sink.refuse = replies.get
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(5))
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    found = status(newsletter, composed.mailing)
    assert (found.accepted, found.rejected) == (3, 2)
    with newsletter.parts.database.transaction() as session:
        assert session.execute(text("SELECT reason FROM suppression")).scalars().all() == ["dead"]


def test_a_deferred_reader_is_tried_again_later_and_then_has_it_once(newsletter, sink, tmp_path):
    """Greylisting says no first and yes in five minutes."""
    sink.refuse = lambda recipient: "451 4.7.1 Greylisted, try again" if recipient.startswith("reader3@") else None
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(6))
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    first = status(newsletter, composed.mailing)
    assert (first.state, first.accepted, first.deferred, first.due) == ("sending", 5, 1, 1)
    sink.refuse = lambda _recipient: None
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 minute' WHERE state = 'deferred'"))
    deliver(newsletter)
    assert status(newsletter, composed.mailing).state == "done"
    assert len(sink.messages_for("reader3@example.org")) == 1


def test_a_relay_that_is_away_loses_nothing(newsletter, sink, tmp_path, database_urls):
    """Mail waits in rows, and the operator is told which relay does not answer."""
    away = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    composed = house.issue(away, tmp_path, addresses=house.addresses(5))
    publish.send(away.parts, composed.issue)
    with pytest.raises(Unreachable):
        away.deliver("bulk", seconds=5)
    assert status(away, composed.mailing).due == 5
    away.close()
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET not_before = now()"))
    deliver(newsletter)
    assert status(newsletter, composed.mailing).accepted == 5


def test_a_paused_mailing_goes_on_where_it_stood_and_a_stopped_one_never(newsletter, sink, tmp_path):
    """Pause can go on, stop cannot: the two words mean what they say."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(20))
    publish.send(newsletter.parts, composed.issue)
    journey.pause(newsletter.parts, composed.mailing)
    deliver(newsletter)
    assert sink.messages == []
    journey.resume(newsletter.parts, composed.mailing)
    deliver(newsletter)
    assert len(sink.messages) == 20

    house.add_articles(newsletter, tmp_path, "A second story")
    second = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, second.issue)
    journey.stop(newsletter.parts, second.mailing)
    deliver(newsletter)
    found = status(newsletter, second.mailing)
    assert (found.state, found.cancelled, len(sink.messages)) == ("stopped", 20, 20)


def test_a_test_mail_reaches_one_address_with_links_that_do_nothing(newsletter, sink, tmp_path):
    """Whoever tries a mailing presses every link in it, and must not unsubscribe a reader by that."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    text_file = tmp_path / "mailing.md"
    text_file.write_text("# What we did in June\n\nDear {{ name }}, thank you.\n")
    drafted = journey.draft(newsletter.parts, str(text_file), digest_key=house.DIGEST).mailing
    journey.test(newsletter.parts, drafted, "me@example.org")
    newsletter.deliver("transactional", seconds=5)
    [message] = sink.messages
    assert message.recipient == "me@example.org"
    token = message.content.split(b"/u/")[1].split(b">")[0].decode()
    assert token == newsletter.parts.tokens.harmless()


def test_a_rate_in_the_relay_s_address_is_kept(newsletter, sink, tmp_path, database_urls):
    """A relay that takes forty a second punishes who sends more."""
    slow = house.build(tmp_path, database_urls, f"{sink.url}?rate=40")
    composed = house.issue(slow, tmp_path, addresses=house.addresses(60))
    publish.send(slow.parts, composed.issue)
    slow.deliver("bulk", seconds=10)
    slow.close()
    times = [message.at for message in sink.messages]
    assert len(times) == 60
    assert times[-1] - times[0] >= 0.9


def test_reports_can_find_their_delivery_where_the_relay_offers_dsn(sink, tmp_path, database_urls):
    """A bounce must lead to one delivery of one reader, whatever the far server writes into it (RFC 3461)."""
    sink.extensions = (*sink.extensions, "DSN")
    made = house.build(tmp_path, database_urls, sink.url)
    composed = house.issue(made, tmp_path, addresses=["ann+news@example.org"])
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=5)
    mail, rcpt = sink.said
    envid = mail.split("RET=HDRS ENVID=")[1].split(" ")[0]
    with made.parts.database.transaction() as session:
        mailbox = session.execute(text("SELECT mailbox_id FROM delivery")).scalar_one()
    assert made.parts.tokens.read_return_path(envid, now=datetime.now(UTC)) == (composed.mailing, mailbox)
    assert rcpt.endswith("NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+2Bnews@example.org")
    made.close()


def test_mail_is_signed_where_the_relay_does_not_sign(sink, tmp_path, database_urls):
    """The key of the setting, the domain of the sender: what leaves the house is what a verifier finds good."""
    import dkim
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from newsletter import assembly
    from newsletter.composer import signing

    secret = ed25519.Ed25519PrivateKey.generate()
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    built = house.build(tmp_path, database_urls, sink.url)
    composed = house.issue(built, tmp_path, addresses=house.addresses(1))
    publish.send(built.parts, composed.issue)
    made = assembly.assemble(built.settings.model_copy(update={"dkim_key": SecretStr(f"june\n{pem}")}))
    made.deliver("bulk", seconds=5)
    [message] = sink.messages
    record = signing.keys(f"june\n{pem}")[0].record
    zone = {"june._domainkey.sarand.example.": record}
    assert dkim.verify(message.content, dnsfunc=lambda name, timeout=5: zone[name.decode()].encode())
    made.close()
    built.close()


def test_what_comes_back_goes_to_a_path_of_its_own_and_an_unset_key_signs_nothing(sink, tmp_path, database_urls):
    """A bounce names its delivery by the address it comes to; the relay that signs must not find a second signature."""
    made = house.build(tmp_path, database_urls, sink.url, bounce_domain="bounces.sarand.example")
    composed = house.issue(made, tmp_path, addresses=house.addresses(3))
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=5)
    with made.parts.database.transaction() as session:
        mailboxes = set(session.execute(text("SELECT mailbox_id FROM delivery")).scalars())
    paths = [message.sender.split("@") for message in sink.messages]
    assert {domain for _, domain in paths} == {"bounces.sarand.example"}
    assert {made.parts.tokens.read_return_path(token, now=datetime.now(UTC)) for token, _ in paths} == {
        (composed.mailing, mailbox) for mailbox in mailboxes
    }
    assert all(b"<news@sarand.example>" in message.content for message in sink.messages)
    assert not any(b"DKIM-Signature" in message.content for message in sink.messages)
    made.close()


def test_a_damaged_address_costs_nobody_else_their_mail(newsletter, sink, tmp_path):
    """One seal that cannot be opened stopped its whole lane, shard after shard, until somebody found the row."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(5))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailbox SET address_sealed = 'x' WHERE id = (SELECT min(id) FROM mailbox)"))
        session.execute(text("UPDATE subscriber SET name_sealed = 'x' WHERE id = (SELECT max(id) FROM subscriber)"))
    publish.send(newsletter.parts, composed.issue)
    deliver(newsletter)
    found = status(newsletter, composed.mailing)
    assert (found.state, found.accepted, found.cancelled) == ("done", 4, 1)
    with newsletter.parts.database.transaction() as session:
        query = text("SELECT reason FROM delivery WHERE state = 'cancelled'")
        assert session.execute(query).scalar_one() == "unreadable"


def test_a_shard_of_which_nothing_can_be_read_is_not_given_up(newsletter, sink, tmp_path):
    """Not a damaged row but the wrong keys: cancelling would turn a mistake of a minute into a lost mailing."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(5))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailbox SET address_sealed = 'x'"))
    publish.send(newsletter.parts, composed.issue)
    with pytest.raises(CannotUnseal):
        deliver(newsletter)
    assert status(newsletter, composed.mailing).due == 5


def test_whoever_finds_work_calls_the_next(newsletter, sink, tmp_path):
    """Eight children woken one by one, five seconds apart, would be forty seconds of a night on which seconds count."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(3))
    publish.send(newsletter.parts, composed.issue)
    calls = []
    newsletter.deliver("bulk", seconds=5, opened=lambda: calls.append(len(sink.messages)))
    assert len(calls) == 1
    newsletter.deliver("bulk", seconds=5, opened=lambda: calls.append(0))
    assert len(calls) == 1, "who finds nothing calls nobody"


def test_a_worker_without_a_sender_sends_nothing_and_rejects_nobody(tmp_path, database_urls, sink):
    """`up` in one terminal, the settings in another: 1,504 readers were each refused as their own fault."""
    released = house.build(tmp_path, database_urls, sink.url)
    issue = house.issue(released, tmp_path, addresses=house.addresses(3))
    publish.send(released.parts, issue.issue)
    bare = house.build(tmp_path, database_urls, sink.url, sender="")
    assert bare.deliver("bulk") == 0
    status = journey.status(released.parts, issue.mailing)
    assert (status.state, status.due, status.rejected) == ("sending", 3, 0)
    released.deliver("bulk")
    assert len(sink.messages) == 3
    for made in (bare, released):
        made.close()


class Closing(smtp.Scripted):
    """A relay that greets and says 421 to every sender."""

    sessions = 0

    async def serve(self, reader, writer):
        self.sessions += 1
        await super().serve(reader, writer)

    async def _say(self, verb, usual, writer):
        await super()._say(verb, usual, writer)
        return verb != "MAIL"


def test_a_relay_that_ends_its_sessions_at_mail_is_asked_once_in_ten_seconds(tmp_path, database_urls):
    """It is being shut down, or overrun: hundreds of sessions a second are the last thing it needs."""
    server = Closing(script={"MAIL": b"421 4.3.2 Service not available\r\n"})
    with smtp.running(server):
        made = house.build(tmp_path, database_urls, f"{server.url}?connections=8")
        composed = house.issue(made, tmp_path, addresses=house.addresses(500))
        publish.send(made.parts, composed.issue)
        with pytest.raises(Unreachable):
            made.deliver("bulk", seconds=2)
        assert server.sessions <= 3 * 8
        with made.parts.database.transaction() as session:
            assert books.faults(session, composed.mailing) == []
            assert session.execute(text("SELECT closed_until > now() FROM relay_state")).scalar_one()
            session.execute(text("UPDATE relay_state SET closed_until = now()"))
            deferred = books.status(session, composed.mailing).deferred
        asked = server.sessions
        with pytest.raises(Unreachable):
            made.deliver("bulk", seconds=2)
        assert server.sessions == asked + 1, "the one that asks"
        assert deferred <= 3 * 8, "the others are as due as ever"
        server.script = {}
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE relay_state SET closed_until = now()"))
        server._say = lambda *said: smtp.Scripted._say(server, *said)
        made.deliver("bulk", seconds=20)
        assert len(server.messages) >= 500 - deferred - 1
        made.close()


@pytest.mark.parametrize(
    ("lane", "state", "halted"), [("bulk", "paused", "unwelcome"), ("urgent", "sending", None)], ids=str
)
def test_a_relay_that_refuses_us_halts_ordinary_mail_and_says_so(tmp_path, database_urls, lane, state, halted):
    """Nothing but an operator mends it. An alert goes on by itself once it is mended: nobody might be awake to say so."""
    server = smtp.Scripted(script={"BANNER": b"554 5.7.1 no service for you here\r\n"})
    with smtp.running(server):
        made = house.build(tmp_path, database_urls, server.url)
        composed = house.issue(made, tmp_path, addresses=house.addresses(5))
        mailing = composed.mailing
        if lane == "bulk":
            publish.send(made.parts, composed.issue)
        else:
            (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
            mailing = alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)
        with pytest.raises(Unreachable):
            made.deliver(lane, seconds=2)
        with made.parts.database.transaction() as session:
            found = books.status(session, mailing)
            soon = session.execute(text("SELECT closed_until < now() + interval '40 seconds' FROM relay_state"))
            assert not soon.scalar_one(), "whoever knocks with a wrong password all the time is locked out"
        assert (found.state, found.halted, found.due) == (state, halted, 5)
        assert languages.say("halted.login").endswith(".")
        assert languages.say("halted.unwelcome").endswith(".")
        made.close()
