"""Who leaves while somebody else is at what they take, be it one or hundreds: they are told that it is done, and it is."""

import threading
import time
from datetime import UTC, datetime

import psycopg
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter.journeys import choosing, joining, leaving, publish, spooling
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.signup import Wish
from newsletter.web import create
from tests import house
from tests.journeys import traces
from tests.journeys.test_spooling import ended, held

MANY = 300


def test_hundreds_that_must_wait_stop_no_mail(newsletter, sink, tmp_path):
    """Each cost every lane 50 ms before each lease and window: three hundred stopped alerts and what people wait for by 15 s."""
    house.add_readers(newsletter, tmp_path, house.addresses(MANY + 1))
    joining.ask(newsletter.parts, Wish("new@example.org", "en", {house.DIGEST: "weekly"}))
    joining.work(newsletter.parts)
    for reader in range(1, MANY + 2):
        spooling.keep(newsletter.settings.home, spooling.Wish(reader, None))
    with held(newsletter, *range(1, MANY + 1)):
        began = time.monotonic()
        newsletter.deliver("transactional", seconds=3)
        assert (len(sink.messages), ended(newsletter)) == (1, [MANY + 1])
        assert time.monotonic() - began < 5
    newsletter.sweep()
    time.sleep(spooling.AGAIN_SECONDS)
    newsletter.sweep()
    assert len(ended(newsletter)) == MANY + 1


def test_who_is_told_done_while_somebody_is_at_them_gets_nothing_more(newsletter, sink, tmp_path):
    """Nothing of an issue on its way, and nothing of one that begins meanwhile, for as long as it lasts."""
    on_its_way = house.issue(newsletter, tmp_path, addresses=house.addresses(3))
    publish.send(newsletter.parts, on_its_way.issue)
    newsletter.sweep()
    with held(newsletter, 1, 2):
        leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(1, 1, 1))
        assert leaving.leave_everything(newsletter.parts, _preferences(newsletter, 2)) is False
        assert _states(newsletter) == ["cancelled", "cancelled", "planned"], "a window asks for these"
        newsletter.deliver("bulk", seconds=3)
        house.add_articles(newsletter, tmp_path, "It rains")
        publish.send(newsletter.parts, publish.compose(newsletter.parts, house.DIGEST).issue)
        newsletter.sweep()
        newsletter.deliver("bulk", seconds=3)
    assert [one.recipient for one in sink.messages] == [house.addresses(3)[2]] * 2


def test_pages_answer_while_many_who_leave_are_held(newsletter, tmp_path):
    """Each kept one of a process's connections for three seconds: the page of nobody else came meanwhile."""
    house.add_readers(newsletter, tmp_path, house.addresses(31))
    tokens = [newsletter.parts.tokens.leave(number, 1, 1) for number in range(1, 32)]
    with held(newsletter, *range(1, 31)):
        pressing = [threading.Thread(target=leaving.leave, args=(newsletter.parts, one)) for one in tokens[:30]]
        for one in pressing:
            one.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert leaving.offer(newsletter.parts, tokens[30]).subscribed
        assert time.monotonic() - began < 2
        for one in pressing:
            one.join(20)
    leaving.drain(newsletter.parts)
    assert ended(newsletter) == list(range(1, 31))


def test_the_page_after_leaving_everything_says_so_while_somebody_is_at_it(newsletter, tmp_path):
    """She read "saved" above her digests, each as ticked as before, and took it that leaving does not work."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    link = f"/p/{_preferences(newsletter, 1)}"
    with TestClient(create(newsletter)) as pages:
        with held(newsletter, 1):
            page = pages.post(link, data={"action": "leave"}).text
            assert ("You have left" in page, " checked" in page) == (True, False)
        leaving.drain(newsletter.parts)
        assert " checked" not in pages.post(link, data={"action": "leave"}).text


def test_the_pages_start_whatever_becomes_of_what_they_kept(newsletter, tmp_path, database_urls, sink):
    """By them people leave and alerts are stopped: one wish that cannot be written must not keep all that from everybody."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    spooling.keep(web.settings.home, spooling.Wish(1, None))
    with psycopg.connect(traces.plain(database_urls.owner), autocommit=True) as owner:
        owner.execute("REVOKE ALL ON consent_event FROM newsletter_web")
    with TestClient(create(web)) as pages:
        assert pages.get("/").status_code == 200
    leaving.drain(newsletter.parts)
    assert ended(newsletter) == [1]


def test_a_yes_that_follows_is_no_part_of_what_waits(newsletter, tmp_path):
    """Her page said "saved", and five seconds later the wish of before ended it: of the two the later one is hers."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    with held(newsletter, 1, 2):
        for reader in (1, 2):
            assert leaving.leave_everything(newsletter.parts, _preferences(newsletter, reader)) is False
    assert choosing.choose(newsletter.parts, house.fresh_link(newsletter, 1), Level.EVERYTHING)
    assert not choosing.choose(newsletter.parts, _preferences(newsletter, 2), Level.EVERYTHING), "any old mail would do"
    leaving.drain(newsletter.parts)
    with newsletter.parts.database.transaction() as session:
        live = session.execute(text("SELECT subscriber_id FROM subscription WHERE ended_at IS NULL")).scalars().all()
    assert live == [1]


def _preferences(newsletter, reader):
    return newsletter.parts.tokens.preferences(reader, now=datetime.now(UTC))


def _states(newsletter):
    with newsletter.parts.database.transaction() as session:
        return list(session.execute(text("SELECT state FROM delivery ORDER BY subscriber_id")).scalars())
