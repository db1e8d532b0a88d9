"""Mails to the team say who did what. In the database that stands sealed, as the team's names do elsewhere."""

import importlib
from datetime import timedelta

import psycopg

from newsletter import database
from newsletter.composer import notice
from newsletter.composer.content import TeamContent
from newsletter.journeys import mailing, notices, retention
from newsletter.journeys.notices import To
from newsletter.ledger import variants
from newsletter.operators import people
from tests import house
from tests.journeys import nights
from tests.journeys.alerting import read
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.traces import plain

BODIES = "SELECT data AS body FROM block UNION ALL SELECT body_sealed FROM variant WHERE body_sealed IS NOT NULL"


def bodies(made):
    """Return all that the database holds of what mails say."""
    return b"".join(bytes(row.body) for row in nights.ask(made, BODIES))


def test_a_mail_that_says_who_did_it_stands_sealed(made, tmp_path, author, approver, sink):
    """The team's names are sealed where they are kept: no copy of the database may hold them in a mail instead."""
    nights.locked(made, tmp_path, author, 3)
    assert b"Fourteen lorries" in bodies(made)
    assert b"Mina" not in bodies(made)
    made.deliver("transactional")
    [mail] = [read(message) for message in sink.messages if message.recipient == approver.address]
    assert "Mina Moradi has locked an alert" in " ".join(mail.get_body(("plain",)).get_content().split())


def test_an_update_forgets_the_mails_that_stood_in_clear(made, tmp_path, database_urls, author):
    """What older versions wrote is as readable in a stolen copy; what readers get, and what is under way, must not go with it."""
    digest = house.issue(made, tmp_path, addresses=["ann@example.org"]).mailing
    went = in_clear(made, author, "Mina")
    made.deliver("transactional")
    made.sweep()
    assert mailing.status(made.parts, went).state == "done"
    waits = in_clear(made, author, "Noor")
    forget = importlib.import_module("newsletter.migrations.versions.0039_mails_to_the_team").FORGET
    with psycopg.connect(plain(database_urls.owner)) as owner:
        for statement in forget:
            owner.execute(statement)
    assert (b"Mina" in bodies(made), b"Noor" in bodies(made)) == (False, True)
    with made.parts.database.transaction() as session:
        for number in (digest, waits):
            assert all(variants.load(session, one.id).blocks for one in variants.of(session, number))


def in_clear(made, member, name):
    """Write a mail to somebody of the team as versions before sealed ones did; return its mailing."""
    frame = made.parts.letterhead.team_frame(language="en")
    compiled = notice.to_team(TeamContent("News", "News", (f"{name} did it.",)), frame, made.parts.layout)
    with made.parts.database.transaction() as session:
        now = database.now(session)
        to = [To(people.by_id(session, member.id).mailbox_id)]
        times = {"expires_at": now + timedelta(days=1), "now": now}
        return notices.post(session, compiled, to, subject="News", language="en", **times)


def test_what_the_team_was_told_is_deleted_a_month_later(made, tmp_path, database_urls, author, approver):
    """Who did what stands in the audit by number; beside it the names must not lie in old mails for ever."""
    nights.locked(made, tmp_path, author, 3)
    sealed = "SELECT count(*) FROM variant WHERE body_sealed IS NOT NULL"
    [(before,)] = nights.ask(made, sealed)
    assert before
    made.deliver("transactional")
    made.sweep()
    retention.tidy(made.parts)
    assert nights.ask(made, sealed) == [(before,)], "it is not over"
    house.by_owner(database_urls, "UPDATE mailing SET created_at = created_at - interval '33 days'")
    assert "text of mails to the team" in [one.category for one in retention.table(made.parts) if not one.ok]
    retention.tidy(made.parts)
    assert nights.ask(made, sealed) == [(0,)]
    assert all(one.ok for one in retention.table(made.parts))
    assert nights.ask(made, "SELECT 1 FROM delivery d JOIN mailing m ON m.id = d.mailing_id WHERE m.kind = 'notice'")


def test_what_the_team_is_yet_to_be_told_is_not_deleted(made, tmp_path, database_urls, author, approver, sink):
    """A mail that could not go out for weeks must not go out empty."""
    nights.locked(made, tmp_path, author, 3)
    house.by_owner(database_urls, "UPDATE mailing SET created_at = created_at - interval '33 days'")
    retention.tidy(made.parts)
    assert b"".join(bytes(row.body) for row in nights.ask(made, BODIES)) != b""
    [(left,)] = nights.ask(made, "SELECT count(*) FROM variant WHERE body_sealed IS NOT NULL")
    assert left
