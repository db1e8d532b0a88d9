"""How often a page counts the readers of an alert: of a million it takes a second, and several phones look every five."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from newsletter.journeys.headcount import MOST, Headcount
from newsletter.operators.roles import Role
from tests import house
from tests.web.test_alerts import WORDS, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.test_night import locked, plain
from tests.web.visiting import inside, rows


@pytest.fixture
def counts(made):
    """Every statement of the pages that counts readers."""
    found = []

    def heard(_connection, _cursor, statement, *_more):
        if "count(" in statement and "subscription" in statement:
            found.append(statement)

    event.listen(made.parts.database.engine, "before_cursor_execute", heard)
    return found


def test_a_page_that_waits_counts_once_a_lock(author, trustee, desk, readers, counts):
    """What the lock counted is good for the first minute, whoever looks, on whichever page."""
    readers(4)
    _number, here = locked(author)
    counts.clear()
    for _ in range(3):
        assert re.search(r"4 readers · counted \d+ seconds? ago", plain(author.open(here)))
    assert "4 readers · counted" in plain(trustee[1].open(f"{here}/approve"))
    assert counts == []


def test_a_draft_is_counted_once_for_its_words(author, desk, readers, counts):
    """While its links are tried its page asks every second; written anew it may be for others."""
    readers(4)
    here = f"/console/alerts/{written(author)}"
    for _ in range(3):
        author.open(here)
    assert len(counts) == 1
    author.open(f"{here}/edit")
    author.post(f"{here}/edit", **(WORDS | {"text-en": "Fifteen lorries."}))
    assert author.page.status_code == 200
    author.open(here)
    assert len(counts) == 2


def test_after_a_minute_it_is_counted_anew_and_sending_counts_for_itself(
    author, app, desk, readers, worker, tmp_path, database_urls, counts
):
    """An old figure misleads for a minute at most, and lets nothing go."""
    readers(2)
    _number, here = locked(author)
    house.add_readers(worker, tmp_path, ["late1@example.org", "late2@example.org"])
    assert "2 readers · counted" in plain(author.open(here))
    author.post(f"{here}/release")
    assert "more than 2 %" in author.problem
    assert rows(worker, "SELECT state FROM mailing WHERE kind = 'alert'") == [("locked",)]
    house.by_owner(database_urls, "ALTER TABLE lock DISABLE TRIGGER USER")
    house.by_owner(database_urls, "UPDATE lock SET at = at - interval '61 seconds'")
    app.state.counts = Headcount()
    counts.clear()
    assert re.search(r"4 readers · counted \d+ seconds? ago", plain(author.open(here)))
    assert len(counts) == 1, "for this page, and not by the lock"
    assert "Locked for 2 readers; now it would go to 4" in plain(author)


def test_no_process_keeps_every_count_there_ever_was(worker, author, desk, readers):
    """Pages run for months."""
    readers(2)
    number, counts = written(author), Headcount(timedelta(hours=1))
    with worker.parts.database.transaction() as session:
        for place in range(MOST + 5):
            counts.of(session, number, str(place))
    assert len(counts._kept) == MOST


def test_those_who_may_lock_are_asked_once_in_ten_minutes(author, browse, crew, now, desk, readers, worker):
    """Each press mailed all of them; the page says when they were asked, and has no button until it is time again."""
    readers(4)
    _, writer = inside(browse, crew, now, Role.WRITER)
    number = written(writer)
    here = f"/console/alerts/{number}"
    writer.open(here).post(f"{here}/want-lock")
    assert "They were asked on" in plain(writer)
    assert f'action="{here}/want-lock"' not in writer.text
    writer.post(f"{here}/want-lock")
    assert "were asked a few minutes ago" in writer.problem
    assert len(rows(worker, "SELECT 1 FROM hook_call WHERE event = 'lock-wanted'")) == 1
    with worker.parts.database.transaction() as session:
        earlier = "jsonb_set(content, '{lock_wanted}', to_jsonb(now() - interval '10 minutes'))"
        session.execute(text(f"UPDATE mailing SET content = {earlier} WHERE id = :id"), {"id": number})
    assert f'action="{here}/want-lock"' in writer.open(here).text
    writer.post(f"{here}/want-lock")
    assert writer.problem == ""
    assert len(rows(worker, "SELECT 1 FROM hook_call WHERE event = 'lock-wanted'")) == 2
