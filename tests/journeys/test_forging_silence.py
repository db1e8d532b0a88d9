"""Whoever holds the pages' database role may stop an alert: they keep that from no team, and a retraction from no reader."""

import hashlib
import json
from contextlib import suppress

import psycopg
import pytest

from newsletter.campaigns.errands import Act
from newsletter.journeys import alert, desk, errands, halting, mailing, retracting, stopping
from newsletter.ledger.mailings import Lane, State, WrongState
from newsletter.operators import audit
from tests import house
from tests.journeys import nights, traces
from tests.journeys.alerting import read, recipients, status
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import on_its_way as on_its_way
from tests.journeys.nights import pages as pages
from tests.journeys.test_halts import number as number
from tests.journeys.test_halts import told

RING = "INSERT INTO hook_call (event, facts) VALUES (%s, %s)"
UNSAY = "UPDATE delivery SET state = 'cancelled', reason = 'left' WHERE mailing_id = %s"


@pytest.fixture
def sql(made, database_urls):
    """A connection as the role of the pages."""
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as connection:
        yield connection


def test_no_row_of_theirs_keeps_a_stop_from_the_team(made, pages, number, author, approver, sql, sink):
    """One such row ended every sweep for a day: nobody heard of a real stop, and nobody was asked before an alert expired."""
    for facts in ("{}", '{"alert": 987654}', '{"alert": "x"}', "[]"):
        sql.execute(RING, ("stopped", facts))
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    assert told(made, sink)[author.address][0] == f"Alert {number} is stopped"


HALTS = {
    "page": lambda made, pages, number, by: stopping.by_hand(pages.parts, number, State.STOPPED, by=by),
    "pause": lambda made, pages, number, by: stopping.by_hand(pages.parts, number, State.PAUSED, by=by),
    "link": lambda made, pages, number, by: stopping.by_link(
        pages.parts, pages.parts.tokens.stop(number, now=nights.now(made))
    ),
    "shell": lambda made, pages, number, by: alert.stop(made.parts, number),
    "mailing": lambda made, pages, number, by: mailing.stop(made.parts, number),
    "lane": lambda made, pages, number, by: halting.stop(made.parts, [Lane.URGENT]),
    "lane paused": lambda made, pages, number, by: halting.pause(made.parts, [Lane.URGENT]),
    "retraction": lambda made, pages, number, by: retracting.retract(made.parts, number, by=by),
}


@pytest.mark.parametrize("halt", HALTS)
def test_the_audit_that_is_held_shut_keeps_nobody_from_halting(made, pages, number, author, approver, sql, sink, halt):
    """Any role may take its lock: whoever wanted to stop an alert waited twenty seconds for it, and the stop was undone."""
    before = nights.acts(made)
    sql.execute("SELECT pg_advisory_lock(hashtext('audit'))")
    HALTS[halt](made, pages, number, approver.id)
    assert nights.acts(made) == before, "nobody has signed it"
    sink.messages.clear()
    made.deliver("urgent")
    assert not [
        one for one in sink.messages if "Lorries" in read(one)["Subject"] and one.recipient.startswith("reader")
    ]
    sql.execute("SELECT pg_advisory_unlock(hashtext('audit'))")
    assert author.address in told(made, sink), "the team hears of it all the same"


@pytest.mark.parametrize("halt", HALTS)
def test_a_halt_is_signed_once_and_what_halts_nothing_is_not(made, pages, number, author, approver, halt):
    """Who did it is written down as soon as it is done; of a second press nothing is."""
    before = len(nights.acts(made))
    HALTS[halt](made, pages, number, approver.id)
    written = [json.loads(one) for one in nights.acts(made)[before:]]
    acts = {
        "pause": ["alert.paused"],
        "lane": ["lanes.stopped", "alert.stopped"],
        "lane paused": ["lanes.paused"],
        "retraction": ["alert.retracted"],
    }
    assert [one["act"] for one in written] == acts.get(halt, ["alert.stopped"])
    by = {"link": "link", "shell": "shell", "mailing": "shell", "lane": "shell", "lane paused": "shell"}
    assert {one["by"] for one in written} == {by.get(halt, str(approver.id))}
    if halt in ("page", "pause", "shell", "mailing", "retraction"):
        with pytest.raises(WrongState):
            HALTS[halt](made, pages, number, approver.id)
        assert len(nights.acts(made)) == before + 1


