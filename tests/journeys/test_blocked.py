"""Our machine on a block list: service mail is halted for nothing of the kind, so somebody is told that it does not arrive."""

import pytest
from sqlalchemy import text

from newsletter.cli import checking
from newsletter.journeys import joining
from newsletter.operators.roles import Role
from newsletter.subscribers.signup import Wish
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.operators.crew import Crew

BLOCKED = "550 5.7.1 Service unavailable; client host [192.0.2.1] blocked using zen.spamhaus.org"


def signed_up(made, count, *, at="example.org", called="reader"):
    for number in range(count):
        joining.ask(made.parts, Wish(f"{called}{number}@{at}", "en", {"weekly": "weekly"}))
        joining.work(made.parts)
    made.deliver("transactional", seconds=20)


def change(made, sql):
    with made.parts.database.transaction() as session:
        session.execute(text(sql))


@pytest.fixture
def auditor(newsletter):
    return Crew(newsletter.parts.database, newsletter.parts.database).member(Role.AUDITOR)


def test_the_team_is_told_once_a_day_that_who_signs_up_is_not_asked(newsletter, sink, auditor, database_urls):
    """One letter a mailing, and none of them halts: thirty people waited, and no page and no mail said so."""
    sink.refuse = lambda recipient: BLOCKED if recipient != auditor.address else None
    signed_up(newsletter, 5)
    newsletter.sweep()
    newsletter.sweep()
    newsletter.deliver("transactional", seconds=20)
    [(event, facts)] = nights.calls(newsletter)
    assert event == "blocked"
    assert facts["refused"] == facts["tried"] >= 3
    [mail] = [read(message) for message in sink.messages]
    assert mail["Subject"] == "Servers refuse our service mail: who signs up is NOT asked"
    said = " ".join(mail.get_body(("plain",)).get_content().split())
    assert "stands on a block list" in said
    assert "newsletter doctor" in said
    assert "reader" not in said
    house.by_owner(database_urls, "UPDATE refusal SET at = at - interval '25 hours'")
    signed_up(newsletter, 1, called="later")
    assert [event for event, _ in nights.calls(newsletter)] == ["blocked"] * 2, "and once more while it lasts"


def test_a_few_strangers_servers_are_no_news(newsletter, sink, auditor):
    """Whoever fills in a form chooses the server: nine at one that refuses everything wake nobody."""
    sink.refuse = lambda recipient: BLOCKED if recipient.startswith("bot") else None
    signed_up(newsletter, 10)
    signed_up(newsletter, 9, at="example.net", called="bot")
    assert nights.calls(newsletter) == []
    found = checking.of_service_mail(newsletter.parts)
    assert (found.ok, "9 of the 19 service mails" in found.found) == (None, True)


def test_doctor_says_how_service_mail_fares(newsletter, sink):
    """It is asked when something is odd, and nobody would look at the mailing of one letter."""
    assert checking.of_service_mail(newsletter.parts).ok is True
    sink.refuse = lambda _recipient: BLOCKED
    signed_up(newsletter, 4)
    found = checking.of_service_mail(newsletter.parts)
    assert (found.ok, "4 of the 4 service mails" in found.found) == (False, True)
    sink.refuse = lambda _recipient: None
    change(newsletter, "UPDATE delivery SET due_at = clock_timestamp()")
    newsletter.sweep()
    newsletter.deliver("transactional", seconds=20)
    assert checking.of_service_mail(newsletter.parts).ok is True, "what arrived is refused no more"
