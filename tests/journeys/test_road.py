"""By which road an alert will travel: read from the relays' books before it goes, by whoever must decide at night."""

import pytest
from sqlalchemy import text

from newsletter import database, languages
from newsletter.delivery import standing
from newsletter.journeys import alert, desk, drafting, halting, mailing, publish, retracting
from newsletter.ledger.mailings import Lane
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.operators.crew import Crew


@pytest.fixture
def build(tmp_path, database_urls, sink):
    """Make a product whose relay has such limits."""
    opened = []

    def build(limits, **more):
        opened.append(house.build(tmp_path, database_urls, f"{sink.url}?{limits}", **nights.RULES, **more))
        return opened[-1]

    yield build
    for made in opened:
        made.close()


@pytest.fixture
def crew(build, tmp_path, database_urls, sink):
    worker = build("rate=14")
    web = house.build(tmp_path, database_urls, sink.url, web=True, **nights.RULES)
    yield Crew(worker.parts.database, web.parts.database)
    web.close()


def road(made, number):
    return desk.checked(made.parts, desk.shown(made.parts, number)).plan


def takes(made, number, *, readers):
    """Return for how many seconds an alert to so many goes, as it is promised."""
    with made.parts.database.transaction() as session:
        begins = database.now(session)
    return (mailing.promise(made.parts, number, readers=readers).ends_at - begins).total_seconds()


def test_a_relay_that_is_away_carries_nothing_of_what_is_promised(build, crew, tmp_path, sink):
    """The fast one of two is down tonight: "in two seconds" would have been the last that anybody believed."""
    made = build("rate=1", relay_url_urgent=f"{sink.url}?rate=1 smtp://127.0.0.1:9?rate=49")
    number = nights.locked(made, tmp_path, crew.member(Role.SENDER), 4)
    assert takes(made, number, readers=100) == pytest.approx(2, abs=1)
    slow, fast = made.parts.relays["urgent"]
    with made.parts.database.transaction() as session:
        standing.closed(session, fast)
    assert takes(made, number, readers=100) == pytest.approx(100, abs=1)
    with made.parts.database.transaction() as session:
        standing.closed(session, slow)
    assert takes(made, number, readers=100) == pytest.approx(2, abs=1), "none answers: as soon as they are back"


def used(made, lane, messages):
    """Hand so many messages to the relay today."""
    facts = {"relay": made.parts.relays["urgent"][0].name, "lane": lane, "used": messages}
    with made.parts.database.transaction() as session:
        spent = """
            INSERT INTO relay_use (relay, minute, lane, used) VALUES (:relay, date_trunc('minute', now()), :lane, :used)
            ON CONFLICT (relay, minute, lane) DO UPDATE SET used = relay_use.used + excluded.used
        """
        session.execute(text(spent), facts)


def test_the_road_is_read_from_the_relay_s_books(build, crew, tmp_path, sink):
    """What the digest of the evening used up is not there at night; what it must leave is."""
    made = build("rate=14&daily=5000&reserve=4000")
    number = nights.locked(made, tmp_path, crew.member(Role.SENDER), 4)
    used(made, "bulk", 800)
    used(made, "urgent", 200)
    name = made.parts.relays["urgent"][0].name
    assert road(made, number) == (
        ("plan.lane", {}),
        ("plan.pace", {"relay": name, "pace": "14"}),
        ("plan.day", {"left": "3,900", "daily": "5,000"}),
        ("plan.reserve", {"reserve": "4,000"}),
        ("plan.alone", {}),
    )
    used(made, "urgent", 3_898)
    assert ("plan.short", {"missing": "2"}) in road(made, number)


