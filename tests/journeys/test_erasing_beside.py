"""Somebody is erased while a worker or their own page writes of them: nothing of it is left."""

import threading

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import confirming, erasing, joining, owners
from newsletter.subscribers import signup
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.journeys.test_beside_a_list import ANN, ask
from tests.journeys.test_beside_an_undo import link, wait_until_blocked

LEFT = """SELECT (SELECT count(*) FROM subscriber), (SELECT count(*) FROM consent_detail),
    (SELECT count(*) FROM subscription WHERE ended_at IS NULL), (SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL)"""


@pytest.fixture
def erasing_her(newsletter):
    """Begin to erase Ann, as she was known before; return the thread."""

    def begin():
        with newsletter.parts.database.transaction() as session:
            whose = erasing.whose(session, address=EmailAddress.parse(ANN))
        return threading.Thread(target=lambda: erasing.erase(newsletter.parts, whose, by="shell"))

    return begin


def test_a_yes_beside_her_erasure_makes_no_reader_without_an_address(newsletter, erasing_her):
    """A worker was bringing her in: the erasure was done, and her name, proof and subscription stood there for good."""
    parts = newsletter.parts
    joining.ask(parts, Wish(ANN, "en", {"weekly": "weekly"}, name="Ann Novak"))
    joining.work(parts)
    newsletter.deliver("transactional", seconds=3)
    confirming.confirm(parts, house.yes_link(newsletter, 1))
    confirming.judge(parts)
    thread = erasing_her()
    with parts.database.transaction() as turn:
        assert signup.claim(turn)
        owners.bring_in(turn, parts, signup.answered(turn, [1]), database.now(turn))
        thread.start()
        wait_until_blocked(newsletter)
    thread.join(20)
    assert ask(newsletter, LEFT) == [(0, 0, 0, 0)]


def test_what_she_adds_beside_her_erasure_goes_with_the_rest(newsletter, tmp_path, database_urls, sink, erasing_her):
    """How she said it, sealed, stayed behind: her page was not through when the details of all she had said were deleted."""
    house.add_readers(newsletter, tmp_path, [ANN])
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.DAILY)
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    form, said = {"rhythm-news": "daily", "language": "en", "zone": "UTC"}, []
    thread, hers = erasing_her(), link(newsletter, 1)
    with TestClient(create(web), raise_server_exceptions=False) as pages:
        page = threading.Thread(target=lambda: said.append(pages.post(f"{hers}/more", data=form)))
        with newsletter.parts.database.transaction() as other:
            # What the page waits for when it has written that she said yes.
            other.execute(text("SELECT id FROM subscription WHERE subscriber_id = 1 FOR UPDATE")).all()
            page.start()
            wait_until_blocked(web)
            thread.start()
            wait_until_blocked(newsletter)
        page.join(20)
        thread.join(20)
    web.close()
    assert said[0].status_code == 200
    assert ask(newsletter, LEFT) == [(0, 0, 0, 0)]
