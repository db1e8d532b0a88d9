"""Whoever has the password of the pages holds what locks they can and stays connected: what is due goes all the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from newsletter.journeys import confirming, growing, joining, leaving, publish, spooling, team
from newsletter.operators import people
from newsletter.subscribers.signup import Wish
from tests import house
from tests.journeys import traces
from tests.journeys.alerting import status
from tests.journeys.test_growing import FEW, begun
from tests.journeys.test_growing import locked as locked
from tests.journeys.test_team import at_night, plain, read
from tests.journeys.test_team import crew as crew
from tests.journeys.test_team import pages as pages
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers
from tests.journeys.test_translating import send_late, sent

KEYS = (
    "hashtext('growing'), n::int",
    "hashtext('ledger.gather')",
    "hashtext('signups')",
    "hashtextextended('later language', n)",
    "hashtext('subscribers.leaving')",
    "hashtext('subscribers.kept')",
)


CHORES = (
    "state = 'beside', again_at = now()",
    "came_at = now() - interval '40 days'",
    "came_at = now() - interval '8 days', client = '\\x00', net = '\\x00'",
    "state = 'held', held_at = now(), held_why = 'net', released_at = now()",
    "undone_at = now()",
)
"""What makes work of a sign-up: it is looked at anew, forgotten, its origin is, it is let go, and taken back."""


@pytest.fixture
def held(database_urls):
    """Hold, as the role of the pages, each lock by which workers took turns."""
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as connection:
        for key in KEYS:
            connection.execute(f"SELECT pg_advisory_lock({key}) FROM generate_series(1, 100) AS n")
        yield


def test_a_large_alert_grows(newsletter, locked, held, sink):
    """It stayed at its first portion for as long as they were connected, and nothing was logged."""
    newsletter.parts = replace(newsletter.parts, portions=FEW)
    begun(newsletter, locked)
    growing.grow(newsletter.parts, locked)
    while newsletter.deliver("urgent", seconds=5):
        pass
    assert status(newsletter, locked).accepted == 60


def test_what_was_put_off_is_tried_again(newsletter, held, sink, tmp_path):
    """Each sweep took it for another one that gathered: who was greylisted never had their mail."""
    sink.refuse = lambda _recipient: "451 4.7.1 Greylisted"
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(6))
    publish.send(newsletter.parts, composed.issue)
    newsletter.deliver("bulk", seconds=10)
    sink.refuse = lambda _recipient: None
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET due_at = now() - interval '1 second'"))
    newsletter.sweep()
    newsletter.deliver("bulk", seconds=10)
    assert status(newsletter, composed.mailing).accepted == 6


def test_who_signs_up_is_asked(newsletter, held):
    """Each worker took it for another one that asked: nobody could join, and nobody's no was heard."""
    joining.ask(newsletter.parts, Wish("ann@example.org", "en", {"weekly": "weekly"}))
    assert joining.work(newsletter.parts) == 1


