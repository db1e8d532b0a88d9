"""An alert that is wrong: taken back on every page in the same second, and by mail from all who have it or may have it."""

import subprocess
import sys
import threading
import time

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from newsletter import database
from newsletter.delivery import following, planning
from newsletter.journeys import alert, drafting, leaving, mailing, publish, retracting
from newsletter.ledger import mailings, shards, variants
from newsletter.ledger.mailings import Kind, Lane, State, WrongState
from newsletter.operators.roles import NotAllowed, Role
from newsletter.web.app import create
from tests import house
from tests.delivery.test_carrying import delivering, wait_for
from tests.journeys.alerting import power_fails, read, recipients, sent, status, wire
from tests.journeys.workers import environment
from tests.operators.crew import Crew

BACK = "We take our alert back"


def test_whoever_has_a_wrong_alert_is_told_so_and_nobody_else(newsletter, tmp_path, words, sink):
    """Half have it when somebody sees that it is false: they are told within a second, the others never hear of it."""
    sink.delay_seconds = lambda: 0.02
    number = sent(newsletter, tmp_path, words, 200)
    with delivering(newsletter, "urgent"):
        wait_for(lambda: len(sink.messages) > 40)
        asked = time.monotonic()
        done = retracting.retract(newsletter.parts, number)
        waited = time.monotonic() - asked
        assert status(newsletter, done.retraction).state == "sending"
    newsletter.deliver("urgent")
    assert status(newsletter, done.retraction).state == "done"
    first, told = recipients(sink, back=False), recipients(sink, back=True)
    assert waited < 2
    assert first == told
    assert 40 < len(first) < 200
    found = status(newsletter, number)
    assert (found.state, found.accepted, found.cancelled, found.due) == ("retracted", len(first), done.spared, 0)
    assert found.accepted + found.cancelled == 200


def test_in_the_order_in_which_it_came(tmp_path, database_urls, words, sink):
    """Whoever has had the longest time to act on it hears first that it is false. Several connections overtake each other."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=1")
    try:
        number = sent(made, tmp_path, words, 30)
        made.deliver("urgent")
        order = [message.recipient for message in sink.messages]
        sink.messages.clear()
        retracting.retract(made.parts, number)
        made.deliver("urgent")
        assert [message.recipient for message in sink.messages] == order
    finally:
        made.close()


def test_an_alert_that_has_gone_to_all_is_taken_back_from_all(newsletter, tmp_path, words, sink):
    """Most mistakes are seen when everybody has them."""
    number = sent(newsletter, tmp_path, words, 20)
    newsletter.deliver("urgent")
    assert status(newsletter, number).state == "done"
    assert retracting.would_retract(newsletter.parts, number) == 20
    done = retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert recipients(sink, back=True) == sorted(house.addresses(20))
    assert status(newsletter, done.retraction).state == "done"
    with pytest.raises(WrongState):
        retracting.retract(newsletter.parts, number)


def test_what_was_stopped_may_be_taken_back_later(newsletter, tmp_path, words, sink):
    """First it ends, then somebody finds out whether it was false."""
    sink.delay_seconds = lambda: 0.02
    number = sent(newsletter, tmp_path, words, 120)
    with delivering(newsletter, "urgent"):
        wait_for(lambda: len(sink.messages) > 20)
        alert.stop(newsletter.parts, number)
    had = len(sink.messages)
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert len(recipients(sink, back=True)) == had < 120


@pytest.mark.parametrize("stage", ["draft", "locked"])
def test_what_has_not_gone_is_not_retracted(newsletter, tmp_path, words, stage):
    """There is nothing to take back: it is given up instead, and the sentence says so."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    number = drafting.draft(newsletter.parts, words, digest_key=house.DIGEST)
    if stage == "locked":
        alert.lock(newsletter.parts, number)
    for ask in (retracting.would_retract, retracting.retract):
        with pytest.raises(WrongState):
            ask(newsletter.parts, number)
    assert alert.standing(newsletter.parts, number).state == stage


