"""The hour that an alert bears: of its lock, in our zone, in the mail as on the page; what takes it back bears none."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from newsletter import database
from newsletter.composer import calendars
from newsletter.journeys import alert, drafting, retracting
from newsletter.journeys.drafting import Hand, Wish
from newsletter.ledger import locks
from newsletter.operators import audit
from newsletter.web import create
from tests import house
from tests.journeys.alerting import read

TEHRAN = ZoneInfo("Asia/Tehran")
WORDS = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"
HOUR = re.compile(r"\d\d:\d\d")


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, time_zone="Asia/Tehran")
    house.add_readers(made, tmp_path, house.addresses(2))
    yield made
    made.close()


def begun(made, hours):
    """Return an alert that somebody began to write so many hours ago."""
    with made.parts.database.transaction() as session:
        hand = Hand(audit.SHELL, database.now(session) - timedelta(hours=hours))
        return drafting.begin(session, made.parts, Wish((WORDS,), house.DIGEST), hand)


def of_lock(made, number):
    with made.parts.database.transaction() as session:
        return locks.current(session, number).written_at.astimezone(TEHRAN)


def plain(message):
    return read(message).get_body(("plain",)).get_content()


def test_mail_and_page_say_the_moment_of_the_lock_in_our_zone(made, tmp_path, database_urls, sink):
    """Begun at 18:00 and sent at 02:10: an alert that says 18:00 is old news, and one in another country's hour is no news."""
    number = begun(made, 8)
    alert.lock(made.parts, number)
    alert.release(made.parts, number)
    made.deliver("urgent")
    said = f"written {calendars.moment_of(of_lock(made, number), 'en')}"
    assert said.endswith("UTC+03:30")
    text, html = (read(sink.messages[0]).get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert f"*** Urgent alert · {said} ***" in text
    assert said in html
    web = house.build(tmp_path, database_urls, sink.url, web=True, time_zone="Asia/Tehran")
    page = TestClient(create(web), base_url="http://127.0.0.1:8080").get(f"/alerts/{number}/en").text
    assert said in page
    web.close()


def test_what_takes_an_alert_back_bears_no_hour(made, sink):
    """Days later, it would begin with the hour of what it takes back."""
    number = begun(made, 8)
    alert.lock(made.parts, number)
    alert.release(made.parts, number)
    made.deliver("urgent")
    retracting.retract(made.parts, number)
    made.deliver("urgent")
    backs = [plain(one) for one in sink.messages if read(one)["Subject"].startswith("Please disregard")]
    assert len(backs) == 2
    for text in backs:
        assert "*** Urgent alert ***" in text
        assert HOUR.search(text.replace("127.0.0.1:8080", "")) is None


def test_to_lock_the_same_words_once_more_changes_nothing(made):
    """Only the hour is another, and whoever approves is shown no change that is none."""
    number = begun(made, 8)
    alert.lock(made.parts, number)
    first = of_lock(made, number)
    alert.lock(made.parts, number, anew=True)
    assert of_lock(made, number) > first
    assert alert.standing(made.parts, number).changes == ()
