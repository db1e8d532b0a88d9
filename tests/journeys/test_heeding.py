"""An authority's messages and a feed's urgent items become alerts that wait for people, and never one that is sent by itself."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from newsletter import database
from newsletter.campaigns import cap
from newsletter.campaigns.cap import Kind
from newsletter.campaigns.ordering import Why
from newsletter.issues import digests
from newsletter.journeys import (
    alert,
    bulletins,
    desk,
    drafting,
    expiring,
    heeding,
    publicity,
    publish,
    retracting,
    translating,
)
from newsletter.journeys.drafting import Revision
from newsletter.journeys.lasting import MessageOver
from newsletter.journeys.narrowing import Part
from newsletter.journeys.parts import NoSender
from newsletter.ledger import locks, mailings
from newsletter.ledger.mailings import State
from newsletter.operators.roles import Role
from newsletter.subscribers import topics
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.campaigns.samples import named, real, said
from tests.issues.feeds.samples import SEED
from tests.journeys.alerting import read
from tests.journeys.nights import calls
from tests.operators.crew import Crew

A, U = named("A", 0), named("U", 2)
INFO = cap.Info(
    event="Flood",
    urgency=cap.Urgency.IMMEDIATE,
    severity=cap.Severity.SEVERE,
    certainty=cap.Certainty.OBSERVED,
    categories=(cap.Category.SAFETY,),
    headline="The river rises at Sarand",
    description="The lower camp must be left tonight.",
)
ALERT = cap.write(said("A", 0, infos=(INFO,)))
UPDATE = cap.write(said("U", 2, Kind.UPDATE, A, infos=(INFO,)))
LATER = cap.write(said("L", 3, Kind.UPDATE, U, infos=(INFO,)))
CANCEL = cap.write(said("C", 4, Kind.CANCEL, A, U))


@pytest.fixture
def parts(newsletter, tmp_path):
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    return newsletter.parts


@pytest.fixture
def act(parts):
    return heeding.Heeding(parts, house.DIGEST)


def state(parts, number):
    return alert.standing(parts, number).state


def in_hand(parts, number):
    """Return the words of an alert and how it is locked."""
    with parts.database.transaction() as session:
        return mailings.get(session, number).content["words"], alert.standing(parts, number).locked


def released(parts, number):
    alert.lock(parts, number)
    alert.release(parts, number)


def test_an_alert_s_messages_before_it_goes(parts, act, newsletter, sink):
    """A draft, the same draft with newer words, given up: and nobody was sent anything."""
    number = bulletins.take(parts, ALERT, act=act).mailing
    assert bulletins.take(parts, UPDATE, act=act).mailing == number
    assert state(parts, number) is State.DRAFT
    bulletins.take(parts, CANCEL, act=act)
    assert state(parts, number) is State.CANCELLED
    newsletter.sweep()
    assert newsletter.deliver("urgent") == 0
    assert sink.messages == []


@pytest.mark.parametrize("touch", ["edit", "lock"])
def test_what_a_person_has_in_hand_is_not_written_over(parts, act, touch):
    """Somebody's hour of work, or a lock that another is just reading, must not vanish because an authority spoke."""
    number = bulletins.take(parts, ALERT, act=act).mailing
    if touch == "lock":
        alert.lock(parts, number)
    else:
        drafting.edit_words(parts, number, Revision(("# Leave the lower camp\n\nNow.\n",)))
    before = in_hand(parts, number)
    assert bulletins.take(parts, UPDATE, act=act).mailing == number
    assert in_hand(parts, number) == before
    [update] = [one for one in range(number + 1, number + 6) if _updates(parts, one) == number]
    assert bulletins.take(parts, LATER, act=act).mailing == number
    assert [one for one in range(number + 1, number + 9) if _updates(parts, one) == number] == [update]
    bulletins.take(parts, CANCEL, act=act)
    assert (state(parts, number), state(parts, update)) == (State.CANCELLED, State.CANCELLED)


def test_an_alert_s_messages_after_it_went(parts, act, newsletter, sink):
    """What has gone is followed by a draft that somebody must let go, and taken back where the authority does."""
    number = bulletins.take(parts, ALERT, act=act).mailing
    released(parts, number)
    newsletter.deliver("urgent")
    bulletins.take(parts, UPDATE, act=act)
    assert state(parts, number) is State.DONE
    [update] = [one for one in range(number + 1, number + 6) if _updates(parts, one) == number]
    assert state(parts, update) is State.DRAFT
    bulletins.take(parts, CANCEL, act=act)
    assert state(parts, update) is State.CANCELLED
    newsletter.sweep()
    newsletter.deliver("urgent")
    # Nobody can tell who sent a message of CAP: taking back what three readers have is for somebody to do.
    assert (state(parts, number), len(sink.messages)) == (State.DONE, 3)