def test_what_lies_ready_to_take_it_back_cannot_be_lost(newsletter, tmp_path, words, sink):
    """Only that takes the wrong page back: no hand and no program gives it up, and where it is lost, the rehearsal says so."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    with pytest.raises(mailing.OfAnAlert):
        mailing.cancel(newsletter.parts, number + 1)
    with pytest.raises(IntegrityError, match="a_retraction_stays"), newsletter.parts.database.transaction() as session:
        mailings.move(session, number + 1, State.CANCELLED)
    with newsletter.parts.database.transaction() as session:
        mailings.move(session, number + 1, State.LOCKED, fingerprint=b"1")
    for ask in (retracting.would_retract, retracting.retract):
        with pytest.raises(retracting.NothingPrepared):
            ask(newsletter.parts, number)
    assert alert.standing(newsletter.parts, number).state is State.DONE


def test_anybody_in_the_team_may_and_nobody_else(newsletter, pages, tmp_path, words):
    """A retraction must not wait for a role; but it takes one."""
    crew = Crew(newsletter.parts.database, pages.parts.database)
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    gone = crew.member(Role.AUDITOR)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("DELETE FROM operator_role WHERE operator_id = :id"), {"id": gone.id})
    with pytest.raises(NotAllowed):
        retracting.retract(newsletter.parts, number, by=gone.id)
    retracting.retract(newsletter.parts, number, by=crew.member(Role.AUDITOR, name="Noor Holm").id)
    assert alert.standing(newsletter.parts, number).state is State.RETRACTED


def test_whoever_left_in_between_is_left_alone(newsletter, tmp_path, words, sink):
    """Somebody who wants no mail gets none, not even this one."""
    number = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    gone = sink.messages[0].recipient
    link = read(sink.messages[0])["List-Unsubscribe"].split("/u/")[1].split(">")[0]
    leaving.leave(newsletter.parts, link)
    done = retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert recipients(sink, back=True) == sorted(set(house.addresses(3)) - {gone})
    assert status(newsletter, done.retraction).cancelled == 1


# Pages and issues.


def test_every_page_says_so_in_the_same_second(newsletter, pages, tmp_path, words, sink):
    """The link stands in three thousand inboxes: what it leads to must not go on telling people to run."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    path = f"/archive/{house.DIGEST}/{number}/1"
    with TestClient(create(pages), base_url="http://127.0.0.1:8080") as browser:
        assert "Fourteen lorries" in browser.get(path).text
        retracting.retract(newsletter.parts, number)
        shown = browser.get(path)
    assert shown.status_code == 200
    assert BACK in shown.text
    assert "Fourteen lorries" not in shown.text


def test_no_issue_tells_it_again(newsletter, pages, tmp_path, words, sink):
    """Neither one that is composed afterwards, nor one that was composed before and waits, nor the archive of one that went."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    house.add_readers(newsletter, tmp_path, ["late@example.org"])
    waiting = publish.compose(newsletter.parts, house.DIGEST)
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    sink.messages.clear()
    publish.send(newsletter.parts, waiting.issue)
    newsletter.deliver("bulk")
    assert sink.messages == []
    found = status(newsletter, waiting.mailing)
    assert (found.state, found.cancelled, found.due) == ("done", 1, 0), "nobody need stop what waits for nothing"
    path = f"/archive/{house.DIGEST}/{waiting.mailing}/1"
    with TestClient(create(pages), base_url="http://127.0.0.1:8080") as browser:
        shown = browser.get(path)
    assert shown.status_code == 200
    assert "Lorries" not in shown.text
    fresh = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, fresh.issue)
    newsletter.deliver("bulk")
    assert len(sink.messages) == 3
    assert all(b"The well runs dry" in m.content and b"Lorries" not in m.content for m in sink.messages)


def test_whoever_waited_for_a_held_version_has_the_rest_with_the_next_issue(newsletter, tmp_path, words, sink):
    """One story was taken back; the other of that issue is as true as before."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    house.add_readers(newsletter, tmp_path, ["late@example.org"])
    house.add_articles(newsletter, tmp_path, "The bridge is open")
    waiting = publish.compose(newsletter.parts, house.DIGEST)
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    publish.send(newsletter.parts, waiting.issue)
    newsletter.deliver("bulk")
    assert sink.messages_for("late@example.org") == []
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    publish.send(newsletter.parts, publish.compose(newsletter.parts, house.DIGEST).issue)
    newsletter.deliver("bulk")
    [told] = sink.messages_for("late@example.org")
    assert b"The bridge is open" in told.content
    assert b"The well runs dry" in told.content
    assert b"Lorries" not in told.content


