"""Nobody loses their mail by choosing how often they want it, and nobody has an article twice by it."""

from datetime import timedelta

import pytest

from newsletter import database
from newsletter.issues import digests, waiting
from newsletter.journeys import choosing, lessening, mailing, publish
from newsletter.journeys.lessening import Less
from newsletter.subscribers import reach
from newsletter.subscribers.preferences import Level
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.journeys.alerting import status

ANN, BEN = "ann@example.org", "ben@example.org"
DAILY = "news"


def press(made, reader, level):
    """Take one of the three choices of the preferences page."""
    with made.parts.database.transaction() as session:
        now = database.now(session)
    assert choosing.choose(made.parts, made.parts.tokens.preferences(reader, now=now), level)


def issue(made, sink, *, digest=house.DIGEST, rhythm=None, deliver=True):
    """Cut an issue and send it; return what was composed, and what each reader got."""
    composed = publish.compose(made.parts, digest, rhythm=rhythm)
    publish.send(made.parts, composed.issue)
    return composed, got(made, sink) if deliver else {}


def got(made, sink):
    made.deliver("bulk", seconds=5)
    found = {}
    for message in sink.messages:
        found.setdefault(message.recipient, []).append(message.content.decode())
    sink.messages.clear()
    return found


def count(found, title):
    return sum(title in body for body in found)


@pytest.fixture
def readers(newsletter, tmp_path):
    """Ann wants everything as it happens, Ben has the weekly as it is."""
    house.add_readers(newsletter, tmp_path, [ANN, BEN])
    press(newsletter, 1, Level.EVERYTHING)


@pytest.fixture
def daily(newsletter, tmp_path):
    """A digest that is cut daily, which Ann wants weekly and Ben as it is."""
    with newsletter.parts.database.transaction() as session:
        found = digests.add(session, DAILY, name="The News", languages=("en",), rhythm=Rhythm.DAILY)
    house.add_readers(newsletter, tmp_path, [ANN, BEN], digest=DAILY)
    lessening.take(newsletter.parts, newsletter.parts.tokens.leave(1, found.id, 1), Less.WEEKLY)
    return found


def test_who_asks_for_everything_gets_at_least_what_there_is(newsletter, readers, sink, tmp_path):
    """She was told that it is saved, and got nothing any more: neither she nor anybody else would have noticed."""
    house.add_articles(newsletter, tmp_path, "It rains")
    composed, found = issue(newsletter, sink)
    assert sorted(found) == [ANN, BEN]
    assert (status(newsletter, composed.mailing).excluded, composed.waiting) == ({}, {})
    with newsletter.parts.database.transaction() as session:
        assert reach.now(session).digests == {1: 2}


def test_what_came_as_it_happened_is_not_in_the_weekly_issue_again(newsletter, readers, sink, tmp_path):
    """What she had on Tuesday she is not sent on Thursday; what is new on Thursday she is, and on Friday no more."""
    house.add_articles(newsletter, tmp_path, "It rains")
    _, first = issue(newsletter, sink, rhythm="each")
    assert list(first) == [ANN]
    composed, second = issue(newsletter, sink)
    assert list(second) == [BEN]
    assert status(newsletter, composed.mailing).excluded == {"nothing new": 1}
    house.add_articles(newsletter, tmp_path, "It snows")
    _, third = issue(newsletter, sink)
    assert [count(third[reader], "It rains") for reader in (ANN, BEN)] == [0, 0]
    assert [count(third[reader], "It snows") for reader in (ANN, BEN)] == [1, 1]
    composed, fourth = issue(newsletter, sink, rhythm="each")
    assert (fourth, status(newsletter, composed.mailing).excluded) == ({}, {"nothing new": 1})


@pytest.mark.parametrize("rhythms", [("each", None), (None, "each")])
def test_two_issues_at_once_bring_nobody_an_article_twice(newsletter, readers, sink, tmp_path, rhythms):
    """A script cuts both in one minute: nobody has had the first yet when the second is planned."""
    house.add_articles(newsletter, tmp_path, "It rains")
    both = [issue(newsletter, sink, rhythm=rhythm, deliver=False)[0] for rhythm in rhythms]
    assert status(newsletter, both[1].mailing).excluded == {"another issue is on its way": 1}
    found = got(newsletter, sink)
    assert {reader: count(bodies, "It rains") for reader, bodies in found.items()} == {ANN: 1, BEN: 1}
    house.add_articles(newsletter, tmp_path, "It snows")
    _, later = issue(newsletter, sink)
    assert {reader: count(bodies, "It snows") for reader, bodies in later.items()} == {ANN: 1, BEN: 1}


def test_who_joins_for_everything_begins_after_the_last_issue_they_would_have_had(newsletter, sink, tmp_path):
    """Fifty weekly issues are no welcome, whatever rhythm somebody chose."""
    house.add_readers(newsletter, tmp_path, [BEN])
    house.add_articles(newsletter, tmp_path, "It rains")
    issue(newsletter, sink)
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "other", name="The Other", languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(newsletter, tmp_path, [ANN], digest="other")
    press(newsletter, 2, Level.EVERYTHING)
    house.add_articles(newsletter, tmp_path, "It snows")
    _, found = issue(newsletter, sink)
    assert [count(found[ANN], title) for title in ("It rains", "It snows")] == [0, 1]


def test_who_wants_it_more_seldom_waits_and_whoever_composes_is_told(newsletter, daily, sink, tmp_path):
    """Weekly instead of leaving is a promise: of a digest that is cut daily somebody has to cut a weekly issue for it."""
    house.add_articles(newsletter, tmp_path, "It rains")
    composed, found = issue(newsletter, sink, digest=DAILY)
    assert (list(found), composed.waiting) == ([BEN], {"weekly": 1})
    composed, found = issue(newsletter, sink, digest=DAILY, rhythm="weekly")
    assert (list(found), composed.waiting) == ([ANN], {})
    house.add_articles(newsletter, tmp_path, "It snows")
    assert issue(newsletter, sink, digest=DAILY)[0].waiting == {}, "she has had hers this week"
    with newsletter.parts.database.transaction() as session:
        later = database.now(session) + timedelta(days=8)
        assert waiting.readers(session, daily, now=later) == {Rhythm.WEEKLY: 1}


def test_an_ordinary_mailing_waits_for_nobodys_rhythm(newsletter, daily, sink, tmp_path):
    """It is no issue: so whoever waits for one may be mailed all the same, and counts to the reach."""
    path = tmp_path / "words.md"
    path.write_text("# What we did\n\nDear {{ name }}, thank you.\n")
    number = mailing.draft(newsletter.parts, str(path), digest_key=DAILY).mailing
    publish.release(newsletter.parts, number)
    assert sorted(got(newsletter, sink)) == [ANN, BEN]