def test_what_follows_one_for_some_is_for_the_same(parts, act):
    """Somebody made the authority's alert one for those at the river: its update must not become one for all without a word."""
    with parts.database.transaction() as session:
        topics.add(session, "water", name="Water")
        topics.choose(session, 1, ["water"], now=database.now(session))
    number = bulletins.take(parts, ALERT, act=act).mailing
    words = tuple(in_hand(parts, number)[0])
    drafting.edit_words(parts, number, Revision(words, only=("en",), part=Part(("water",))))
    released(parts, number)
    bulletins.take(parts, UPDATE, act=act)
    [update] = [one for one in range(number + 1, number + 6) if _updates(parts, one) == number]
    place = translating.languages(parts, update)
    assert (place.only, place.limits.keys) == (("en",), ("water",))
    assert alert.lock(parts, update).count == 1


@pytest.mark.parametrize("end", ["taken back", "given up"])
def test_an_update_after_somebody_ended_it_here_begins_anew(parts, act, newsletter, sink, end):
    """Somebody took a false alarm back, and the river rose after all: the authority's next word must not vanish."""
    Crew(parts.database, parts.database).member(Role.WRITER)
    with parts.database.transaction() as session:
        topics.add(session, "water", name="Water")
        topics.choose(session, 1, ["water"], now=database.now(session))
    number = bulletins.take(parts, ALERT, act=act).mailing
    words = tuple(in_hand(parts, number)[0])
    drafting.edit_words(parts, number, Revision(words, part=Part(("water",))))
    if end == "taken back":
        released(parts, number)
        retracting.retract(parts, number)
    else:
        alert.stop(parts, number)
    ended = state(parts, number)
    anew = bulletins.take(parts, UPDATE, act=act).mailing
    assert anew != number
    assert (state(parts, number), state(parts, anew), _updates(parts, anew)) == (ended, State.DRAFT, None)
    assert translating.languages(parts, anew).limits.keys == ("water",)
    newsletter.deliver("transactional")
    told = [" ".join(read(one).get_body(("plain",)).get_content().split()) for one in sink.messages]
    assert any(f"though alert {number} was given up or taken back here" in one for one in told)
    assert bulletins.take(parts, LATER, act=act).mailing == anew, "and what comes later belongs to that"
    bulletins.take(parts, CANCEL, act=act)
    assert (state(parts, number), state(parts, anew)) == (ended, State.CANCELLED)


def _updates(parts, number):
    with parts.database.transaction() as session:
        try:
            return mailings.get(session, number).updates
        except mailings.UnknownMailing:
            return None


def test_a_message_that_cannot_be_drafted_is_not_kept_either(newsletter):
    """No sender is set: the message must not count as taken, or it would be lost."""
    bare = replace(newsletter.parts, letterhead=replace(newsletter.parts.letterhead, sender_address=""))
    with pytest.raises(NoSender):
        bulletins.take(bare, ALERT, act=heeding.Heeding(bare, house.DIGEST))
    assert bulletins.listed(newsletter.parts) == []


def test_an_update_without_words_for_us_keeps_no_alert_out(parts, act):
    """An authority corrected its warning in Greek alone, and that came first: the warning itself must still be drafted."""
    greek = cap.write(said("U", 2, Kind.UPDATE, A, infos=(replace(INFO, language="el"),)))
    assert bulletins.take(parts, greek, act=act).why is Why.UNKNOWN
    taken = bulletins.take(parts, ALERT, act=act)
    assert state(parts, taken.mailing) is State.DRAFT
    assert taken.followed == ()
    [waits] = bulletins.held(parts)
    assert (waits.name.identifier, waits.why) == ("U", Why.NO_WORDS)
    later = bulletins.take(parts, cap.write(said("L", 3, Kind.UPDATE, A, infos=(INFO,))), act=act)
    assert later.mailing == taken.mailing
    assert bulletins.held(parts) == []


def test_real_messages_of_an_authority(parts, act):
    """As they stood in the world: a draft; a cancel that names nothing is held; its copy that names the alert ends it."""
    taken = bulletins.take(parts, str(real("cap-wainfleet.xml")), act=act)
    assert state(parts, taken.mailing) is State.DRAFT
    unclear = bulletins.take(parts, str(real("cap-wainfleet_cancel.xml")), act=act)
    assert (unclear.mailing, state(parts, taken.mailing)) == (None, State.DRAFT)
    ended = bulletins.take(parts, str(real("cap-wainfleet_cancel_minimal.xml")), act=act)
    assert ended.mailing == taken.mailing
    assert state(parts, taken.mailing) is State.CANCELLED


