"""Turns that workers take: one at a time, and out of the pages' reach."""

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from newsletter import turns
from newsletter.turns import PLACES, What


@pytest.fixture
def web(database_urls):
    """A connection as the role of the pages."""
    plain = make_url(database_urls.web).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("what", What)
def test_of_two_one_is_at_it_until_its_transaction_is_over(database, what):
    """Two workers at once would do the same twice; and one that has died must be in nobody's way."""
    with database.transaction() as first:
        assert turns.take(first, what, 7)
        assert turns.take(first, what, 7), "it may ask again"
        with database.transaction() as second:
            assert not turns.take(second, what, 7)
            assert turns.take(second, what, 8), "another mailing has a turn of its own"
            second.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(OperationalError), second.begin_nested():
                turns.wait(second, what, 7)
    with database.transaction() as second:
        turns.wait(second, what, 7)


def test_each_mailing_has_a_turn_that_is_there_already(session):
    """Where its row is not there nobody is at it, and nobody ever would be."""
    places = (0, 1, PLACES - 1, PLACES, 10**12 + 1)
    assert all(turns.take(session, what, of) for what in What for of in places)


STRENGTHS = ("KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE")
TOUCHES = (
    *(f"SELECT FROM turn FOR {strength}" for strength in STRENGTHS),
    "DO $$ BEGIN LOCK TABLE turn IN ACCESS SHARE MODE; END $$",
    "UPDATE turn SET place = place",
    "DELETE FROM turn",
    "DO $$ BEGIN LOCK TABLE leaving IN SHARE MODE; END $$",
    "SELECT FROM leaving",
    "INSERT INTO turn VALUES ('growing', 999)",
    "SELECT deliveries_of_month('2199-01-01')",
    "SELECT refresh_statistics('{delivery}')",
)


@pytest.mark.parametrize("touch", TOUCHES)
def test_the_pages_hold_no_turn_and_nothing_that_all_mail_waits_for(web, touch):
    """Whoever has their password and stays connected kept the further readers of an alert from it, or everybody from their mail."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute(touch)