def test_an_issue_composed_in_that_very_second_is_held_as_well(newsletter, tmp_path, words, sink):
    """It read the article before the retraction, and was stored after it: nobody had held it."""
    number = sent(newsletter, tmp_path, words, 2)
    newsletter.deliver("urgent")
    house.add_readers(newsletter, tmp_path, ["late@example.org"])
    composed = publish.compose(newsletter.parts, house.DIGEST)
    retracting.retract(newsletter.parts, number)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE variant SET held = NULL WHERE mailing_id = :it"), {"it": composed.mailing})
    newsletter.deliver("urgent")
    sink.messages.clear()
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk")
    assert sink.messages == []


# Who may have it.


def test_a_worker_that_dies_in_a_window_leaves_nobody_untold(newsletter, tmp_path, words, sink):
    """Three may have it and nobody knows: they are told that it was wrong, and the seven who cannot have it are not."""
    number = sent(newsletter, tmp_path, words, 10)
    wire(newsletter, number, upto=3)
    done = retracting.retract(newsletter.parts, number, patience_seconds=0.2)
    newsletter.sweep()
    assert status(newsletter, done.retraction).state == "approved", "the holder may still live"
    power_fails(newsletter)
    newsletter.sweep()  # settles the shard, and lets the retraction go
    found = status(newsletter, number)
    assert (found.uncertain, found.cancelled, found.due) == (3, 7, 0)
    newsletter.deliver("urgent")
    assert len(recipients(sink, back=True)) == 3
    assert recipients(sink, back=False) == []
    assert status(newsletter, done.retraction).state == "done"


def test_whatever_a_killed_worker_had_on_the_wire_is_taken_back(newsletter, tmp_path, words, sink):
    """SIGKILL in the middle of a window: whoever the relay says has the alert is told, whether or not we knew."""
    sink.delay_seconds = lambda: 0.3
    number = sent(newsletter, tmp_path, words, 60)
    worker = subprocess.Popen(
        [sys.executable, "-m", "newsletter", "deliver", "--lane", "urgent"],
        env=environment(newsletter),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: len(sink.messages) > 4 and sink.holding, seconds=60)
    finally:
        worker.kill()
        worker.wait()
    wait_for(lambda: not sink.holding)  # what was on the wire arrives, and its sender never learns it
    had = recipients(sink, back=False)
    sink.delay_seconds = lambda: 0.0
    done = retracting.retract(newsletter.parts, number, patience_seconds=0.1)
    assert status(newsletter, done.retraction).state == "approved"
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert status(newsletter, number).uncertain > 0
    assert set(recipients(sink, back=True)) >= set(had)
    assert recipients(sink, back=False) == had
    assert len(recipients(sink, back=True)) < 60


def test_a_stop_that_died_half_way_takes_no_doubt_away(newsletter, tmp_path, words, sink):
    """It was killed before it had cancelled the rows, and nothing goes again: the three of the window may have it, and stay so."""
    number = sent(newsletter, tmp_path, words, 10)
    wire(newsletter, number, upto=3)
    with newsletter.parts.database.transaction() as session:
        session.execute(
            text("UPDATE mailing SET state = 'stopped', finished_at = now() WHERE id = :it"), {"it": number}
        )
    power_fails(newsletter)
    newsletter.sweep()
    assert (status(newsletter, number).uncertain, status(newsletter, number).cancelled) == (3, 7)
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert len(recipients(sink, back=True)) == 3


def test_who_was_in_doubt_before_the_stop_is_told_too(newsletter, tmp_path, words, sink):
    """An alert in doubt goes again; stopped before it could, it is in doubt for good, and its reader may have it."""
    number = sent(newsletter, tmp_path, words, 4)
    sink.hang_up = lambda recipient: recipient == "reader2@example.org"
    newsletter.deliver("urgent")
    assert status(newsletter, number).deferred == 1
    sink.hang_up = lambda _recipient: False
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert recipients(sink, back=True) == sorted(house.addresses(4))


