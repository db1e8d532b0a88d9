"""What is kept of what came in: sealed, once, no more than is asked for, and not for ever."""

from datetime import UTC, datetime, timedelta

import pytest

from newsletter.bounces import arrivals, probing, replies
from newsletter.reports.parse import Letter
from tests.bounces.conftest import DOMAIN

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LETTER = Letter("Ann <ann@example.org>", "My sister", "Please call \ud800 me.\x00")


def test_a_letter_is_kept_once_and_read_whole(session):
    """A queue brings the same letter again; odd characters must not keep it from the operator."""
    assert replies.keep(session, b"one", LETTER, mailbox_id=None, now=NOW) is True
    assert replies.keep(session, b"one", LETTER, mailbox_id=None, now=NOW) is False
    assert replies.keep(session, b"two", LETTER, mailbox_id=12345, now=NOW) is True
    first, second = replies.listed(session, limit=10, done=False)
    assert (first.letter.sender, first.letter.subject) == ("Ann <ann@example.org>", "My sister")
    assert first.letter.text.startswith("Please call")
    assert second.mailbox_id is None, "a reader who was erased meanwhile"


def test_letters_are_deleted_when_their_time_is_over(session):
    """What people confide is not kept longer than it takes to answer."""
    for number in range(3):
        replies.keep(session, b"%d" % number, LETTER, mailbox_id=None, now=NOW + number * DAY)
    oldest = replies.listed(session, limit=1, done=False)[0].id
    replies.done(session, oldest, now=NOW)
    replies.done(session, oldest, now=NOW + 6 * DAY)
    assert replies.forget(session, now=NOW + 7 * DAY) == 0
    assert replies.forget(session, now=NOW + 8 * DAY) == 1
    assert replies.forget(session, now=NOW + 91.5 * DAY) == 1
    assert replies.waiting(session) == 1
    with pytest.raises(replies.UnknownReply):
        replies.done(session, oldest, now=NOW)


def test_a_flood_of_letters_ends_somewhere(session):
    """A spammer must not fill the disk on which the unsubscribes are kept."""
    from sqlalchemy import text

    session.execute(
        text("INSERT INTO reply (digest, letter_sealed) SELECT int4send(n), '' FROM generate_series(1, :most) n"),
        {"most": replies.MOST},
    )
    assert replies.keep(session, b"one more", LETTER, mailbox_id=None, now=NOW) is False


def test_a_notice_is_remembered_longer_than_it_could_be_replayed(session):
    """Seen once means once, also after its content is gone."""
    assert arrivals.store(session, "n1", "body") is True
    assert arrivals.store(session, "n1", "body") is False
    [one] = arrivals.waiting(session)
    assert one.body == "body"
    now = datetime.now(UTC)
    arrivals.done(session, one.id, now=now)
    assert arrivals.waiting(session) == []
    assert arrivals.any_waiting(session) is False
    assert arrivals.forget(session, now=now + 2 * DAY) == 0
    assert arrivals.store(session, "n1", "body") is False
    assert arrivals.forget(session, now=now + 4 * DAY) == 1


def test_only_the_latest_probe_counts_and_only_in_time(session):
    """A probe that comes after a day says that mail takes a day; one that somebody kept says nothing."""
    assert probing.works(session, DOMAIN, now=NOW) is False
    stale = probing.ask(session, DOMAIN, now=NOW)
    number = probing.ask(session, DOMAIN, now=NOW)
    assert probing.came(session, DOMAIN, stale, now=NOW) is False
    assert probing.came(session, DOMAIN, number, now=NOW + probing.PATIENCE * 2) is False
    assert probing.passed(session, DOMAIN, number) is False
    assert probing.came(session, DOMAIN, number, now=NOW) is True
    assert probing.passed(session, DOMAIN, number) is True
    assert probing.works(session, DOMAIN, now=NOW + 6 * DAY) is True
    assert probing.works(session, DOMAIN, now=NOW + 8 * DAY) is False
    assert probing.works(session, "other.example", now=NOW) is False
    probing.ask(session, DOMAIN, now=NOW + DAY)
    assert probing.works(session, DOMAIN, now=NOW + DAY) is True, "a test under way is not one that failed"
