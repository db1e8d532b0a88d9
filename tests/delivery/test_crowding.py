"""A relay that bears few sessions: bulk mail leaves one to whoever comes first, before anybody notices."""

import asyncio
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, takewhile

import pytest
from sqlalchemy import text

from newsletter.delivery import crowding, needs
from newsletter.issues import digests
from newsletter.journeys import alert, joining, publish
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes import smtp


class Small(smtp.Sink):
    """A server that bears so many sessions at once; those `beside` it, by another port, count as well."""

    most = 4
    now = 0
    beside = None

    async def serve(self, reader, writer):
        self.now += 1
        try:
            if self.now + (self.beside.now if self.beside else 0) > self.most:
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
    few(found[0], tmp_path)
    yield found
    for one in found:
        one.close()


def few(made, tmp_path, readers=5):
    with made.parts.database.transaction() as session:
        digests.add(session, "few", name="few", languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(made, tmp_path, [f"few{number}@example.net" for number in range(readers)], digest="few")


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


def until(true, *, within=60.0):
    """Wait for what a test needs before it looks."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def busy(sink):
    """Wait until a digest holds each session of a server, and has had some mail through all of them."""
    until(lambda: sink.now >= sink.most and len(sink.messages) >= 4 * sink.most)


def overtook(sink, to, *, others=None):
    """Wait for the first message to somebody; return how many messages to others were handed over before it, from now on.

    Counted rather than timed: a second of `Small` is ten messages a session, and less where the machine has other things to do.
    That nobody's mail goes at all is no turn for anybody: it comes within fifteen seconds all the same.

    others   the server whose messages are counted, where it is another
    """
    began = time.monotonic()
    until(lambda: any(one.recipient.startswith(to) for one in list(sink.messages)), within=15)
    at = next(one.at for one in sink.messages if one.recipient.startswith(to))
    return sum(began <= one.at < at for one in list((others or sink).messages) if not one.recipient.startswith(to))


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
    digest(urgent, tmp_path, 600)
    with working("bulk", *others[:senders]):
        busy(small)
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            assert overtook(small, "few") < 20 * most, "two seconds' worth"
    assert len(small.messages) < 500, "beside a digest"


def test_a_service_mail_has_one_beside_an_alert(small, crew, tmp_path):
    """Whoever waits for a link in the hour of an alert waits ten seconds for it, not until everybody is warned."""
    transactional, urgent, *_ = crew
    house.add_readers(urgent, tmp_path, [f"few{number}@example.org" for number in range(300)], digest="few")
    alarm(urgent, tmp_path)
    with working("urgent", urgent):
        overtook(small, "few")
        joining.ask(transactional.parts, Wish("ann@example.org", "en", {"few": "weekly"}))
        joining.work(transactional.parts)
        with working("transactional", transactional):
            assert overtook(small, "ann") < 80, "two seconds' worth"
    assert len(small.messages) < 300, "beside an alert"


@pytest.mark.parametrize(("most", "senders"), [(1, 1), (2, 2)], ids=["one", "two"])
def test_a_service_mail_has_its_turn_where_alerts_hold_each_session(small, crew, tmp_path, most, senders):
    """Each sender of the alert kept its last session to its end, and compose.yml runs two: no confirmation so long."""
    transactional, *urgent = crew[: senders + 1]
    small.most = most
    house.add_readers(transactional, tmp_path, [f"few{number}@example.org" for number in range(300)], digest="few")
    house.add_readers(transactional, tmp_path, [f"few{number}@gmail.com" for number in range(300)], digest="few")
    alarm(transactional, tmp_path)
    with working("urgent", *urgent):
        busy(small)
        joining.ask(transactional.parts, Wish("ann@example.org", "en", {"few": "weekly"}))
        joining.work(transactional.parts)
        with working("transactional", transactional):
            assert overtook(small, "ann") < 80 * most, "eight seconds' worth"
            at = len(small.messages)
            until(lambda: len(small.messages) - at > 3, within=6)  # the alert goes on
    assert len(small.messages) < 600, "beside an alert"


def test_an_alert_does_not_wait_for_the_end_of_service_mail(small, crew, tmp_path):
    """It had no session of the only one until all thirty-five had gone; and these go on beside it, in turns."""
    service, urgent, *_ = crew
    small.most = 1
    house.add_readers(service, tmp_path, [f"few{number}@example.org" for number in range(120)], digest="few")
    for number in range(70):
        joining.ask(service.parts, Wish(f"ann{number}@example.org", "en", {"few": "weekly"}))
    joining.work(service.parts)
    with working("transactional", service):
        overtook(small, "ann")
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            assert overtook(small, "few") < 20, "two seconds' worth"
            began = len(small.messages)
            time.sleep(13)
    since = [one.recipient[:3] for one in small.messages[began:]]
    assert min(since.count("few"), since.count("ann")) >= 0.2 * len(since)


def test_an_alert_has_a_session_through_another_door_of_the_same_server(small, tmp_path, database_urls):
    """Servers count by our address: bulk mail through one port kept alerts of another out, and nobody told it of the need."""
    with smtp.running(Small(delay_seconds=small.delay_seconds)) as door:
        door.beside, small.beside = small, door
        made = [
            house.build(
                tmp_path, database_urls, f"{small.url}?connections=4", relay_url_urgent=f"{door.url}?connections=4"
            )
            for _ in range(2)
        ]
        bulk, urgent = made
        few(urgent, tmp_path)
        digest(bulk, tmp_path, 600)
        with working("bulk", bulk):
            busy(small)
            alarm(urgent, tmp_path)
            with working("urgent", urgent):
                assert overtook(door, "few", others=small) < 80, "two seconds' worth"
        for one in made:
            one.close()


def test_an_alert_asks_for_a_session_at_its_second_relay_too(small, sink, tmp_path, database_urls):
    """Half of its promised pace stayed away for as long as a digest held the only session there, and nobody was asked for it."""
    small.most = 1
    urgently = f"{sink.url}?rate=10&weight=1000 {small.url}?rate=10"
    made = [
        house.build(tmp_path, database_urls, f"{small.url}?connections=4", relay_url_urgent=urgently) for _ in range(2)
    ]
    bulk, urgent = made
    few(urgent, tmp_path, 200)
    digest(bulk, tmp_path, 600)
    with working("bulk", bulk):
        busy(small)
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            overtook(sink, "few")
            assert overtook(small, "few") < 30, "three seconds' worth"
    for one in made:
        one.close()


def test_a_stranger_who_has_all_sessions_is_not_pressed():
    """A server that counts connections in a minute, those it turns away among them, would keep us out for as long as we ask."""
    found = crowding.pauses()
    first = [next(found) for _ in range(4)]
    assert sum(first) <= 2.0, "ours give way within a moment"
    assert sum(1 for _ in takewhile(lambda at: at < 60, accumulate(chain(first, found)))) <= 18


@pytest.fixture
def rooms(newsletter):
    """Two senders' rooms at one relay, which are seen to give their sessions up and have them again."""
    relay = newsletter.parts.relays[Lane.URGENT][0]
    return [crowding.Room(newsletter.parts.database, relay, Held()) for _ in range(2)]


class Held:
    """A pool of one session."""

    resting = 1

    async def keep(self, most):
        self.resting = min(self.resting, most)


def test_who_has_waited_long_is_there_in_its_own_turn(rooms):
    """It slept eight seconds through four of its own: the other had given its session up for it, and taken it again."""
    theirs, ours = rooms
    ours.pool.resting = 0
    for _ in range(12):
        ours.found_none(Lane.URGENT)
    assert ours.shut(Lane.URGENT) > 7
    assert asyncio.run(theirs.make(Lane.TRANSACTIONAL)) is False
    assert theirs.pool.resting == 0
    assert not asyncio.run(ours.make(Lane.URGENT))
    assert ours.shut(Lane.URGENT) < 2
    assert 3 < theirs.shut(Lane.TRANSACTIONAL) <= 4


def test_a_stranger_s_relay_is_not_asked_more_often_for_the_turns_that_its_own_no_begins(rooms, newsletter):
    """With nobody else waiting each try began a turn and was made again twice in it: fifteen in a minute instead of eight."""
    ours = rooms[0]
    ours.pool.resting = 0
    for _ in range(12):
        ours.found_none(Lane.URGENT)
    for _ in range(3):
        with newsletter.parts.database.transaction() as session:
            session.execute(text("UPDATE relay_state SET crowded_since = crowded_since - interval '8 seconds'"))
        ours.found_none(Lane.URGENT)
        assert not asyncio.run(ours.make(Lane.URGENT))
        assert ours.shut(Lane.URGENT) > 7
    assert ours.strange(Lane.URGENT)


def test_what_bulk_mail_was_refused_keeps_no_alert_of_the_same_process_waiting(rooms):
    """A worker may serve every lane: the alert has not asked yet, and nobody gives way before it has."""
    ours = rooms[0]
    ours.pool.resting = 0
    for _ in range(12):
        ours.found_none(Lane.BULK)
    assert asyncio.run(ours.make(Lane.URGENT))
    assert not asyncio.run(ours.make(Lane.BULK))


def test_bulk_mail_goes_on_beside_an_alert_and_after_it(small, crew, tmp_path):
    """It gives up half, not all: a digest that stops for each service mail would never be over."""
    urgent, bulk, *_ = crew
    digest(urgent, tmp_path, 100)
    with working("bulk", bulk):
        busy(small)
        alarm(urgent, tmp_path)
        with working("urgent", urgent):
            overtook(small, "few")
            before = len(small.messages)
            until(lambda: len(small.messages) - before > 8, within=5)  # the alert is four more
    assert bulk.deliver("bulk", seconds=30)
    assert len(small.messages) == 105


@pytest.mark.parametrize(
    ("held", "lane", "turn", "stay"),
    [
        (8, "bulk", "urgent", 4),
        (3, "bulk", "urgent", 1),
        (1, "bulk", "transactional", 0),
        (0, "bulk", "urgent", 0),
        (8, "urgent", "transactional", 4),
        (8, "urgent", "urgent", 4),
        (1, "urgent", "urgent", 1),
        (0, "urgent", "urgent", 0),
        (1, "urgent", "transactional", 0),
        (1, "transactional", "transactional", 1),
        (1, "transactional", "urgent", 0),
    ],
)
def test_who_holds_sessions_keeps_half_of_them(held, lane, turn, stay):
    """An alert loses its last one in the turn of service mail alone: two alerts would take it from each other for ever."""
    assert crowding.kept(held, Lane(lane), Lane(turn)) == stay


def test_one_that_found_none_is_remembered_for_a_moment(newsletter):
    """Bulk mail holds back for ten seconds, and after the clock was set back not for an hour; by whichever port the alert goes."""
    relay, door = Relay.parse("smtp://127.0.0.1:9"), Relay.parse("smtp://127.0.0.1:10")
    with newsletter.parts.database.transaction() as session:
        assert needs.known(session, relay)[0] is None
        needs.tell(session, relay, Lane.URGENT)
        need, now = needs.known(session, door)
        assert need == needs.Need(need.at, Lane.URGENT, need.at)
        assert need.at <= now
        assert needs.known(session, relay, within=timedelta(0))[0] is None
        session.execute(text("UPDATE relay_state SET crowded_at = now() + interval '1 hour'"))
        assert needs.known(session, relay)[0] is None


NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lane", "seconds", "turn"),
    [
        ("transactional", 3.9, "urgent"),
        ("transactional", 4, "transactional"),
        ("urgent", 5.9, "urgent"),
        ("urgent", 6, "anew"),
        ("transactional", -1, "transactional"),
    ],
)
def test_alerts_and_service_mail_have_the_room_in_turns(lane, seconds, turn):
    """Neither waits until the other is over, and the other has two seconds in which nobody begins its own turn anew."""
    need = needs.Need(NOW, Lane.URGENT, NOW)
    then = NOW + timedelta(seconds=seconds)
    following = need.again(Lane(lane), then)
    assert following.at == then
    assert following.lane is (Lane.URGENT if turn == "anew" else Lane(turn))
    assert following.since == (NOW if turn == "urgent" else then)


def test_a_lane_leaves_the_room_to_the_other_for_a_moment():
    """Who gave its session up would else have it back before the other, that tries once a second, has asked."""
    need = needs.Need(NOW, Lane.TRANSACTIONAL, NOW)
    assert need.left(Lane.URGENT, NOW + timedelta(seconds=1)) == timedelta(seconds=1.5)
    assert need.left(Lane.URGENT, NOW + timedelta(seconds=3)) == timedelta(0)
    assert need.left(Lane.URGENT, NOW - timedelta(hours=1)) == timedelta(0), "the clock was set back"
    assert need.left(Lane.TRANSACTIONAL, NOW) == timedelta(0)