def test_who_comes_in_doubt_while_it_is_taken_back_is_told_too(newsletter, tmp_path, words, sink):
    """Their server takes the wrong alert, is slower than the retraction waits, and hangs up without an answer."""
    number = sent(newsletter, tmp_path, words, 4)
    taken_back = []

    def hang_up(recipient):
        if recipient != "reader2@example.org" or taken_back:
            return False
        taken_back.append(retracting.retract(newsletter.parts, number, patience_seconds=0.1))
        return True

    sink.hang_up = hang_up
    newsletter.deliver("urgent")
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert set(recipients(sink, back=False)) == set(recipients(sink, back=True)) >= {"reader2@example.org"}


def test_no_window_opens_behind_the_retraction_s_back(newsletter, tmp_path, words, database_urls):
    """A worker that asked for a window before and gets its answer after: its fence is another by then."""
    number = sent(newsletter, tmp_path, words, 5)
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="elsewhere:1").lease
    retracting.retract(newsletter.parts, number)
    # As if its statement still saw the alert as it was.
    house.by_owner(database_urls, "UPDATE mailing SET state = 'sending' WHERE id = %s", number)
    with newsletter.parts.database.transaction() as session:
        assert shards.announce(session, lease, first=0, upto=5) is None


def test_a_window_opened_while_the_retraction_looks_is_waited_for(newsletter, tmp_path, words, sink):
    """The other way round: the window was faster by a moment, so whoever is in it is waited for."""
    number = sent(newsletter, tmp_path, words, 5)
    with newsletter.parts.database.transaction() as session:
        lease = shards.take(session, "urgent", owner="elsewhere:1").lease
    opened, answer = threading.Event(), threading.Event()

    def worker():
        with newsletter.parts.database.transaction() as session:
            assert shards.announce(session, lease, first=0, upto=2)
            opened.set()
            answer.wait(10)

    thread = threading.Thread(target=worker)
    thread.start()
    opened.wait(10)
    threading.Timer(0.3, answer.set).start()
    done = retracting.retract(newsletter.parts, number, patience_seconds=1)
    thread.join()
    assert status(newsletter, done.retraction).state == "approved"
    power_fails(newsletter)
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert len(recipients(sink, back=True)) == 2


# In whose words.


def test_each_is_told_in_the_language_in_which_it_came(newsletter, tmp_path, sink):
    """A Persian reader who got the alert in Persian does not learn in English that it was wrong."""
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = '{en,fa}'"))
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscriber SET language = 'fa' WHERE id = (SELECT max(id) FROM subscriber)"))
    for language, words in (("en", "Lorries at Sarand"), ("fa", "کامیون‌ها در سرند")):
        (tmp_path / f"{language}.md").write_text(f"---\nlanguage: {language}\n---\n# {words}\n\n{words}.\n")
    number = alert.send(newsletter.parts, [str(tmp_path / "en.md"), str(tmp_path / "fa.md")], digest_key=house.DIGEST)
    newsletter.deliver("urgent")
    sink.messages.clear()
    retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert sorted(read(message)["Subject"] for message in sink.messages) == [
        "Please disregard: Lorries at Sarand",
        "لطفاً نادیده بگیرید: کامیون‌ها در سرند",
    ]


def forced(made, database_urls, *statements, **facts):
    """Do as somebody with a worker's password would."""
    url = make_url(database_urls.worker).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as worker:
        for statement in statements:
            worker.execute(statement, facts)
    made.sweep()
    made.deliver("urgent")


