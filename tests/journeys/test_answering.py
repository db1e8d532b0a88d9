"""A letter is read by who may, and the audit says that it was."""

import pytest

from newsletter import database
from newsletter.bounces import replies
from newsletter.bounces.replies import UnknownReply
from newsletter.bounces.routing import Arrived
from newsletter.journeys import answering, returns, unmasking
from newsletter.journeys.acting import NobodyNamed
from newsletter.operators import audit
from newsletter.operators.roles import NotAllowed, Role
from newsletter.reports.parse import Letter
from tests import house
from tests.fakes.returns import letter
from tests.operators.crew import Crew

BEN, HERE = "ben@example.org", "news@sarand.example"


@pytest.fixture
def made(tmp_path, database_urls, sink):
    built = house.build(tmp_path, database_urls, sink.url, bounce_domain="bounce.sarand.example")
    returns.take(built.parts, Arrived(BEN, HERE, letter(f"Ben <{BEN}>", HERE, "My sister", "Please call me.")))
    yield built
    built.close()


def read(made):
    """Return who has read which letter, as the audit has it."""
    with made.parts.database.transaction() as session:
        return [(row.actor, row.facts) for row in audit.listed(session) if row.act == "letter.read"]


def test_before_there_are_operators_the_shell_is_named(made):
    """On the first day nobody has a number yet; a letter is opened unseen all the same by nobody."""
    [one] = answering.listed(made.parts, limit=10, done=False)
    assert BEN in answering.shown(made.parts, one.reply).reply.letter.sender
    assert read(made) == [("shell", {"letter": one.reply})]


def test_who_reads_a_letter_is_a_data_officer_whom_the_audit_names(made):
    """It holds an address and a person's own words: only a data officer ever sees those."""
    crew = Crew(made.parts.database, made.parts.database)
    officer, sender = crew.member(Role.DATA_OFFICER), crew.member(Role.SENDER)
    [one] = answering.listed(made.parts, limit=10, done=False)
    with pytest.raises(NobodyNamed):
        answering.shown(made.parts, one.reply)
    with pytest.raises(NotAllowed):
        answering.shown(made.parts, one.reply, by=sender.id)
    with pytest.raises(UnknownReply):
        answering.shown(made.parts, 77, by=officer.id)
    assert read(made) == []
    assert answering.shown(made.parts, one.reply, by=officer.id).reply.letter.text == "Please call me."
    assert read(made) == [(str(officer.id), {"letter": one.reply})]


def test_letters_in_a_row_give_away_a_hundred_addresses_at_most(made, tmp_path, database_urls, sink):
    """A loop over the numbers of letters is a list of who wrote; the words are read on, since somebody waits for an answer."""
    crew = Crew(made.parts.database, made.parts.database)
    officer, other = crew.member(Role.DATA_OFFICER), crew.member(Role.DATA_OFFICER, name="Omid")
    strict = house.build(tmp_path, database_urls, sink.url, export_alone_up_to=0)
    with made.parts.database.transaction() as session:
        now = database.now(session)
        for number in range(unmasking.LETTERS + 1):
            wrote = Letter(f"Reader <r{number}@example.org>", "Hello", "Where is it?")
            replies.keep(session, f"letter {number}".encode(), wrote, mailbox_id=None, now=now)
    numbers = [one.reply for one in answering.listed(made.parts, limit=200, done=False)]
    found = [answering.shown(strict.parts, one, by=officer.id) for one in numbers]
    assert sum(not one.masked for one in found) == unmasking.LETTERS
    assert {one.reply.letter.sender for one in found if one.masked} == {"r…@e…"}
    assert all(one.reply.letter.text for one in found)
    assert not answering.shown(strict.parts, numbers[0], by=officer.id).masked, "whom one has seen one may see"
    assert not answering.shown(strict.parts, numbers[-1], by=other.id).masked, "another officer answers"
    assert read(made)[1] == (str(officer.id), {"letter": numbers[0]})
    strict.close()