def test_sign_ups_whose_rows_are_held_keep_nobody_else_waiting(newsletter, database_urls):
    """One row, of the answer that was the oldest or of a chore, and nobody was asked and no yes was heard."""
    for number in range(7):
        joining.ask(newsletter.parts, Wish(f"ann{number}@example.org", "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    for number in (1, 2):
        confirming.confirm(newsletter.parts, house.yes_link(newsletter, number))
    for number, what in enumerate(CHORES, start=3):
        house.by_owner(database_urls, f"UPDATE signup SET {what} WHERE id = {number}")
    joining.ask(newsletter.parts, Wish("eve@example.org", "en", {"weekly": "weekly"}))
    with psycopg.connect(traces.plain(database_urls.web)) as pages:
        pages.execute("SELECT id FROM signup WHERE id NOT IN (2, 8) FOR UPDATE")
        joining.work(newsletter.parts)
        with newsletter.parts.database.transaction() as session:
            found = session.execute(text("SELECT state FROM signup WHERE id IN (2, 8) ORDER BY id"))
            assert list(found.scalars()) == ["settled", "asked"]


def test_who_is_to_be_taken_back_and_is_held_keeps_nobody_else_waiting(newsletter, database_urls):
    """The team took a wave back, and by one row of a reader of it nobody could join any more."""
    joining.ask(newsletter.parts, Wish("ann@example.org", "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, 1))
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE signup SET undone_at = now()")
    joining.ask(newsletter.parts, Wish("eve@example.org", "en", {"weekly": "weekly"}))
    with psycopg.connect(traces.plain(database_urls.web)) as pages:
        pages.execute("SELECT id FROM subscription FOR UPDATE")
        joining.work(newsletter.parts)
        with newsletter.parts.database.transaction() as session:
            assert list(session.execute(text("SELECT state FROM signup ORDER BY id")).scalars()) == ["settled", "asked"]
    joining.work(newsletter.parts)
    with newsletter.parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM subscriber")).scalar_one() == 0, "it is done once they let go"


def test_a_later_language_is_planned(newsletter, files, readers, held):
    """Its five waited for as long as that connection stayed."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    later = send_late(newsletter, [files["ar"]], number)
    newsletter.deliver("urgent")
    assert status(newsletter, later).accepted == 5


def test_who_leaves_has_left(newsletter, held, database_urls, tmp_path):
    """Every wish was kept on the disk of whoever heard it, for as long as they were connected, and mail went on."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(2))
    publish.send(newsletter.parts, composed.issue)
    pages = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with psycopg.connect(traces.plain(database_urls.web)) as connection:
        connection.execute("LOCK TABLE leaving IN ROW EXCLUSIVE MODE")
        for made, reader in ((newsletter, 1), (pages, 2)):
            leaving.leave(made.parts, made.parts.tokens.leave(reader, 1, composed.mailing))
            assert not spooling.waiting(made.parts.home)
    assert status(newsletter, composed.mailing).cancelled == 2
    pages.close()


def test_whoever_left_while_the_database_was_away_has_left(newsletter, held, tmp_path):
    """What lies in the spool is written in turn, and that turn was theirs: mail went on for as long as they were connected."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(2))
    publish.send(newsletter.parts, composed.issue)
    spooling.keep(newsletter.parts.home, spooling.Wish(1, 1, datetime.now(UTC)))
    assert leaving.drain(newsletter.parts) == 1
    assert status(newsletter, composed.mailing).cancelled == 1


ROWS = (
    "INSERT INTO login_throttle (digest, tries, since) VALUES ('x', 1, now() - interval '30 days')",
    "UPDATE operator_session SET began_at = now() - interval '30 days'",
    "INSERT INTO rescue (operator_id, expires_at) SELECT min(id), now() + interval '1 day' FROM operator",
    "INSERT INTO rescue_signature (rescue_id, operator_id, signer_id)"
    " SELECT r.id, r.operator_id, o.id FROM rescue r JOIN operator o ON o.id > r.operator_id WHERE o.disabled_at IS NULL",
)
"""What makes work that the team's mail came after: counts and sessions that are over, and a lost phone that two have signed for."""
TEAM_LOCKS = (
    "SELECT FROM operator FOR UPDATE",
    "LOCK TABLE login_throttle, passkey, recovery_code IN ACCESS EXCLUSIVE MODE",
    "SELECT FROM login_throttle FOR UPDATE",
    "SELECT FROM operator_session FOR UPDATE",
    "SELECT FROM rescue FOR UPDATE",
    "SELECT pg_advisory_lock(hashtext('audit'))",
)


@pytest.mark.parametrize("lock", TEAM_LOCKS)
def test_the_team_is_told_who_was_disabled_and_has_the_day_s_head(newsletter, pages, crew, sink, database_urls, lock):
    """Whoever disabled somebody past the program held one row or table, and nobody heard of it nor had a head to compare with."""
    everyone = [crew.member(name=name) for name in ("Mina Moradi", "Noor Holm", "Omid Keller", "Lale Aksoy")]
    crew.session(everyone[1])
    # Of the day before: whatever the hour is here, what is mailed by it is due.
    morning = at_night(newsletter).replace(hour=5) - timedelta(days=1)
    with psycopg.connect(traces.plain(database_urls.web)) as web:
        web.execute("UPDATE operator SET disabled_at = now() WHERE id = %s", (everyone[3].id,))
        web.commit()
        for statement in ROWS:
            house.by_owner(database_urls, statement)
        web.execute(lock)
        team.tend(newsletter.parts, now=morning)
        assert team.tend(newsletter.parts, now=morning) == 0
        newsletter.deliver("transactional")
        for member in everyone:
            mailed = [plain(mail) for mail in read(sink, member)]
            assert sum("access of" in one for one in mailed) == 1
            assert sum("audit verify" in one for one in mailed) == 1
    team.tend(newsletter.parts, now=morning)
    with newsletter.parts.database.transaction() as session:
        left = "SELECT (SELECT count(*) FROM operator_session) + (SELECT count(*) FROM login_throttle)"
        assert session.execute(text(left)).scalar_one() == 0, "it is cleared once they let go"


def test_of_two_sweeps_at_once_one_tells_who_was_disabled(newsletter, pages, crew):
    """Each would mail the whole team: of two mails about one act nobody knows whether it was two."""
    mina, noor = crew.member(), crew.member(name="Noor Holm")
    with newsletter.parts.database.transaction() as session:
        people.disable(session, mina.id, by=noor.id, now=at_night(newsletter))
    with newsletter.parts.database.transaction() as other:
        assert [one.id for one in people.claim_disabled(other)] == [mina.id]
        assert team.tend(newsletter.parts, now=at_night(newsletter)) == 0
    assert team.tend(newsletter.parts, now=at_night(newsletter)) == 0