LOCK = """
    UPDATE mailing r SET fingerprint = a.fingerprint, state = 'locked' FROM mailing a WHERE r.retracts = a.id AND a.id = %(alert)s
"""
RELEASE = "UPDATE mailing SET state = 'approved', start_at = now() WHERE retracts = %(alert)s"
SENDING = "UPDATE mailing SET state = 'sending', planned_at = now() WHERE retracts = %(alert)s"
ROWS = """
    WITH s AS (
        INSERT INTO shard (mailing_id, lane, provider, size)
        SELECT id, 'urgent', 'other', 1 FROM mailing WHERE retracts = %(alert)s RETURNING id, mailing_id
    )
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, shard_id, position)
    SELECT d.month, s.mailing_id, (SELECT min(id) FROM variant WHERE mailing_id = s.mailing_id), d.mailbox_id,
        d.subscriber_id, s.id, 0
    FROM s, (SELECT * FROM delivery WHERE mailing_id = %(alert)s LIMIT 1) d
"""
TAMPERED = {
    "the alert stands": (LOCK, RELEASE, SENDING, ROWS),
    "other words": (
        "UPDATE mailing SET state = 'retracted' WHERE id = %(alert)s",
        "UPDATE block SET data = convert_to(replace(convert_from(data, 'UTF8'), 'take our alert back', 'need money'), 'UTF8')",
        LOCK,
        RELEASE,
    ),
    "another fingerprint": (
        "UPDATE mailing SET state = 'retracted' WHERE id = %(alert)s",
        LOCK,
        RELEASE,
        SENDING,
        "UPDATE mailing SET fingerprint = sha256('mine') WHERE retracts = %(alert)s",
        ROWS,
    ),
    "the alert's own words": (
        "UPDATE mailing SET state = 'retracted' WHERE id = %(alert)s",
        LOCK,
        RELEASE,
        SENDING,
        """UPDATE variant v SET head = a.head, blocks = a.blocks FROM variant a, mailing m
            WHERE m.id = v.mailing_id AND m.retracts = a.mailing_id AND a.mailing_id = %(alert)s""",
        ROWS,
    ),
    "to more than had it": (
        "UPDATE mailing SET state = 'retracted' WHERE id = %(alert)s",
        LOCK,
        RELEASE,
        SENDING,
        ROWS,
        "UPDATE mailing SET planned = 40 WHERE retracts = %(alert)s",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_forged_retraction_does_not_go(newsletter, tmp_path, words, sink, database_urls, what):
    """Somebody with a worker's password calls a true alert false, or tells its readers something else: the worker halts."""
    number = sent(newsletter, tmp_path, words, 4)
    newsletter.deliver("urgent")
    sink.messages.clear()
    forced(newsletter, database_urls, *TAMPERED[what], alert=number)
    assert sink.messages == []
    with newsletter.parts.database.transaction() as session:
        back = mailings.get(session, mailings.retraction_of(session, number))
        refusals = session.execute(text("SELECT count(*) FROM audit WHERE content LIKE '%alert.refused%'")).scalar_one()
    assert (back.state, refusals) == (State.PAUSED, 1)


def test_what_would_take_back_a_standing_alert_is_not_even_planned(newsletter, tmp_path, words, sink, database_urls):
    """Approved by hand in the database, it becomes a draft again, and the audit says why."""
    number = sent(newsletter, tmp_path, words, 4)
    newsletter.deliver("urgent")
    sink.messages.clear()
    forced(newsletter, database_urls, LOCK, RELEASE, alert=number)
    with newsletter.parts.database.transaction() as session:
        back = mailings.get(session, mailings.retraction_of(session, number))
        assert back.state is State.DRAFT
        with pytest.raises(following.NotRetracted):
            planning.plan(session, back.id, now=database.now(session))
    assert sink.messages == []


def test_the_bytes_are_those_that_were_locked(newsletter, tmp_path, words, sink):
    """What everybody agreed to beforehand is what goes, to the last byte, also when the catalogue is another by then."""
    number = sent(newsletter, tmp_path, words, 1)
    newsletter.deliver("urgent")
    with newsletter.parts.database.transaction() as session:
        back = mailings.retraction_of(session, number)
        before = [variants.load(session, one.id) for one in variants.of(session, back)]
    done = retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    with newsletter.parts.database.transaction() as session:
        view = mailings.get(session, done.retraction)
        assert [variants.load(session, one.id) for one in variants.of(session, back)] == before
    assert (view.kind, view.lane, view.id) == (Kind.RETRACTION, Lane.URGENT, back)
    assert view.fingerprint.hex() == alert.standing(newsletter.parts, number).locked.fingerprint
