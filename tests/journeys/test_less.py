"""Whoever asked for less gets every alert, and nothing else: through planning, the last look and the sink."""

import pytest

from newsletter.journeys import alert, leaving, lessening, mailing, publish
from newsletter.journeys.lessening import Less
from tests import house
from tests.journeys.alerting import TEXT, status

PLAIN = "# What we did\n\nDear {{ name }}, thank you.\n"
READERS = ["ann@example.org", "ben@example.org", "cem@example.org"]


@pytest.fixture
def readers(newsletter, tmp_path):
    """Ann takes emergencies only, Ben pauses, Cem takes everything."""
    house.add_readers(newsletter, tmp_path, READERS)
    for number, less in ((1, Less.EMERGENCIES), (2, Less.PAUSE)):
        lessening.take(newsletter.parts, newsletter.parts.tokens.leave(number, 1, 1), less)


def got(sink):
    """Return who was written to, and forget it."""
    found = sorted(message.recipient for message in sink.messages)
    sink.messages.clear()
    return found


def write(tmp_path, words):
    path = tmp_path / "words.md"
    path.write_text(words)
    return str(path)


def test_an_alert_goes_to_everybody(newsletter, readers, sink, tmp_path):
    """An alert too few is what nobody asked for."""
    number = alert.send(newsletter.parts, [write(tmp_path, TEXT)], digest_key=house.DIGEST)
    newsletter.deliver("urgent", seconds=5)
    assert got(sink) == READERS
    assert status(newsletter, number).excluded == {}


def test_issues_and_ordinary_mailings_go_to_who_wants_them(newsletter, readers, sink, tmp_path):
    """One mail more than they asked for, and they leave for good. The books say why each was left out."""
    house.add_articles(newsletter, tmp_path, "It rains")
    composed = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=5)
    assert got(sink) == ["cem@example.org"]
    assert status(newsletter, composed.mailing).excluded == {"paused": 1}
    number = mailing.draft(newsletter.parts, write(tmp_path, PLAIN), digest_key=house.DIGEST).mailing
    publish.release(newsletter.parts, number)
    newsletter.deliver("bulk", seconds=5)
    assert got(sink) == ["cem@example.org"]
    assert status(newsletter, number).excluded == {"emergencies only": 1, "paused": 1}


def test_a_wish_made_between_planning_and_sending_holds(newsletter, sink, tmp_path):
    """Hours lie between them; and an alert under way is not cancelled by it."""
    house.add_readers(newsletter, tmp_path, READERS)
    house.add_articles(newsletter, tmp_path, "It rains")
    composed = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(newsletter.parts, composed.issue)
    number = alert.send(newsletter.parts, [write(tmp_path, TEXT)], digest_key=house.DIGEST)
    for reader, less in ((1, Less.EMERGENCIES), (2, Less.PAUSE)):
        lessening.take(newsletter.parts, newsletter.parts.tokens.leave(reader, 1, 1), less)
    newsletter.deliver("urgent", seconds=5)
    assert got(sink) == READERS
    newsletter.deliver("bulk", seconds=5)
    assert got(sink) == ["cem@example.org"]
    assert (status(newsletter, composed.mailing).cancelled, status(newsletter, number).cancelled) == (2, 0)


def test_leaving_sends_no_goodbye(newsletter, sink, tmp_path):
    """Whoever asked for no more mail gets no more mail: the page has said it, and a mail about it would be one too many."""
    house.add_readers(newsletter, tmp_path, READERS)
    leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(1, 1, 1))
    newsletter.sweep()
    for lane in ("transactional", "bulk", "urgent"):
        newsletter.deliver(lane, seconds=2)
    assert sink.messages == []