def test_a_digest_under_way_is_named_and_so_is_what_it_takes(build, crew, tmp_path, sink):
    """By one relay it takes a tenth of the pace; where alerts have a relay of their own, nothing."""
    made = build("rate=10")
    issue = house.issue(made, tmp_path, addresses=house.addresses(200))
    publish.send(made.parts, issue.issue)
    number = nights.locked(made, tmp_path, crew.member(Role.SENDER), 4)
    assert [facts.get("pace") for _, facts in road(made, number)] == [None, "9", None]
    assert road(made, number)[-1] == ("plan.digest-shares", {})
    assert takes(made, number, readers=1000) == pytest.approx(1000 / 9, abs=1), "the promise knows it as well"
    own = build("rate=10", relay_url_urgent=f"smtp://news:secret@localhost:{sink.url.rpartition(':')[2]}?rate=10")
    said = road(own, number)
    assert [facts.get("pace") for _, facts in said] == [None, "10", None]
    assert said[-1] == ("plan.digest-apart", {})
    assert takes(own, number, readers=1000) == pytest.approx(100, abs=1)
    assert "secret" not in str(said)


def test_every_sentence_of_a_road_is_worded(build, crew, tmp_path):
    """A sentence nobody wrote would be shown as its id."""
    made = build("rate=14&hourly=900&daily=5000")
    number = nights.locked(made, tmp_path, crew.member(Role.SENDER), 4)
    for message, facts in road(made, number):
        assert not languages.say(message, **facts).startswith("plan."), message


def test_an_approved_alert_is_promised_before_it_is_released(build, crew, tmp_path):
    """Its rows are written as it goes; whoever is about to press the button asks before that."""
    made = build("rate=0.05")
    number = nights.locked(made, tmp_path, crew.member(Role.SENDER), 4)
    other = crew.member(Role.APPROVER, name="Noor Holm")
    before = mailing.promise(made.parts, number)
    alert.approve_by_code(made.parts, number, by=other.id, code=other.code(nights.now(made)))
    after = mailing.promise(made.parts, number)
    assert before is not None
    assert after is not None
    assert abs((after.ends_at - before.ends_at).total_seconds()) < 30


def test_what_was_promised_is_kept_and_the_truth_stands_beside_it(build, crew, tmp_path):
    """Two today, two tomorrow: said before it goes, while it goes, and held against what became of it."""
    made = build("daily=3&rate=14")
    author, approver = crew.member(Role.SENDER), crew.member(Role.APPROVER, name="Noor Holm")
    number = nights.locked(made, tmp_path, author, 4)
    used(made, "urgent", 1)

    def said(sentences):
        return " ".join(languages.say(message, **facts) for message, facts in sentences)

    before = said(desk.checked(made.parts, desk.shown(made.parts, number)).promise)
    assert before.startswith("50 % handed over by ")
    assert "2 after " in before
    assert "because of today's quota" in before
    assert desk.kept(made.parts, desk.shown(made.parts, number)) == ()
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    alert.release(made.parts, number, by=author.id)
    going = said(desk.kept(made.parts, desk.shown(made.parts, number)))
    assert "50 % handed over by " in going
    assert going.endswith("So far: 0 %, 0 of 4 handed over.")
    alert.stop(made.parts, number)
    assert said(desk.kept(made.parts, desk.shown(made.parts, number))).endswith("UTC: 0 of 4 handed over.")


def test_a_lane_that_stands_still_is_said_in_the_place_of_a_promise(build, crew, tmp_path, sink):
    """Somebody paused everything and forgot it: "ahead of everything else" was the last anybody heard of the alert."""
    made, author = build("rate=14"), crew.member(Role.SENDER)
    house.add_readers(made, tmp_path, house.addresses(2))
    halting.pause(made.parts, [Lane.URGENT])
    number = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=author.id)

    def said():
        found = desk.shown(made.parts, number)
        before = desk.checked(made.parts, found)
        return [message for message, _ in (*before.plan, *before.promise)], [
            one for one, _ in desk.kept(made.parts, found)
        ]

    before, _ = said()
    assert "plan.paused" in before
    assert "plan.lane" not in before
    assert before[-1] == "promise.paused"
    alert.lock(made.parts, number, by=author.id)
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert sink.messages == []
    assert said()[1] == ["plan.paused"], "nobody knew until when, so nothing was promised as it was let go"
    halting.resume(made.parts, [Lane.URGENT])
    made.deliver("urgent")
    assert (len(sink.messages), said()[1]) == (2, [])
    halting.pause(made.parts, [Lane.URGENT])
    assert said()[1] == [], "all have it: nothing of it waits"
    retracting.retract(made.parts, number)
    assert said()[1] == ["plan.paused"], "nor does what takes it back go"
