"""Hours on the team's pages and in its mails are those of the team's own clocks, and say so."""

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter.campaigns.drills import Lamp
from newsletter.composer import calendars
from newsletter.delivery.promises import Hour
from newsletter.journeys import drilling, expiring, publish, telling
from newsletter.operators.roles import Role
from newsletter.web.wording import Voice
from tests import house
from tests.campaigns.test_drills import drill
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint, written
from tests.web.test_alerts import readers as readers
from tests.web.test_mandates import asked
from tests.web.visiting import BASE, inside, rows, step

TEHRAN = "Asia/Tehran"
NIGHT = datetime(2026, 11, 25, 22, 40, tzinfo=UTC)


@pytest.fixture
def holder(browse, crew, now):
    return inside(browse, crew, now, Role.SENDER)


@pytest.fixture
def worker(tmp_path, database_urls, sink, few):
    made = house.build(tmp_path, database_urls, sink.url, base_url=BASE, one_person_up_to=few, time_zone=TEHRAN)
    yield made
    made.close()


@pytest.fixture
def made(worker, tmp_path, database_urls, sink, few):
    more = {"base_url": BASE, "one_person_up_to": few, "time_zone": TEHRAN}
    made = house.build(tmp_path, database_urls, sink.url, web=True, **more)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("zone", "language", "said"),
    [
        ("UTC", "en", "25 November, 22:40 UTC"),
        ("Europe/Berlin", "en", "25 November, 23:40 CET"),
        (TEHRAN, "en", "26 November, 02:10 UTC+03:30"),
        ("Asia/Baghdad", "ar", "26 نوفمبر 2026، 01:40 بتوقيت UTC+03"),
        (TEHRAN, "fa", "۵ آذر ۱۴۰۵، ۰۲:۱۰ به وقت UTC+03:30"),
    ],
)
def test_a_moment_is_told_by_a_zone_with_its_name(zone, language, said):
    """At night a day is another elsewhere, and where a zone has no letters people know it by its offset."""
    found = calendars.moment(NIGHT, language, ZoneInfo(zone))
    assert found.translate(str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")) == said if language == "ar" else found == said
    assert calendars.clock(NIGHT, "en", ZoneInfo("Europe/London")) == "22:40 GMT"
    assert calendars.clock(NIGHT - timedelta(days=120), "en", ZoneInfo("Europe/London")) == "23:40 BST"


def test_a_page_says_today_by_its_own_midnight():
    """What ends at eight in the morning is of tomorrow in one place and of today in another."""
    voice = Voice("en", ZoneInfo(TEHRAN))
    ends = NIGHT + timedelta(hours=2)
    assert voice.t("front-starts", moment=Hour(ends, NIGHT)).startswith("Goes by itself at 04:10 UTC+03:30,")
    assert str(Hour(ends, NIGHT)) == "26 November, 00:40 UTC"
    assert str(Hour(NIGHT + timedelta(hours=1), NIGHT)) == "23:40 UTC"


def test_moments_in_a_refusal_are_of_the_zone_as_well():
    """An errand keeps its facts as text, and rules write them in UTC."""
    voice = Voice("en", ZoneInfo(TEHRAN))
    for kept in ("2026-11-25 22:40 UTC", str(NIGHT), NIGHT):
        assert "until 26 November, 02:10 UTC+03:30" in voice.refusal("alert.expired", mailing=7, expires=kept)


def test_a_moment_is_kept_in_utc_wherever_it_was_said():
    """Who scheduled for eight in Tehran read that eight in Greenwich was over."""
    early = publish.InThePast(NIGHT.astimezone(ZoneInfo(TEHRAN)), NIGHT)
    assert early.facts["at"] == early.facts["now"] == f"{NIGHT:%Y-%m-%d %H:%M} UTC"
    assert "02:10 UTC+03:30" in Voice("en", ZoneInfo(TEHRAN)).refusal(early.message, **early.facts)


def test_the_lamp_on_a_page_tells_its_hour_by_the_zone():
    """The command line says it by the machine's own, whose clock stands beside it."""
    lit = Lamp(True, "proved", drill(), NIGHT)
    assert drilling.sentence(lit, zone=ZoneInfo(TEHRAN), page=True).startswith("lane proved ")
    assert "UTC+03:30, first mail" in drilling.sentence(lit, zone=ZoneInfo(TEHRAN), page=True)
    assert "UTC" not in drilling.sentence(lit, zone=ZoneInfo(TEHRAN))


def test_a_mandate_is_asked_for_by_the_hour_it_shows(holder, desk, worker, now):
    """“Until eight” was eight in Greenwich: half past eleven where the team is awake."""
    member, phone = holder
    assert "Until what time (UTC+03:30), the next one" in phone.open("/console/mandates/new").text
    asked(phone, member)
    [(terms,)] = rows(worker, "SELECT terms FROM mandate")
    until = datetime.fromisoformat(re.search(r'"until":"([^"]+)"', terms)[1])
    assert until.astimezone(ZoneInfo(TEHRAN)).strftime("%H:%M") == "08:00"
    assert now < until <= now + timedelta(days=1, minutes=1)
    assert "08:00 UTC+03:30" in phone.text


def test_pages_and_mails_of_a_night_tell_the_same_hour(holder, desk, readers, worker, sink, now):
    """Who reads the mail in bed and who sits before the page must mean the same moment."""
    readers(4)
    member, phone = holder
    here = f"/console/alerts/{written(phone)}"
    phone.post(f"{here}/lock")
    seen = fingerprint(phone.open(f"{here}?alone=1"))
    phone.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    [(starts,)] = rows(worker, "SELECT start_at FROM mailing WHERE kind = 'alert'")
    hour = starts.astimezone(ZoneInfo(TEHRAN)).strftime("%H:%M UTC+03:30")
    assert f"goes at {hour} unless" in phone.text
    worker.deliver("transactional")
    mails = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    later = [one for one in mails if "will go out" in one["Subject"]]
    assert later
    for one in later:
        assert hour in " ".join(one.get_body(("plain",)).get_content().split())


def test_whoever_is_asked_before_it_expires_reads_the_zone_too(worker):
    """Two hours are left: of which clock, somebody just woken cannot guess."""
    ending = expiring.Ending(7, 12, NIGHT, NIGHT + timedelta(days=1), paused=False)
    with worker.parts.database.transaction() as session:
        asked = expiring.question(session, worker.parts, ending, "en")
    assert "until 26 November, 02:10 UTC+03:30" in " ".join(asked.paragraphs)
    assert (
        telling.moment(replace(worker.parts, zone=ZoneInfo("Europe/Berlin")), NIGHT, "en") == "25 November, 23:40 CET"
    )
