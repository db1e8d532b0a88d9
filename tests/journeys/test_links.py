"""The links of an alert are tried by whichever door it was written: whoever approves it at night cannot try them all."""

import socket
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.campaigns import errands as waiting
from newsletter.campaigns.errands import Act
from newsletter.journeys import bulletins, desk, drafting, errands, heeding
from newsletter.journeys.desk import Patience
from newsletter.journeys.drafting import Hand, Revision
from newsletter.operators.audit import SHELL
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.test_heeding import ALERT
from tests.journeys.test_mandates_used import wait_for_locks
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


def try_all(parts):
    """Try the links of one alert after another."""
    while errands.try_links(parts):
        pass


def test_links_of_a_draft_from_the_command_line_are_tried(made, tmp_path):
    """The page said that they are being tried, for ever: only what was written on a page was."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    assert links(made, number) is None
    errands.try_links(made.parts)
    assert links(made, number) == ["https://sarand.invalid/map"]
    drafting.edit_words(made.parts, number, Revision((LINKED.replace("map", "plan"),)))
    errands.try_links(made.parts)
    assert links(made, number) == ["https://sarand.invalid/plan"]


def test_links_of_what_an_authority_said_are_tried(made):
    """A draft that nobody of the team wrote needs it most."""
    number = bulletins.take(made.parts, ALERT, act=heeding.Heeding(made.parts, house.DIGEST)).mailing
    errands.try_links(made.parts)
    assert links(made, number) is not None


def test_links_are_tried_however_late(made, tmp_path, database_urls):
    """While the desk was away an alert waited; what it would have been told then is as good to know now."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    with made.parts.database.transaction() as session:
        assert session.execute(text("SELECT operator_id FROM errand WHERE act = 'check'")).scalar_one() is None
    house.by_owner(database_urls, "UPDATE errand SET asked_at = asked_at - interval '1 hour'")
    errands.try_links(made.parts)
    assert links(made, number) == ["https://sarand.invalid/map"]


def test_a_link_that_takes_its_time_keeps_no_alert_waiting(made, tmp_path):
    """Ten drafts of a feed have their links tried, and somebody presses Send."""
    somebody = Crew(made.parts.database, made.parts.database).member(Role.SENDER)
    with made.parts.database.transaction() as session:
        tried = [waiting.add(session, Act.CHECK, by=None) for _ in range(10)]
        sent = waiting.add(session, Act.RELEASE, by=somebody.id)
        now = database.now(session)
        presses = [waiting.claim(session, now=now) for _ in range(2)]
        links = [waiting.claim(session, now=now, links=True) for _ in range(3)]
    assert [one and one.id for one in presses] == [sent, None], "whoever does what is pressed never tries links"
    assert [one and one.id for one in links] == [*tried[:2], None], (
        "a hook that is to wake somebody finds room beside them"
    )


def open_checks(made):
    return nights.ask(
        made, "SELECT begun_at IS NOT NULL FROM errand WHERE act = 'check' AND done_at IS NULL ORDER BY id"
    )


def test_words_written_again_and_again_are_tried_once(made, tmp_path):
    """Ten edits are not ten times twenty links: whoever begins reads the newest words. What is begun may have read older ones."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    for place in range(3):
        drafting.edit_words(made.parts, number, Revision((LINKED.replace("map", f"plan{place}"),)))
    assert open_checks(made) == [(False,)]
    with made.parts.database.transaction() as session:
        waiting.claim(session, now=database.now(session), links=True)
    for place in range(3):
        drafting.edit_words(made.parts, number, Revision((LINKED.replace("map", f"road{place}"),)))
    assert open_checks(made) == [(True,), (False,)]


def test_words_that_change_while_their_links_are_tried_are_tried_too(made, tmp_path):
    """Written in the moment in which the desk begins: it reads the old words, and the new ones would be tried by nobody."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    desk_ = threading.Thread(target=try_all, args=(made.parts,))
    with made.parts.database.transaction() as session:
        revision, hand = Revision((LINKED.replace("map", "plan"),)), Hand(SHELL, database.now(session))
        drafting.rewrite(session, made.parts, number, revision, hand)
        desk_.start()
        wait_for_locks(made, 1)
    desk_.join(timeout=60)
    assert links(made, number) == ["https://sarand.invalid/plan"]
    assert open_checks(made) == []


def test_links_that_time_does_not_reach_are_said_to_be_untried(tmp_path, database_urls, sink):
    """Twenty servers that say nothing took two minutes, and a second worker began anew after one; “they answer” was never true."""
    made = house.build(tmp_path, database_urls, sink.url, fetch_allow="127.0.0.0/8", **nights.RULES)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = "# Lorries\n\n" + "".join(f"- [{one}]({base}/{one})\n" for one in range(3))
        number = drafting.draft(made.parts, nights.write(tmp_path, words), digest_key=house.DIGEST)
        desk.try_links(made.parts, number, Patience(link_seconds=0.3, total_seconds=0.5))
    found = desk.checked(made.parts, desk.shown(made.parts, number))
    assert [one.fault[0] for one in found.links] == ["fetch.link-too-slow", desk.NOT_TRIED, desk.NOT_TRIED]
    assert (found.tried, found.links_of) == (1, 3)
    made.close()


def test_links_are_being_tried_as_long_as_somebody_is_at_it(made, tmp_path, database_urls):
    """Asked for half a minute ago and begun since: “they have not been tried” would be said in the middle of it."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    house.by_owner(database_urls, "UPDATE errand SET asked_at = asked_at - interval '30 seconds'")
    usual = timedelta(seconds=20)
    assert not errands.is_checked(made.parts, number, since=usual)
    with made.parts.database.transaction() as session:
        waiting.claim(session, now=database.now(session), links=True)
    assert errands.is_checked(made.parts, number, since=usual)
    house.by_owner(database_urls, "UPDATE errand SET begun_at = begun_at - interval '1 minute'")
    assert not errands.is_checked(made.parts, number, since=usual), "whoever began it is taken for dead"


def test_nobody_takes_who_tries_links_for_dead():
    """Else another begins the same links anew, beside them."""
    assert desk.PATIENCE.total_seconds < waiting.PATIENCE.total_seconds()
    assert desk.PATIENCE.link_seconds < desk.PATIENCE.total_seconds


def test_what_was_done_holds_no_refusal(made, tmp_path, database_urls):
    """NULL, not JSON's null, or whoever asks for those that were refused finds all. One of a worker of before is read alike."""
    number = drafting.draft(made.parts, nights.write(tmp_path, LINKED), digest_key=house.DIGEST)
    somebody = Crew(made.parts.database, made.parts.database).member(Role.SENDER)
    asked = errands.ask(made.parts, Act.CHECK, by=somebody.id, mailing=number)
    errands.try_links(made.parts)
    assert nights.ask(made, "SELECT DISTINCT refused IS NULL FROM errand") == [(True,)]
    house.by_owner(database_urls, "UPDATE errand SET refused = 'null'")
    assert errands.wait(made.parts, asked, by=somebody.id, seconds=0).refused is None
