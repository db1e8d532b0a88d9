"""A relay that bears few sessions: bulk mail leaves one to whoever comes first, before anybody notices."""

import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.delivery import crowding, standing
from newsletter.issues import digests
from newsletter.journeys import alert, joining, publish
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes import smtp


class Small(smtp.Sink):
    """A server that bears so many sessions at once."""

    most = 4
    now = 0

    async def serve(self, reader, writer):
        self.now += 1
        try:
            if self.now > self.most:
                writer.write(b"421 4.7.0 Error: too many concurrent connections from this client\r\n")
                writer.close()
            else:
                await super().serve(reader, writer)
        finally:
            self.now -= 1


@pytest.fixture
def small():
    with smtp.running(Small(delay_seconds=lambda: 0.1)) as sink:
        yield sink


@pytest.fixture
def crew(small, tmp_path, database_urls, request):
    """Return a product for each of several processes, and whom to alert."""
    url = f"{small.url}?{getattr(request, 'param', 'connections=4')}"
    found = [house.build(tmp_path, database_urls, url) for _ in range(4)]
    with found[0].parts.database.transaction() as session:
        digests.add(session, "few", name="few", languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(found[0], tmp_path, [f"few{number}@example.net" for number in range(5)], digest="few")
    yield found
    for one in found:
        one.close()


def digest(made, tmp_path, readers):
    addresses = [f"reader{number}@{at}" for number in range(readers // 2) for at in ("gmail.com", "outlook.com")]
    publish.send(made.parts, house.issue(made, tmp_path, addresses=addresses).issue)


def alarm(made, tmp_path):
    (tmp_path / "alert.md").write_text("# Leave the valley\n\nThe dam is breaking.\n")
    alert.send(made.parts, [str(tmp_path / "alert.md")], digest_key="few")


@contextmanager
def working(lane, *workers):
    """Let these work a lane, meanwhile, a turn after the other."""
    ended = threading.Event()

    def loop(made):
        while not ended.is_set():
            made.deliver(lane, seconds=30, until=ended.is_set)
            ended.wait(0.3)

    threads = [threading.Thread(target=loop, args=[one], daemon=True) for one in workers]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        ended.set()
        for one in threads:
            one.join(20)


def handed_over(sink, to, *, within=15.0):
    """Return how many seconds it takes until the first message to somebody is handed over."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        if any(one.recipient.startswith(to) for one in list(sink.messages)):
            return time.monotonic() - began
        time.sleep(0.02)
    return within


def test_a_sender_without_work_keeps_no_session(small, crew, tmp_path):
    """The digest is over, and its idle sessions would shut the alert out until the relay ends them: five minutes, with Postfix."""
    bulk, urgent, *_ = crew
    digest(bulk, tmp_path, 40)
    assert bulk.deliver("bulk", seconds=20) == 40
    alarm(bulk, tmp_path)
    assert urgent.deliver("urgent", seconds=1) == 5


@pytest.mark.parametrize(
    ("crew", "senders", "most"),
    [("connections=4", 1, 4), ("connections=8", 2, 4), ("connections=8&rate=60", 2, 4), ("connections=8", 1, 1)],
    indirect=["crew"],
    ids=["one", "two", "two at a pace", "one session for all"],
)
def test_an_alert_has_a_session_at_once_where_bulk_mail_holds_them_all(small, crew, senders, most, tmp_path):
    """Ordinary relays bear three to ten: a digest of two hours would be two hours in which no alert goes."""
    urgent, *others = crew
    small.most = most
    digest(urgent, tmp_path, 800)
    with working("bulk", *others[:senders]):
        time.sleep(1)
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            assert handed_over(small, "few") < 2.0
    assert len(small.messages) < 700, "beside a digest"


def test_a_service_mail_has_one_beside_an_alert(small, crew, tmp_path):
    """Whoever waits for a link in the hour of an alert waits ten seconds for it, not until everybody is warned."""
    transactional, urgent, *_ = crew
    house.add_readers(urgent, tmp_path, [f"few{number}@example.org" for number in range(300)], digest="few")
    alarm(urgent, tmp_path)
    with working("urgent", urgent):
        handed_over(small, "few")
        joining.ask(transactional.parts, Wish("ann@example.org", "en", {"few": "weekly"}))
        joining.work(transactional.parts)
        with working("transactional", transactional):
            assert handed_over(small, "ann") < 2.0
    assert len(small.messages) < 300, "beside an alert"


def test_bulk_mail_goes_on_beside_an_alert_and_after_it(small, crew, tmp_path):
    """It gives up half, not all: a digest that stops for each service mail would never be over."""
    urgent, bulk, *_ = crew
    digest(urgent, tmp_path, 100)
    with working("bulk", bulk):
        time.sleep(0.5)
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            handed_over(small, "few")
            before = len(small.messages)
            time.sleep(0.7)
    assert len(small.messages) - before > 8, "the alert is four more"
    assert bulk.deliver("bulk", seconds=30)
    assert len(small.messages) == 105


@pytest.mark.parametrize(
    ("held", "lane", "stay"),
    [
        (8, "bulk", 4),
        (3, "bulk", 1),
        (1, "bulk", 0),
        (0, "bulk", 0),
        (8, "urgent", 4),
        (1, "urgent", 1),
        (0, "urgent", 0),
        (1, "transactional", 1),
    ],
)
def test_who_holds_sessions_keeps_half_of_them(held, lane, stay):
    """An alert never loses its last one, or two lanes would take it from each other for ever."""
    assert crowding.kept(held, Lane(lane)) == stay


def test_one_that_found_none_is_remembered_for_a_moment(newsletter):
    """Bulk mail holds back for ten seconds, and after the clock was set back not for an hour."""
    relay = Relay.parse("smtp://127.0.0.1:9")
    with newsletter.parts.database.transaction() as session:
        assert standing.crowded_at(session, relay) is None
        standing.crowded(session, relay)
        assert standing.crowded_at(session, relay)
        assert standing.crowded_at(session, relay, within=timedelta(0)) is None
        session.execute(text("UPDATE relay_state SET crowded_at = now() + interval '1 hour'"))
        assert standing.crowded_at(session, relay) is None
