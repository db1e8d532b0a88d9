"""Whoever holds the pages' database role may stop an alert: they keep that from no team, and a retraction from no reader."""

import hashlib

import psycopg
import pytest

from newsletter.journeys import desk, retracting, stopping
from newsletter.ledger.mailings import State
from newsletter.operators import audit
from tests.journeys import traces
from tests.journeys.alerting import recipients, status
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_halts import number as number
from tests.journeys.test_halts import told

UNSAY = "UPDATE delivery SET state = 'cancelled', reason = 'left' WHERE mailing_id = %s"


@pytest.fixture
def sql(made, database_urls):
    """A connection as the role of the pages."""
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as connection:
        yield connection


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


@pytest.mark.parametrize(
    "content",
    [
        lambda row: "{}",
        lambda row: DEEP % (1, "[]", row + 1),
        lambda row: DEEP % (1, "[]", row) + " ",
        lambda row: DEEP % (1, "[" * 70_000, row),
    ],
)
def test_the_audit_takes_no_row_without_its_number_at_its_end_or_that_is_too_long(made, sql, author, content):
    """One row by which `verify` calls the whole chain changed hides, from then on, what really is."""
    with pytest.raises(psycopg.errors.IntegrityError):
        spoil(sql, content)


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
