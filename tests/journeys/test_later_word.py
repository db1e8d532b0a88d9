"""The last word of a person counts, whenever a worker hears of it: a yes, a no, a complaint, and a yes once more."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.delivery import asking
from newsletter.issues import digests
from newsletter.journeys import choosing, confirming, joining, leaving, spooling
from newsletter.subscribers import suppression
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from newsletter.web import create
from tests import house
from tests.journeys.test_spooling import held

ANN = "ann@example.org"


def ask(made, sql):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def change(made, sql):
    with made.parts.database.transaction() as session:
        assert session.execute(text(sql)).rowcount


@pytest.fixture
def made(newsletter):
    """Two digests."""
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.DAILY)
    return newsletter


@pytest.fixture
def reader(made, tmp_path):
    """Ann takes the weekly one."""
    house.add_readers(made, tmp_path, [ANN])
    return made


def takes(made):
    """Return the digests that anybody takes."""
    live = "SELECT d.key FROM subscription s JOIN digest d ON d.id = s.digest_id WHERE ended_at IS NULL ORDER BY 1"
    return [key for (key,) in ask(made, live)]


def preferences(made):
    with made.parts.database.transaction() as session:
        return made.parts.tokens.preferences(1, now=database.now(session))


def signs_up(made, digest="news", rhythm="daily"):
    """Return the number of the question that she is mailed."""
    joining.ask(made.parts, Wish(ANN, "en", {digest: rhythm}))
    joining.work(made.parts)
    return ask(made, "SELECT max(id) FROM signup WHERE state = 'asked'")[0][0]


def says_yes(made, number):
    return confirming.confirm(made.parts, house.yes_link(made, number))


@pytest.fixture
def left(made):
    """She signed up, said yes, and left: the number of the question that she answered."""
    number = signs_up(made, "weekly", "weekly")
    assert says_yes(made, number)
    joining.work(made.parts)
    assert says_yes(made, number), "pressed twice it is no other question"
    joining.work(made.parts)
    assert takes(made) == ["weekly"]
    leaving.leave_everything(made.parts, preferences(made))
    return number


def test_who_left_and_presses_the_button_of_before_is_asked_once_more(made, left):
    """She read "a welcome is on its way", and nothing ever came: she believed that she would hear of the next alert."""
    change(made, "UPDATE signup SET asked_at = asked_at - interval '1 day'")
    with TestClient(create(made)) as pages:
        page = pages.post(f"/c/{house.yes_link(made, left)}").text
    assert "A welcome is on its way" not in page
    joining.work(made.parts)
    assert takes(made) == [], "a mail of before brings nobody back by itself"
    [(number,)] = ask(made, "SELECT max(id) FROM signup WHERE state = 'asked'")
    assert number > left
    assert says_yes(made, number)
    joining.work(made.parts)
    assert takes(made) == ["weekly"]


def test_so_is_who_answers_that_mail_once_more(made, left):
    """By an answer as by the button."""
    change(made, "UPDATE signup SET asked_at = asked_at - interval '1 day'")
    assert joining.confirm_by_reply(made.parts, left)
    joining.work(made.parts)
    assert takes(made) == []
    assert ask(made, "SELECT max(id) FROM signup WHERE state = 'asked'")[0][0] > left


def test_so_is_who_types_the_figures_of_that_mail_once_more(made):
    """The page that waited for the judgement thanked her, and nothing came."""
    pending = joining.ask(made.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    [(number, mailbox)] = ask(made, "SELECT id, mailbox_id FROM signup")
    with made.parts.database.transaction() as session:
        code = asking.signs(session.vault, number, mailbox)[0].code
    first = confirming.try_code(made.parts, pending, code)
    joining.work(made.parts)
    assert (confirming.believed(made.parts, first), takes(made)) == (True, ["weekly"])
    leaving.leave_everything(made.parts, preferences(made))
    change(made, "UPDATE signup SET asked_at = asked_at - interval '16 minutes'")
    again = confirming.try_code(made.parts, pending, code)
    joining.work(made.parts)
    assert (confirming.believed(made.parts, again), takes(made)) == (False, [])
    assert ask(made, "SELECT max(id) FROM signup WHERE state = 'asked'")[0][0] > number


def test_nobody_else_brings_her_that_question(made, left):
    """Whoever has the keys of the pages makes links, and no words of a mail."""
    forged = house.yes_link(made, left)[:-4] + "AAAA"
    with TestClient(create(made)) as pages:
        pages.post(f"/c/{forged}")
    joining.work(made.parts)
    assert ask(made, "SELECT count(*) FROM signup") == [(1,)]


@pytest.mark.parametrize("how", ["three choices", "more"])
def test_less_of_the_rest_brings_back_nothing(reader, tmp_path, how):
    """She left one while somebody was at her rows, then asked for less of the other: her yes to that was one to both."""
    house.add_readers(reader, tmp_path, [ANN], digest="news")
    assert takes(reader) == ["news", "weekly"]
    with held(reader, 1):
        leaving.leave(reader.parts, reader.parts.tokens.leave(1, 2, 1))
    token = preferences(reader)
    if how == "three choices":
        assert choosing.choose(reader.parts, token, Level.EMERGENCIES)
    else:
        shown = choosing.shown(reader.parts, token)
        rhythms = {one.key: one.rhythm for one in shown.choices if one.rhythm}
        assert choosing.change(reader.parts, token, choosing.Details(rhythms, (), "fa", "UTC", choosing.PLAIN))
    leaving.drain(reader.parts)
    assert takes(reader) == ["weekly"]


def test_a_no_that_lies_in_the_spool_counts_over_the_yes_before_it(reader):
    """The database was away as she left; a worker heard her yes before her no, and held the yes for the later word."""
    says_yes(reader, signs_up(reader))
    spooling.keep(reader.parts.home, spooling.Wish(1, None, datetime.now(UTC)))
    joining.work(reader.parts)
    leaving.drain(reader.parts)
    assert takes(reader) == []


@pytest.mark.parametrize("again", ["the same button", "a new form"])
def test_a_yes_after_a_no_counts_though_all_are_heard_late(reader, again):
    """Yes, no, and yes again, before any worker hears: the first yes was dropped for the no, and the last for the first."""
    number = signs_up(reader)
    says_yes(reader, number)
    leaving.leave_everything(reader.parts, preferences(reader))
    says_yes(reader, number if again == "the same button" else signs_up(reader))
    joining.work(reader.parts)
    assert takes(reader) == ["news"]


@pytest.mark.parametrize("reason", [Reason.COMPLAINT, Reason.NEVER_AGAIN])
def test_a_complaint_after_the_yes_stands(reader, reason):
    """The workers were down for an hour: her older yes lifted what she said in it, and she was mailed again."""
    number = signs_up(reader)
    says_yes(reader, number)
    with reader.parts.database.transaction() as session:
        [(mailbox,)] = session.execute(text("SELECT mailbox_id FROM subscriber")).all()
        suppression.add(session, mailbox, reason=reason, now=database.now(session))
    joining.work(reader.parts)
    assert ask(reader, "SELECT reason FROM suppression WHERE lifted_at IS NULL") == [(str(reason),)]


def test_a_dead_mailbox_that_answers_is_alive(reader):
    """A late report of its death is about a mail of before: whoever answers has read one."""
    number = signs_up(reader)
    says_yes(reader, number)
    with reader.parts.database.transaction() as session:
        [(mailbox,)] = session.execute(text("SELECT mailbox_id FROM subscriber")).all()
        suppression.add(session, mailbox, reason=Reason.DEAD, now=database.now(session))
    joining.work(reader.parts)
    assert ask(reader, "SELECT reason FROM suppression WHERE lifted_at IS NULL") == []
