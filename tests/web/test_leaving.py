"""Less instead of nothing: what the leaving page offers, what a link to leave may take, and what an old link still does."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from newsletter.issues import digests
from newsletter.journeys import leaving, lessening, publish
from newsletter.journeys.lessening import Less
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.tokens import LIFETIMES, Purpose
from tests import house
from tests.web.test_pages import ask, everything, link
from tests.web.test_pages import made as made
from tests.web.test_pages import pages as pages
from tests.web.test_pages import worker as worker

LIVE = (
    "SELECT subscriber_id, digest_id, rhythm FROM subscription WHERE ended_at IS NULL ORDER BY subscriber_id, digest_id"
)
STATES = "SELECT state, reason FROM delivery ORDER BY subscriber_id"
PAUSED = "SELECT id FROM subscriber WHERE paused_until > now() ORDER BY id"


def speak(worker, *sentences):
    with worker.parts.database.transaction() as session:
        for sentence in sentences:
            session.execute(text(sentence))


def other_digest(worker, tmp_path):
    """Let both readers take a second digest; return its number."""
    with worker.parts.database.transaction() as session:
        digests.add(session, "alarm", name="The Alarm", languages=("en",), rhythm=Rhythm.EACH)
    house.add_readers(worker, tmp_path, ["ann@example.org", "ben@example.org"], digest="alarm")
    return ask(worker, "SELECT id FROM digest WHERE key = 'alarm'")[0].id


@pytest.mark.parametrize(
    ("rhythm", "paused", "offered"),
    [
        (Rhythm.EACH, False, [Less.WEEKLY, Less.EMERGENCIES, Less.PAUSE]),
        (Rhythm.DAILY, False, [Less.WEEKLY, Less.EMERGENCIES, Less.PAUSE]),
        (Rhythm.WEEKLY, False, [Less.EMERGENCIES, Less.PAUSE]),
        (Rhythm.MONTHLY, False, [Less.EMERGENCIES, Less.PAUSE]),
        (Rhythm.EACH, True, [Less.WEEKLY, Less.EMERGENCIES]),
        (Rhythm.WEEKLY, True, [Less.EMERGENCIES]),
        (Rhythm.EMERGENCIES, False, []),
        (Rhythm.EMERGENCIES, True, []),
    ],
)
def test_only_what_is_less_is_offered(rhythm, paused, offered):
    """An offer of more than somebody has, to who wants to leave, is an insult."""
    assert list(lessening.less_than(rhythm, paused=paused, others=False)) == offered
    beside = [one for one in offered if one is not Less.PAUSE]
    assert list(lessening.less_than(rhythm, paused=paused, others=True)) == beside, "a pause is one of all digests"


def test_the_leaving_page_offers_less_beside_leaving(pages, worker):
    """Who finds that it is too much need not go for good; the button to leave comes first all the same."""
    speak(worker, "UPDATE subscription SET rhythm = 'daily'")
    page = pages.get(f"/u/{link(worker)}").text
    assert re.findall(r'name="instead" value="(\w+)"', page) == ["weekly", "emergencies", "pause"]
    assert page.index("Yes, unsubscribe me") < page.index("Or less instead of nothing")
    assert "goes on as before" not in page
    assert 'name="instead"' not in pages.get(f"/u/{worker.parts.tokens.harmless()}").text


def test_a_rhythm_is_lessened_by_the_leaving_page(pages, worker):
    """One press, and what comes is less: of this digest, for this reader."""
    speak(worker, "UPDATE subscription SET rhythm = 'daily'")
    answer = pages.post(f"/u/{link(worker)}/less", data={"instead": "weekly"})
    assert (answer.status_code, "once a week" in answer.text) == (200, True)
    assert [row.rhythm for row in ask(worker, LIVE)] == ["weekly", "daily"]
    assert ask(worker, "SELECT 1 FROM consent_event WHERE kind = 'withdrawn'") == []


def test_emergencies_only_ends_the_issue_under_way(pages, worker):
    """Whoever chose emergencies at noon must not get the weekly issue that was planned in the morning."""
    answer = pages.post(f"/u/{link(worker)}/less", data={"instead": "emergencies"})
    assert answer.status_code == 200
    assert [row.rhythm for row in ask(worker, LIVE)] == ["emergencies", "weekly"]
    assert [tuple(row) for row in ask(worker, STATES)] == [("cancelled", "emergencies only"), ("planned", None)]
    assert 'name="instead"' not in pages.get(f"/u/{link(worker)}").text, "there is no less than that"


def test_a_pause_by_the_leaving_page_is_four_weeks_of_alerts_alone(pages, worker):
    """A rest that says it is one from everything, and ends by itself."""
    assert pages.post(f"/u/{link(worker)}/less", data={"instead": "pause"}).status_code == 200
    [row] = ask(worker, "SELECT paused_until - now() AS left FROM subscriber WHERE paused_until IS NOT NULL")
    assert timedelta(days=27, hours=23) < row.left <= timedelta(days=28)
    assert [tuple(row) for row in ask(worker, STATES)] == [("cancelled", "paused"), ("planned", None)]
    assert re.findall(r'name="instead" value="(\w+)"', pages.get(f"/u/{link(worker)}").text) == ["emergencies"]


def test_a_link_to_leave_takes_away_and_never_gives(pages, worker):
    """Such a link works for ever, so it must bring back nothing: no rhythm that is more, no digest, no end of a pause."""
    speak(
        worker,
        "UPDATE subscription SET rhythm = 'emergencies'",
        "UPDATE subscriber SET paused_until = now() + '9 days'",
    )
    before = everything(worker)
    for instead in (*Less, "each", "resume", "", "leave"):
        assert pages.post(f"/u/{link(worker)}/less", data={"instead": instead}).status_code in (409, 422)
    assert pages.post(f"/p/{link(worker)}/resume").status_code == 404
    assert everything(worker) == before
    pages.post(f"/u/{link(worker)}")
    before = everything(worker)
    for instead in Less:
        assert pages.post(f"/u/{link(worker)}/less", data={"instead": instead}).status_code == 404
    assert everything(worker) == before


def test_less_needs_a_link_of_ours(pages, worker):
    """Whoever has no link of this reader must not turn their newsletter down either."""
    before = everything(worker)
    now = datetime.now(UTC)
    good = link(worker)
    for bad in (
        "x" * 32,
        good[:-1],
        worker.parts.tokens.preferences(1, now=now),
        worker.parts.tokens.fresh(1, now=now),
    ):
        assert pages.post(f"/u/{bad}/less", data={"instead": "pause"}).status_code == 404
    assert pages.post(f"/u/{worker.parts.tokens.harmless()}/less", data={"instead": "pause"}).status_code == 200
    assert everything(worker) == before


def test_what_is_done_to_one_digest_is_done_to_one(pages, worker, tmp_path):
    """Per-topic never becomes global: whoever leaves one list, or takes less of it, keeps the others as they are."""
    alarm = other_digest(worker, tmp_path)
    mine = worker.parts.tokens.leave(1, 1, 1)
    page = pages.get(f"/u/{mine}").text
    assert "goes on as before" in page
    assert "The Alarm" not in page, "what else a reader takes is none of a forwarded mail's business"
    assert 'value="pause"' not in page
    assert pages.post(f"/u/{mine}/less", data={"instead": "pause"}).status_code == 409
    assert ask(worker, "SELECT 1 FROM subscriber WHERE paused_until IS NOT NULL") == []
    pages.post(f"/u/{mine}/less", data={"instead": "emergencies"})
    weekly = [tuple(row) for row in ask(worker, LIVE)]
    assert weekly == [(1, 1, "emergencies"), (1, alarm, "each"), (2, 1, "weekly"), (2, alarm, "each")]
    answer = pages.post(f"/u/{mine}", data={"List-Unsubscribe": "One-Click"})
    assert "goes on as before" in answer.text
    assert [tuple(row) for row in ask(worker, LIVE)] == [(1, alarm, "each"), (2, 1, "weekly"), (2, alarm, "each")]
    purposes = [row.purpose for row in ask(worker, "SELECT purpose FROM consent_event WHERE kind = 'withdrawn'")]
    assert purposes == ["digest:1"]


def test_no_issue_is_planned_for_who_pauses_or_takes_emergencies_only(pages, worker, tmp_path):
    """The promise of the page holds for the next issue, and the books say why."""
    house.add_readers(worker, tmp_path, ["cem@example.org"])
    token = worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    pages.post(f"/p/{token}/more", data={"rhythm-weekly": "emergencies", "language": "en", "zone": "UTC"})
    pages.post(f"/u/{worker.parts.tokens.leave(2, 1, 1)}/less", data={"instead": "pause"})
    house.add_articles(worker, tmp_path, "It rains")
    composed = publish.compose(worker.parts, house.DIGEST)
    publish.send(worker.parts, composed.issue)
    rows = ask(worker, f"SELECT subscriber_id FROM delivery WHERE mailing_id = {composed.mailing}")
    assert [row.subscriber_id for row in rows] == [3]


def test_the_page_of_a_reader_whose_database_is_away_offers_to_leave_alone(made, worker, tmp_path, database_urls):
    """What cannot be kept is not offered; what can be is."""
    from starlette.testclient import TestClient

    from newsletter.web import create

    gone = "postgresql+psycopg://nobody:x@127.0.0.1:9/none"
    away = house_away(tmp_path, gone)
    with TestClient(create(away), raise_server_exceptions=False) as client:
        page = client.get(f"/u/{link(worker)}").text
        assert "Yes, unsubscribe me" in page
        assert 'name="instead"' not in page
        assert client.post(f"/u/{link(worker)}/less", data={"instead": "pause"}).status_code == 503
        old = worker.parts.tokens.preferences(1, now=datetime(2024, 1, 1, tzinfo=UTC))
        assert client.post(f"/p/{old}", data={"action": "leave"}).status_code == 200
    assert leaving.drain(worker.parts) == 1
    assert [row.subscriber_id for row in ask(worker, LIVE)] == [2]


def house_away(tmp_path, url):
    from newsletter import assembly, settings

    chosen = settings.read(
        home=tmp_path / "home",
        keys=tmp_path / "keys" / "keys.json",
        database_url=url,
        redis_url=None,
        sender="Friends of Sarand <news@sarand.example>",
        postal_address="7 Lantern Yard, London",
    )
    return assembly.assemble(chosen, role="web")


def test_a_reader_pauses_until_a_day_and_goes_on(pages, worker):
    """A holiday, an exam, a bad month: chosen as a day, shown as one, and ended by a button."""
    token = worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    speak(worker, "UPDATE subscriber SET time_zone = 'Asia/Tehran'")
    until = (datetime.now(UTC) + timedelta(days=40)).date()
    answer = pages.post(f"/p/{token}/pause", data={"until": until.isoformat()})
    assert answer.status_code == 200
    assert f"until {until.day} {until:%B %Y}" in answer.text
    assert 'name="until"' not in answer.text
    assert [row.id for row in ask(worker, PAUSED)] == [1]
    assert [tuple(row) for row in ask(worker, STATES)] == [("cancelled", "paused"), ("planned", None)]
    assert 'name="until"' in pages.post(f"/p/{token}/resume").text
    assert ask(worker, PAUSED) == []


def test_a_day_that_cannot_be_pauses_nothing(pages, worker):
    """A form is filled in by people and by machines; each gets a sentence."""
    token = worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    for until in ("", "yesterday", "2020-01-01", "9999-12-31", "0001-01-01", "2026-13-01"):
        answer = pages.post(f"/p/{token}/pause", data={"until": until})
        assert answer.status_code == 422, until
        assert "<h1>" in answer.text, until
        assert ask(worker, PAUSED) == [], until


def old_links(tokens):
    """A preferences link of an old mail, and one from before links were dated."""
    old = tokens.preferences(1, now=datetime.now(UTC) - LIFETIMES[Purpose.PREFERENCES] - timedelta(hours=2))
    return {"old": old, "undated": tokens._make(Purpose.PREFERENCES, 1, 0, 0)}


@pytest.mark.parametrize("which", ["old", "undated"])
def test_an_old_preferences_link_does_what_a_leaving_link_does_and_no_more(pages, worker, which):
    """It lies in mailboxes for years: it shows nothing, changes nothing but to end, and says where a new one is."""
    token = old_links(worker.parts.tokens)[which]
    before = everything(worker)
    page = pages.get(f"/p/{token}")
    assert page.status_code == 200
    assert "too old" in page.text
    assert ("The Weekly" in page.text, "Your reference" in page.text) == (False, False)
    until = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    for path, form in (
        ("", {"action": "level", "level": "everything"}),
        ("/more", {"rhythm-weekly": "daily", "language": "en", "zone": "UTC"}),
        ("/pause", {"until": until}),
        ("/resume", {}),
        ("/link", {}),
        ("/own", {"name": "Mallory"}),
    ):
        assert pages.post(f"/p/{token}{path}", data=form).status_code == 404
    assert everything(worker) == before
    answer = pages.post(f"/p/{token}", data={"action": "leave"})
    assert (answer.status_code, "You have left" in answer.text) == (200, True)
    assert [row.subscriber_id for row in ask(worker, LIVE)] == [2]


@pytest.mark.parametrize(("language", "words"), [("fa", "فقط در مواقع اضطراری"), ("ar", "حالات الطوارئ فقط")])
def test_less_is_offered_in_words_a_reader_reads(pages, worker, language, words):
    """Whoever cannot read the offer leaves."""
    speak(worker, f"UPDATE subscriber SET language = '{language}', paused_until = now() + interval '3 days'")
    token = worker.parts.tokens.preferences(1, now=datetime.now(UTC))
    seen = [pages.get(f"/u/{link(worker)}").text, pages.get(f"/p/{token}").text]
    seen.append(pages.post(f"/u/{link(worker)}/less", data={"instead": "emergencies"}).text)
    seen.append(pages.get(f"/p/{old_links(worker.parts.tokens)['old']}").text)
    assert words in seen[0]
    for page in seen:
        main = page.partition("<main>")[2].replace("The Weekly", "").replace("Friends of Sarand", "")
        assert not re.search(r">[^<]*\b(?:Pause|Done|less|until|link)\b[^<]*<", main)