def test_nor_keeps_it_an_alert_that_was_let_go_from_its_readers(made, number, sql, sink):
    """A worker wrote down first that it vouched for it, and gave up after twenty seconds, for as long as they were connected."""
    sql.execute("SELECT pg_advisory_lock(hashtext('audit'))")
    made.deliver("urgent")
    assert status(made, number).accepted == 2


def test_no_lock_of_theirs_keeps_a_stop_from_the_team(made, pages, number, author, approver, sql, sink):
    """A sweep took it for another one that was telling: nothing failed, nothing was logged, and nobody heard of the stop."""
    sql.execute("SELECT pg_advisory_lock(hashtext('halts'), %s::int)", (number,))
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    assert author.address in told(made, sink)


def test_what_is_held_while_the_team_is_told_is_out_of_their_reach(made, number, sql):
    """Two sweeps take turns by the lock of rows: the pages may hold none of these."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sql.execute("SELECT FROM hook_call FOR KEY SHARE")


def test_what_the_pages_ring_is_not_rung(made, number, sql):
    """What is told is what came to pass: the pager wakes nobody for what a stranger wrote."""
    before = nights.calls(made)
    for event in ("released", "expiring", "stopped", "lanes"):
        sql.execute(RING, (event, json.dumps({"alert": number})))
    assert nights.calls(made) == before


@pytest.mark.parametrize(("halt", "subject"), [("stop", "is stopped"), ("pause", "is paused")])
def test_a_halt_past_the_program_is_told_as_any(made, number, author, approver, sql, sink, halt, subject):
    """Stopping is easy on purpose; an alert that is dead while everybody believes in it is what somebody would stop it for."""
    sql.execute(f"SELECT {halt}_mailing(%s)", (number,))
    assert nights.calls(made)[-1][1]["alert"] == number, "the pager rings"
    found = told(made, sink)
    assert set(found) == {author.address, approver.address}
    assert f"Alert {number} {subject}" in found[author.address][0]
    assert "Somebody has" in found[author.address][1]


def test_so_is_one_of_what_takes_an_alert_back(made, number, author, sql, sink):
    """Two go on believing what is wrong, and the team is sure that they were told."""
    made.deliver("urgent")
    back = retracting.retract(made.parts, number, by=author.id).retraction
    told(made, sink)
    sql.execute("SELECT stop_mailing(%s)", (back,))
    assert told(made, sink)[author.address][0] == f"What takes back alert {number} is stopped"


def test_who_paused_it_an_hour_ago_is_not_who_does_now(made, pages, number, author, approver, sql, sink):
    """An old row of the audit puts a stranger's act on nobody."""
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    told(made, sink)
    mailing.resume(made.parts, number, by=author.id)
    told(made, sink)
    sql.execute("SELECT pause_mailing(%s)", (number,))
    assert "Somebody has paused it" in told(made, sink)[author.address][1]
    assert desk.shown(pages.parts, number).halt is None, "and its page names nobody"


@pytest.mark.parametrize("actor", ["987654", "9" * 5_000, "nobody's"])
def test_an_actor_whom_nobody_knows_is_somebody(made, pages, number, author, approver, sink, actor):
    """A row in the name of an operator that there is not kept news and page of the stop from everybody."""
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    with pages.parts.database.transaction() as session:
        audit.append(session, "alert.stopped", by=actor, now=nights.now(made), mailing=number)
    assert desk.shown(pages.parts, number).halt.how == "somebody"
    assert "Somebody has stopped it" in told(made, sink)[author.address][1]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 BC"])
@pytest.mark.parametrize("column", ["enrolled_at", "locked_until"])
def test_no_moment_of_theirs_keeps_the_team_from_reading(
    made, pages, number, author, approver, sql, sink, column, moment
):
    """One such hour beside one name: nobody was mailed anything, asked anything or let in any more, and it stayed so."""
    sql.execute(f"UPDATE operator SET {column} = %s WHERE id = %s", (moment, approver.id))
    sql.execute("SELECT stop_mailing(%s)", (number,))
    assert set(told(made, sink)) == {author.address, approver.address}