def test_what_goes_out_is_a_message_again(parts, newsletter, tmp_path):
    """Whoever passes warnings on by machine reads ours: the alert, its update, its cancel, each naming the one before."""
    words = tmp_path / "alert.md"
    words.write_text("# Lorries at Sarand\n\nFourteen lorries stand at the gate.\n")
    first = alert.send(parts, [str(words)], digest_key=house.DIGEST)
    second = alert.send(parts, [str(words)], digest_key=house.DIGEST, updates=first)
    one, two = (cap.read(publicity.bulletin(parts, number)) for number in (first, second))
    assert (one.kind, one.references) == (Kind.ALERT, ())
    assert one.infos[0].headline == "Lorries at Sarand"
    assert one.infos[0].web == f"http://127.0.0.1:8080/alerts/{first}/en"
    assert (two.kind, two.references) == (Kind.UPDATE, (one.name,))
    newsletter.deliver("urgent")
    retracting.retract(parts, second)
    gone = cap.read(publicity.bulletin(parts, second))
    assert (gone.kind, gone.references) == (Kind.CANCEL, (two.name,))
    # A cancel that is over before it was sent is dropped by whoever passes it on: what it takes back would stand.
    assert (two.infos[0].expires is None, [info.expires for info in gone.infos]) == (False, [None])
    assert gone.name != two.name
    assert publicity.bulletin(parts, drafting.draft(parts, [str(words)], digest_key=house.DIGEST)) is None


def test_urgent_items_of_a_feed_become_drafts(parts, tmp_path):
    """An open letter in the feed at midnight lies ready on the desk, for the readers somebody named."""
    done = publish.import_articles(parts, str(SEED), as_news=True)
    assert done.pressing
    drafts = heeding.heed(parts, done.pressing, digest_key=None).drafts
    assert len(drafts) == len(done.pressing)
    assert {state(parts, number) for number in drafts} == {State.DRAFT}
    again = publish.import_articles(parts, str(SEED), as_news=True)
    assert again.pressing == ()
    assert heeding.heed(parts, done.pressing, digest_key=None) == heeding.Heeded()


def feed(tmp_path, **ours):
    item = {"id": "1", "url": "https://s.example/1", "title": "Lorries", "content_text": "Lorries at the gate."}
    item |= {"date_published": "2026-11-26T10:00:00Z", "_newsletter": ours}
    path = tmp_path / "feed.json"
    path.write_text(json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "S", "items": [item]}))
    return str(path)


@pytest.mark.parametrize("became", [{"urgent": True}, {"kind": "open_letter"}])
def test_an_item_that_becomes_urgent_by_a_revision_becomes_a_draft_once(parts, tmp_path, became):
    """The editor published at nine and marked it urgent at ten: nobody would have been told."""
    assert publish.import_articles(parts, feed(tmp_path), as_news=True).pressing == ()
    done = publish.import_articles(parts, feed(tmp_path, **became), as_news=True)
    [draft] = heeding.heed(parts, done.pressing, digest_key=None).drafts
    assert state(parts, draft) is State.DRAFT
    for again in (feed(tmp_path), feed(tmp_path, **became)):
        assert publish.import_articles(parts, again, as_news=True).pressing == ()


def test_what_an_import_left_that_died_the_next_one_heeds(parts, tmp_path):
    """The machine went down between the article and its draft: the same feed an hour later holds nothing new."""
    died = publish.import_articles(parts, feed(tmp_path, urgent=True), as_news=True)
    again = publish.import_articles(parts, feed(tmp_path, urgent=True), as_news=True)
    assert (again.added, again.changed) == (0, 0)
    assert again.pressing == died.pressing
    assert len(heeding.heed(parts, again.pressing, digest_key=None).drafts) == 1


def test_what_came_in_as_archive_asks_for_nothing(parts, tmp_path):
    """Ten years of a site with all its open letters must not become five hundred drafts, now or at the next import."""
    for _ in range(2):
        assert publish.import_articles(parts, str(SEED)).pressing == ()


def test_what_is_too_old_to_become_a_draft_is_said_once_and_can_be_made_one(parts, tmp_path):
    """A letter of three weeks ago that is still open: whoever took it in waited for a draft that never came."""
    path = Path(feed(tmp_path, urgent=True))
    path.write_text(path.read_text().replace("2026-11-26", "2026-01-02"))
    [old] = publish.import_articles(parts, str(path)).aged
    assert publish.import_articles(parts, str(path)).aged == ()
    assert len(heeding.drafts(parts, [old], digest_key=house.DIGEST)) == 1


