"""The links of an alert are tried by whichever door it was written: whoever approves it at night cannot try them all."""

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.campaigns import errands as waiting
from newsletter.campaigns.errands import Act
from newsletter.journeys import bulletins, desk, drafting, errands, heeding
from newsletter.journeys.drafting import Revision
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.test_heeding import ALERT
from tests.operators.crew import Crew

LINKED = "# Lorries at Sarand\n\nSee [the map](https://sarand.invalid/map).\n"


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, **nights.RULES)
    house.add_readers(made, tmp_path, house.addresses(2))
    yield made
    made.close()


def links(made, number):
    """Return the links that were tried; None: not yet."""
    found = desk.checked(made.parts, desk.shown(made.parts, number)).links
    return None if found is None else [one.url for one in found]


def test_links_of_a_draft_from_the_command_line_are_tried(made, tmp_path):
    """The page said that they are being tried, for ever: only what was written on a page was."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    assert links(made, number) is None
    errands.run(made.parts)
    assert links(made, number) == ["https://sarand.invalid/map"]
    drafting.edit_words(made.parts, number, Revision((LINKED.replace("map", "plan"),)))
    errands.run(made.parts)
    assert links(made, number) == ["https://sarand.invalid/plan"]


def test_links_of_what_an_authority_said_are_tried(made):
    """A draft that nobody of the team wrote needs it most."""
    number = bulletins.take(made.parts, ALERT, act=heeding.Heeding(made.parts, house.DIGEST)).mailing
    errands.run(made.parts)
    assert links(made, number) is not None


def test_links_are_tried_however_late(made, tmp_path, database_urls):
    """While the desk was away an alert waited; what it would have been told then is as good to know now."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    with made.parts.database.transaction() as session:
        assert session.execute(text("SELECT operator_id FROM errand WHERE act = 'check'")).scalar_one() is None
    house.by_owner(database_urls, "UPDATE errand SET asked_at = asked_at - interval '1 hour'")
    errands.run(made.parts)
    assert links(made, number) == ["https://sarand.invalid/map"]


def test_a_link_that_takes_its_time_keeps_no_alert_waiting(made, tmp_path):
    """Ten drafts of a feed have their links tried, and somebody presses Send."""
    somebody = Crew(made.parts.database, made.parts.database).member(Role.SENDER)
    with made.parts.database.transaction() as session:
        tried = [waiting.add(session, Act.CHECK, by=None) for _ in range(10)]
        sent = waiting.add(session, Act.RELEASE, by=somebody.id)
        now = database.now(session)
        claimed = [waiting.claim(session, now=now).id for _ in range(3)]
    assert claimed == [sent, *tried[:2]]
