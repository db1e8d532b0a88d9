"""A list is taken back, one transaction of seconds, while those it names go on living: their words count, and they wait little."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import confirming, erasing, joining, leaving, moving_in
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.journeys.test_beside_a_list import ANN, BLOCKED, ask

BOB = "bob@example.org"


def wait_until_blocked(made):
    wait_until(made, BLOCKED)


def wait_until(made, sql):
    patience = time.monotonic() + 10
    while not ask(made, sql)[0][0] and time.monotonic() < patience:
        time.sleep(0.01)


@pytest.fixture
def taking_back(newsletter, tmp_path):
    """Two readers by a list, Bob the first; have it taken back, held up in the midst of it by who is at Bob's subscription."""
    house.add_readers(newsletter, tmp_path, [BOB, ANN])
    failed = []

    def undo():
        try:
            moving_in.undo(newsletter.parts, 1, suppressions_too=False)
        except Exception as error:
            failed.append(error)

    @contextmanager
    def held_up():
        thread = threading.Thread(target=undo)
        with newsletter.parts.database.transaction() as other:
            other.execute(text("SELECT id FROM subscription WHERE subscriber_id = 1 FOR UPDATE")).all()
            thread.start()
            wait_until_blocked(newsletter)
            yield
        thread.join(20)
        assert failed == []

    return held_up


@pytest.fixture
def pages(newsletter, tmp_path, database_urls, sink):
    """The pages, with the rights that they have; and the link by which Ann comes to hers."""
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.DAILY)
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(web), raise_server_exceptions=False) as client:
        yield client
    web.close()


def link(made, reader):
    with made.parts.database.transaction() as session:
        return f"/p/{made.parts.tokens.preferences(reader, now=database.now(session))}"


def asked_to_join(made):
    joining.ask(made.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(made.parts)
    made.deliver("transactional", seconds=3)


def test_a_yes_beside_the_undoing_of_her_list_brings_her_in(newsletter, taking_back):
    """She pressed the mailed button in those seconds, was welcomed, and was never mailed again: what she had rested on the list."""
    asked_to_join(newsletter)
    with taking_back():
        confirming.confirm(newsletter.parts, house.yes_link(newsletter, 1))
        began = time.monotonic()
        joining.work(newsletter.parts)
        assert time.monotonic() - began < 5
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT state FROM signup") == [("settled",)]
    live = """SELECT e.import_id FROM subscription l JOIN consent_event e ON e.id = l.granted_by
        JOIN signup g ON g.events = ARRAY[e.id] WHERE l.ended_at IS NULL"""
    assert ask(newsletter, live) == [(None,)], "by her own word, and by no other"


def test_who_is_on_no_list_that_is_taken_back_waits_for_nothing(newsletter, taking_back):
    """Somebody at another page, in those seconds, is asked and comes in as ever."""
    joining.ask(newsletter.parts, Wish("stranger@example.org", "en", {"weekly": "weekly"}))
    asked_to_join(newsletter)
    with taking_back():
        for number in (1, 2):
            confirming.confirm(newsletter.parts, house.yes_link(newsletter, number))
        joining.work(newsletter.parts)
        assert ask(newsletter, "SELECT state FROM signup ORDER BY id") == [("settled",), ("asked",)]
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT state FROM signup ORDER BY id") == [("settled",), ("settled",)]


def test_what_a_reader_adds_beside_the_undoing_is_refused_or_kept_never_lost(newsletter, taking_back, pages):
    """She added a digest, read "saved", and her record went with all of it. Now she is told at once to try again."""
    form = {"rhythm-weekly": "weekly", "rhythm-news": "daily", "language": "en", "zone": "UTC"}
    hers, bobs = link(newsletter, 2), link(newsletter, 1)
    with taking_back():
        began = time.monotonic()
        answer = pages.post(f"{hers}/more", data=form)
        assert (answer.status_code, "try again in a minute" in answer.text) == (503, True)
        assert time.monotonic() - began < 5
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(0,)]
    assert ask(newsletter, "SELECT count(*) FROM consent_event WHERE import_id IS NULL") == [(0,)], (
        "nothing of it was kept"
    )
    assert pages.post(f"{bobs}/more", data=form).status_code == 200


