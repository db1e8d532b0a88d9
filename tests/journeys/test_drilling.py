"""Each morning the urgent lane is tried on the team's own mailboxes, and nobody else's, and a lamp says what was found."""

from contextlib import closing
from datetime import time, timedelta

import pytest
from sqlalchemy import text

from newsletter.campaigns import drills
from newsletter.errors import NewsletterError
from newsletter.issues import digests
from newsletter.journeys import drilling
from newsletter.operators import people
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.templating import BrokenTemplate
from tests import house
from tests.fakes import smtp
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.operators.crew import Crew
from tests.reliability.machine import Machine, wait_for


@pytest.fixture
def make(tmp_path, database_urls, sink):
    """Make a product, or another over the same database."""
    opened = []

    def one(url=None, **more):
        opened.append(house.build(tmp_path, database_urls, url or sink.url, **more))
        return opened[-1]

    yield one
    for made in opened:
        made.close()


@pytest.fixture
def made(make):
    return make()


def enrolled(urls, folder):
    """Make a product whose team has enrolled."""
    with (
        closing(house.build(folder, urls, "smtp://127.0.0.1:9")) as made,
        closing(house.build(folder, urls, "smtp://127.0.0.1:9", web=True)) as web,
    ):
        crew = Crew(made.parts.database, web.parts.database)
        senders = crew.member(Role.SENDER), crew.member(Role.APPROVER, name="Noor Holm")
        return {"team": [*senders, crew.member(name="Omid Keller")]}


@pytest.fixture
def begun(moulds, tmp_path):
    """A copy of it."""
    with moulds.copied(__name__, enrolled, tmp_path) as begun:
        yield begun


@pytest.fixture
def crew(made, make):
    return Crew(made.parts.database, make(web=True).parts.database)


@pytest.fixture
def team(begun, made):
    return begun.facts["team"]


def done(made):
    """Make a drill and let the lane's worker and the sweep do theirs."""
    number = drilling.drill(made.parts)
    made.deliver("urgent")
    assert drilling.look(made.parts) == 1
    return number


def age(make_owner, number, seconds):
    """Let time pass for a drill."""
    with make_owner.begin() as connection:
        connection.execute(
            text("UPDATE drill SET asked_at = asked_at - make_interval(secs => :s) WHERE id = :n"),
            {"s": seconds, "n": number},
        )


@pytest.fixture
def owner(database_urls):
    from sqlalchemy import create_engine

    engine = create_engine(database_urls.owner)
    yield engine
    engine.dispose()


def test_a_drill_goes_to_the_team_and_to_nobody_else(made, tmp_path, team, sink):
    """Readers sleep; whoever may send tonight knows in the morning that the way is clear."""
    house.add_readers(made, tmp_path, house.addresses(5))
    done(made)
    assert sorted(message.recipient for message in sink.messages) == [one.address for one in team]
    mail = read(sink.messages[0])
    assert mail["Subject"].startswith("Drill 1:")
    assert "no reader has it" in " ".join(mail.get_body(("plain",)).get_content().split())
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.last.accepted, lit.last.mailboxes, lit.last.reach, lit.last.quota) == (True, 3, 3, 5, None)
    assert 0 < lit.last.seconds < 30
    assert drilling.sentence(lit).endswith("3 of 3 mailboxes, reach 5, quota enough")
    assert nights.calls(made) == []


def test_it_is_composed_as_an_alert_is(made, tmp_path, team, sink):
    """A note of the team's own look would prove the road, and not that an alert comes out of it."""
    done(made)
    mail = read(sink.messages[0])
    assert mail["List-Id"] == '"Friends of Sarand" <drill.sarand.example>'
    assert "Urgent" in mail.get_body(("html",)).get_content()
    assert mail["List-Unsubscribe"].startswith("<http://127.0.0.1:8080/u/")


@pytest.mark.parametrize(
    ("what", "breaks", "error"),
    [
        ("alert/body.html", "{{ nobody_knows }}", BrokenTemplate),
        ("_layout/frame.txt", "{{ content }}{% if language == 'fa' %}{{ nobody_knows }}{% endif %}", BrokenTemplate),
        ("alert/body.txt", "{% if translates %}{{ 1 + 'a' }}{% endif %}", TypeError),
    ],
)
def test_a_template_that_breaks_alerts_is_found_in_the_morning(make, tmp_path, team, what, breaks, error):
    """In one language, or only where somebody had another: at two in the morning nobody mends a template."""
    own = tmp_path / "own"
    (own / "email" / what).parent.mkdir(parents=True)
    (own / "email" / what).write_text(breaks)
    made = make(templates=own)
    with made.parts.database.transaction() as session:
        digests.add(session, "hafte", name="Hafte", languages=("fa",), rhythm=Rhythm.WEEKLY)
    with pytest.raises(error):
        drilling.drill(made.parts)
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.last.fault) == (False, "not-composed")
    assert "an alert cannot be composed: “newsletter drill” says why" in drilling.sentence(lit)
    assert [event for event, _ in nights.calls(made)] == ["drill-failed"]


def test_nobody_to_alert_is_not_ready(made, team):
    """The way is clear and leads to nobody: an import that ended every subscription is found at breakfast."""
    done(made)
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.what, lit.last.reach) == (False, "proved", 0)
    assert drilling.sentence(lit).endswith("reach 0 (no digest has a reader), quota enough")