PRESSES = {
    "moment": {"asked_at": "infinity"},
    "no refusal": {"refused": "{}"},
    "no answer": {"refused": '"x"'},
    "no facts": {"facts": "[]"},
    "deep": {"facts": '{"seen":' + "[" * 2_000 + "]" * 2_000 + "}"},
}


def test_nor_a_press_from_being_done(made, pages, number, author, sql):
    """It was the oldest that waited, and no worker got past it: nothing was released or taken back by phone."""
    for row in PRESSES.values():
        press = {"act": "resume", "operator_id": author.id, "mailing_id": number, "facts": "{}"} | row
        values = ", ".join(["%s"] * len(press))
        sql.execute(f"INSERT INTO errand ({', '.join(press)}) VALUES ({values})", [*press.values()])
    asked = errands.ask(pages.parts, Act.RETRACT, by=author.id, mailing=number)
    errands.run(made.parts)
    assert errands.wait(pages.parts, asked, by=author.id, seconds=0).done_at is not None
    assert status(made, number).state == State.RETRACTED


DEEP = '{"act":"alert.stopped","mailing":%d,"facts":%s,"n":%d}'


def spoil(sql, content):
    """Add the next row of the audit, in whatever words."""
    last, before = sql.execute("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    content = content(last + 1)
    digest = hashlib.sha256(bytes(before) + content.encode()).digest()
    sql.execute("INSERT INTO audit (number, content, digest) VALUES (%s, %s, %s)", (last + 1, content, digest))


def test_a_row_that_nobody_can_read_spoils_no_audit(made, pages, number, author, approver, sql, sink):
    """Brackets in brackets: no chain was verified or listed any more, and the alert they named had neither page nor mail."""
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    spoil(sql, lambda row: DEEP % (number, "[" * 60_000, row))
    with made.parts.database.transaction() as session:
        assert audit.verify(session).sound
        assert [one.act for one in audit.listed(session, limit=2)] == ["unreadable", "alert.stopped"]
    assert desk.shown(pages.parts, number).halt.by == "Noor Holm"
    assert "Noor Holm has stopped it" in told(made, sink)[author.address][1]


UNFIT = {
    "without its number": lambda row: "{}",
    "with another's": lambda row: DEEP % (1, "[]", row + 1),
    "not at its end": lambda row: DEEP % (1, "[]", row) + " ",
    "too long": lambda row: DEEP % (1, "[" * 70_000, row),
}


def test_the_audit_takes_no_row_without_its_number_at_its_end_or_that_is_too_long(made, sql, author):
    """One row by which `verify` calls the whole chain changed hides, from then on, what really is."""
    taken = []
    for why, content in UNFIT.items():
        with suppress(psycopg.errors.IntegrityError):
            spoil(sql, content)
            taken.append(why)
    assert taken == []


def test_who_has_an_alert_is_owed_its_retraction_whatever_the_pages_write(made, number, author, sql, sink):
    """By one statement nobody had it any more, and two who believed it were told nothing."""
    made.deliver("urgent")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sql.execute(UNSAY, (number,))
    sink.messages.clear()
    retracting.retract(made.parts, number, by=author.id)
    made.sweep()
    made.deliver("urgent")
    assert len(recipients(sink, back=True)) == 2


def test_what_is_due_is_cancelled_as_ever(made, number, sql):
    """A wish to leave on a page is this very statement."""
    sql.execute(UNSAY, (number,))
    assert status(made, number).cancelled == 2


def test_the_question_what_is_to_become_of_an_alert_is_taken_away_by_nobody(
    made, tmp_path, author, approver, sql, sink, database_urls
):
    """A call of the hook counts as asked: written beforehand, it let an alert expire on a desk."""
    number = nights.locked(made, tmp_path, author, 2)
    house.by_owner(database_urls, "UPDATE mailing SET expires_at = now() + interval '1 hour' WHERE id = %s", number)
    [[expires]] = nights.ask(made, "SELECT expires_at FROM mailing WHERE id = :number", number=number)
    facts = {"alert": number, "expires_at": expires.isoformat(), "unreleased": True}
    sql.execute(RING, ("expiring", json.dumps(facts)))
    made.deliver("transactional")
    assert author.address in told(made, sink)
    assert ("expiring", facts) in nights.calls(made)