def test_what_a_reader_adds_just_before_the_undoing_keeps_her(newsletter, tmp_path, pages):
    """Her page is not through when the list is taken back, which waits for it: she stays, with what she chose."""
    house.add_readers(newsletter, tmp_path, [BOB, ANN])
    form = {"rhythm-news": "daily", "language": "en", "zone": "UTC"}
    said = []
    hers = link(newsletter, 2)
    page = threading.Thread(target=lambda: said.append(pages.post(f"{hers}/more", data=form)))
    undo = threading.Thread(target=lambda: moving_in.undo(newsletter.parts, 1, suppressions_too=False))
    with newsletter.parts.database.transaction() as other:
        # What the page waits for once it holds her: the subscription that it ends.
        other.execute(text("SELECT id FROM subscription WHERE subscriber_id = 2 FOR UPDATE")).all()
        page.start()
        wait_until_blocked(pages.app.state.newsletter)  # of another role nobody sees what it waits for
        undo.start()
        wait_until_blocked(newsletter)
    page.join(20)
    undo.join(20)
    assert said[0].status_code == 200
    live = "SELECT d.key FROM subscription l JOIN digest d ON d.id = l.digest_id WHERE ended_at IS NULL"
    assert ask(newsletter, live) == [("news",)]


def test_less_of_a_digest_beside_the_undoing_goes_on_by_no_list_that_is_none(newsletter, taking_back, pages):
    """Whoever took it weekly instead opened a subscription on what had just been taken back, and got it for ever."""
    with newsletter.parts.database.transaction() as session:
        digest = session.execute(text("SELECT digest_id FROM subscription WHERE subscriber_id = 2")).scalar_one()
    leave = f"/u/{newsletter.parts.tokens.leave(2, digest, 1)}"
    with taking_back():
        assert pages.post(f"{leave}/less", data={"instead": "emergencies"}).status_code == 503
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(0,)]


def test_who_leaves_beside_the_undoing_has_left(newsletter, taking_back):
    """A no of her own is more than a list's end: she stays known, so that no list brings her again."""
    with taking_back(), newsletter.parts.database.transaction() as session:
        leaving.end(session, 2, None)
    assert ask(newsletter, "SELECT id FROM subscriber") == [(2,)]


def test_nobody_is_erased_by_another_while_a_list_is_taken_back(newsletter, taking_back):
    """Both delete the same person in another order: one of the two failed. The erasure is done a moment later."""
    with newsletter.parts.database.transaction() as session:
        ann = erasing.whose(session, address=EmailAddress.parse(ANN))
    with taking_back(), pytest.raises(erasing.ListComesIn):
        erasing.erase(newsletter.parts, ann, by="shell")
    erasing.erase(newsletter.parts, ann, by="shell")


def test_whose_sign_up_is_taken_up_beside_the_undoing_is_asked(newsletter, tmp_path):
    """She came by a form too; her address was emptied as nobody's, with the question on its way, and it could not be mailed."""
    house.add_readers(newsletter, tmp_path, [BOB, ANN])
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    thread = threading.Thread(target=lambda: moving_in.undo(newsletter.parts, 1, suppressions_too=False))
    with newsletter.parts.database.transaction() as turn:
        # What a turn has done when it has found her mailbox, and is not through yet.
        turn.execute(text("UPDATE signup SET mailbox_id = 2, state = 'asked', asked_at = now()"))
        thread.start()
        wait_until_blocked(newsletter)
    thread.join(20)
    assert ask(newsletter, "SELECT address_sealed IS NOT NULL FROM mailbox ORDER BY id") == [(False,), (True,)]


def test_a_no_that_has_the_turn_lets_the_undoing_have_it(newsletter, tmp_path):
    """Each waited for what the other had, and PostgreSQL ended one: a long list had to be taken back from the beginning."""
    (tmp_path / "list.csv").write_text(f"email,optin_time\n{BOB},2025-01-01 10:00\n{ANN},\n", encoding="utf-8")
    permission = moving_in.Permission(Basis.IMPORTED, "")
    number = moving_in.import_subscribers(
        newsletter.parts, str(tmp_path / "list.csv"), digest_key="weekly", permission=permission
    ).number
    joining.ask(newsletter.parts, Wish(BOB, "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, 1))
    # Ann's question is what the undoing calls in, for which it needs the turn.
    assert moving_in.ask(newsletter.parts, number) == 1
    joining.work(newsletter.parts)
    failed = []

    def tried(act):
        try:
            act()
        except Exception as error:
            failed.append(error)

    no = threading.Thread(target=tried, args=(lambda: joining.refuse_by_reply(newsletter.parts, 1),))
    undo = threading.Thread(
        target=tried, args=(lambda: moving_in.undo(newsletter.parts, number, suppressions_too=False),)
    )
    with newsletter.parts.database.transaction() as other:
        other.execute(text("SELECT id FROM signup WHERE id = 1 FOR UPDATE")).all()
        no.start()
        wait_until_blocked(newsletter)
        undo.start()
        wait_until(newsletter, "SELECT count(*) > 1 FROM pg_locks WHERE NOT granted")
    no.join(30)
    undo.join(30)
    assert failed == []
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(0,)]
    assert ask(newsletter, "SELECT state FROM signup") == [("refused",)]