def test_where_nobody_said_for_whom_the_team_is_told_once(parts, newsletter, tmp_path, sink):
    """A line on the screen of a nightly job is read by nobody: an urgent item must reach who writes."""
    member = Crew(parts.database, parts.database).member(Role.WRITER)
    with parts.database.transaction() as session:
        digests.add(session, "tiny", name="Tiny", languages=("en",), rhythm=Rhythm.DAILY)
    for _ in range(2):
        done = publish.import_articles(parts, feed(tmp_path, urgent=True), as_news=True)
        heeded = heeding.heed(parts, done.pressing, digest_key=None)
        assert (heeded.drafts, heeded.told) == ((), done.pressing)
    newsletter.deliver("transactional")
    [mail] = sink.messages
    assert mail.recipient == member.address
    assert read(mail)["Subject"] == "An article asks for an alert"
    body = read(mail).get_body(("plain",)).get_content()
    assert "newsletter alerts article 1 --to DIGEST" in body
    assert [facts for event, facts in calls(newsletter) if event == "pressing"] == [{"articles": [1]}]


def test_an_authority_s_update_goes_to_the_readers_of_its_alert(parts, act):
    """Taken in for another digest it would end the alert, and its readers would not hear what is true by now."""
    number = bulletins.take(parts, ALERT, act=act).mailing
    released(parts, number)
    with parts.database.transaction() as session:
        digests.add(session, "tiny", name="Tiny", languages=("en",), rhythm=Rhythm.DAILY)
    bulletins.take(parts, UPDATE, act=heeding.Heeding(parts, "tiny"))
    with parts.database.transaction() as session:
        [update] = mailings.waiting_to_follow(session, number)
        assert mailings.get(session, update).digest_id == mailings.get(session, number).digest_id


def now_of(parts):
    with parts.database.transaction() as session:
        return database.now(session).replace(microsecond=0)


def lasting(now, *hours):
    """An authority's alert whose parts hold so many hours from now."""
    infos = tuple(replace(INFO, expires=now + timedelta(hours=more)) for more in hours)
    return cap.write(replace(said("A", 0, infos=infos), sent=now))


def of_lock(parts, number):
    with parts.database.transaction() as session:
        manifest = locks.current(session, number)
        return manifest.expires_at, manifest.latest, mailings.get(session, number).expires_at


def test_an_alert_goes_no_longer_than_its_authority_s_message_holds(parts, act):
    """“Leave within the half hour” must not reach anybody tomorrow, whoever wrote in it, and whoever would give it longer."""
    now = now_of(parts)
    number = bulletins.take(parts, lasting(now, 0.25, 0.5), act=act).mailing
    until = now + timedelta(hours=0.5)
    for _ in range(2):
        alert.lock(parts, number, anew=True)
        assert of_lock(parts, number) == (until, until, until)
        drafting.edit_words(parts, number, Revision(("# Leave the lower camp\n\nNow.\n",)))
    released(parts, number)
    with pytest.raises(expiring.NoLonger):
        expiring.extend(parts, number, timedelta(hours=2))
    assert desk.shown(parts, number).until == until


def test_what_an_authority_says_for_days_is_locked_for_one(parts, act):
    """Its hour is a limit, and no reason to let an alert lie for longer than any other."""
    now = now_of(parts)
    number = bulletins.take(parts, lasting(now, 30), act=act).mailing
    alert.lock(parts, number)
    expires, latest, _ = of_lock(parts, number)
    assert expires < now + timedelta(hours=25)
    assert latest == now + timedelta(hours=30)


def test_a_message_that_is_over_is_no_alert(parts, act):
    """A warning of last year that came in by mistake becomes a draft somebody looks at, and nobody can send it."""
    number = bulletins.take(parts, lasting(now_of(parts) - timedelta(days=300), 24), act=act).mailing
    assert desk.shown(parts, number).outdated
    with pytest.raises(MessageOver):
        alert.lock(parts, number)
    assert state(parts, number) is State.DRAFT


def test_an_authority_that_says_longer_is_heard(parts, act):
    """The update holds as long as it says, and not as long as what it changes."""
    now = now_of(parts)
    number = bulletins.take(parts, lasting(now, 1), act=act).mailing
    infos = (replace(INFO, expires=now + timedelta(hours=3)),)
    update = replace(
        said("U", 2, Kind.UPDATE, A, infos=infos),
        sent=now + timedelta(seconds=1),
        references=(replace(A, sent=now),),
    )
    assert bulletins.take(parts, cap.write(update), act=act).mailing == number
    assert desk.shown(parts, number).until == now + timedelta(hours=3)
