"""A mailing that halts by itself is told to whoever can put right why: nobody looks at a digest that went out at six."""

import pytest

from newsletter.journeys import joining, publish
from newsletter.operators.roles import Role
from newsletter.subscribers.signup import Wish
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.operators.crew import Crew

REFUSED = "550 5.7.1 Message blocked by policy"
NOT_OURS = "550 5.7.1 Sender address rejected: not owned by user"


@pytest.fixture
def auditor(newsletter):
    return Crew(newsletter.parts.database, newsletter.parts.database).member(Role.AUDITOR)


def test_the_team_and_its_hook_are_told_once_why_a_digest_halted(newsletter, sink, tmp_path, auditor):
    """Standards §16: whatever is refused by policy only an operator mends. It stood in the status and the log alone."""
    sink.refuse = lambda recipient: REFUSED if recipient != auditor.address else None
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(300))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=20)
    newsletter.sweep()
    newsletter.sweep()
    newsletter.deliver("transactional", seconds=20)
    assert nights.calls(newsletter) == [("halted", {"mailing": composed.mailing, "lane": "bulk", "why": "policy"})]
    [mail] = [read(message) for message in sink.messages]
    assert mail["Subject"] == f"Mailing {composed.mailing} HALTED by itself"
    said = " ".join(mail.get_body(("plain",)).get_content().split())
    assert "Servers refuse this mail by policy" in said
    assert "0 have been handed their mail" in said
    assert f"newsletter mailings status {composed.mailing}" in said
    assert "reader" not in said


def test_of_service_mail_the_hook_is_told_once_a_day(newsletter, sink, auditor, database_urls):
    """Each letter is a mailing, and the team's own mail is refused with it: one call, not one for each who signs up."""
    sink.refuse = lambda _recipient: NOT_OURS
    for number in range(3):
        joining.ask(newsletter.parts, Wish(f"reader{number}@example.org", "en", {"weekly": "weekly"}))
        joining.work(newsletter.parts)
        newsletter.deliver("transactional", seconds=20)
        newsletter.sweep()
    [(event, facts)] = nights.calls(newsletter)
    assert (event, facts["lane"], facts["why"]) == ("halted", "transactional", "sender")
    house.by_owner(database_urls, "UPDATE hook_call SET made_at = made_at - interval '25 hours'")
    joining.ask(newsletter.parts, Wish("later@example.org", "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    newsletter.deliver("transactional", seconds=20)
    assert len(nights.calls(newsletter)) == 2, "and once more while it lasts"