def test_each_in_their_language(made, tmp_path, team, sink):
    """As all mails of the team: in the language they chose for it, whatever they take as a reader of ours."""
    people_ = tmp_path / "team.csv"
    people_.write_text(f"email,language\n{team[0].address},fa\n{team[2].address},en\n")
    house.bring(made, people_)
    with made.parts.database.transaction() as session:
        people.speak(session, team[1].id, "fa")
        people.speak(session, team[2].id, "ar")
    done(made)
    subjects = {message.recipient: read(message)["Subject"] for message in sink.messages}
    begin = ("Drill 1", "تمرین 1", "تمرين 1")
    for one, subject in zip(team, begin, strict=True):
        assert subjects[one.address].startswith(subject), subjects


def test_a_relay_s_quota_is_told_before_the_night(make, tmp_path, team, sink):
    """38,000 readers and 12,000 messages left for today: known at breakfast, not at two in the morning."""
    small = make(f"{sink.url}?rate=14&daily=8&hourly=2&connections=1")
    house.add_readers(small, tmp_path, house.addresses(9))
    number = drilling.drill(small.parts)
    with small.parts.database.transaction() as session:
        found = drills.get(session, number)
    assert (found.reach, found.quota, found.enough) == (9, 8, False)


def test_a_mailbox_that_refuses_turns_the_lamp_red_and_calls_the_hook(make, team, sink):
    """Two of three would hear of the night; the third must know that her mailbox is full."""
    refusing = smtp.Sink(refuse=lambda to: "552 5.2.2 mailbox full" if to == team[1].address else None)
    with smtp.running(refusing) as other:
        made = make(other.url)
        number = done(made)
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.what, lit.last.accepted, lit.last.fault) == (False, "failed-first", 2, "late")
    assert "2 of 3 mailboxes" in drilling.sentence(lit)
    assert nights.calls(made) == [("drill-failed", {"drill": number, "accepted": 2, "mailboxes": 3, "why": "late"})]


def test_a_dead_lane_is_known_after_ten_minutes(made, team, owner, sink):
    """No worker takes the urgent lane: nothing says so by itself, so the drill must."""
    number = drilling.drill(made.parts)
    assert drilling.look(made.parts) == 0
    age(owner, number, drills.PATIENCE.total_seconds() + 1)
    made.sweep()
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.last.fault, lit.last.accepted) == (False, "late", 0)
    assert [event for event, _ in nights.calls(made)] == ["drill-failed"]
    assert drilling.look(made.parts) == 0, "told once"


def test_yesterday_s_proof_is_no_proof(made, team, owner):
    """The beat died in the night: the lamp must not go on shining."""
    done(made)
    with owner.begin() as connection:
        connection.execute(text("UPDATE drill SET ended_at = ended_at - interval '27 hours'"))
    lit = drilling.lamp(made.parts)
    assert (lit.ok, lit.what) == (False, "stale")


def test_a_drill_that_cannot_be_composed_is_a_failed_one(make, team):
    """A broken template of the team's mail, or no sender, is found in the morning."""
    silent = make(sender="")
    with pytest.raises(NewsletterError):
        drilling.drill(silent.parts)
    morning = make(sender="", drill_at=time(0, 0))
    assert drilling.run_due(morning.parts) == 1
    lit = drilling.lamp(morning.parts)
    assert (lit.ok, lit.last.fault) == (False, "not-composed")
    assert [event for event, _ in nights.calls(morning)] == ["drill-failed"]


def test_a_morning_has_one_drill_however_many_beats(make, team, sink):
    """Two beats on two machines are harmless, and a restart makes no second."""
    one, two = make(drill_at=time(0, 0)), make(drill_at=time(0, 0))
    assert (drilling.due(one.parts), drilling.due(two.parts)) == (True, True)
    assert drilling.run_due(one.parts) + drilling.run_due(two.parts) == 1
    assert not drilling.due(two.parts)
    one.deliver("urgent")
    assert len(sink.messages) == 3


def test_no_morning_s_drill_where_none_is_set_or_it_is_early(make, made, team):
    """Off is off, and ten past six is not midnight."""
    assert not drilling.due(made.parts)
    here = nights.now(made).astimezone()
    later = (here + timedelta(minutes=5)).time()
    if later > here.time():
        assert not drilling.due(make(drill_at=later).parts)


def test_nobody_is_drilled_where_nobody_has_enrolled(make, made, crew):
    """A new installation has no team, and no red lamp either."""
    crew.add(Role.SENDER)
    assert not drilling.due(make(drill_at=time(0, 0)).parts)
    with pytest.raises(drilling.NoTeam):
        drilling.drill(made.parts)
    assert drilling.lamp(made.parts).ok is None


def test_who_was_disabled_is_not_drilled(made, team, sink):
    """The team is who may log in today."""
    with made.parts.database.transaction() as session:
        people.disable(session, team[2].id, by="shell", now=nights.now(made))
    done(made)
    assert sorted(message.recipient for message in sink.messages) == [one.address for one in team[:2]]


@pytest.mark.proof
@pytest.mark.short
def test_the_beat_makes_it_by_itself(tmp_path, database_urls, redis_url, team, sink):
    """Nobody types anything: real beats, two of them, a desk and a worker of the urgent lane, and the lamp is lit."""
    made = house.build(tmp_path, database_urls, sink.url, redis_url=redis_url)
    house.add_readers(made, tmp_path, house.addresses(1))
    machine = Machine(made, tmp_path / "machine", NEWSLETTER_DRILL_AT="00:00")
    try:
        machine.worker("urgent", "urgent")
        machine.worker("desk", "transactional,events,presses,outside,compose,upkeep")
        machine.beat("one")
        machine.beat("two")
        wait_for(lambda: drilling.lamp(made.parts).ok, seconds=90, every=0.2, what="the morning's drill")
    finally:
        machine.stop()
        made.close()
    drills_ = [message for message in sink.messages if str(read(message)["Subject"]).startswith("Drill")]
    assert sorted(message.recipient for message in drills_) == [one.address for one in team]
