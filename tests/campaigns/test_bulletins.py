"""Messages kept: once each, as they came, and only as the roles allow."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError

from newsletter.campaigns import bulletins, cap, ordering
from newsletter.campaigns.bulletins import UnknownBulletin
from newsletter.campaigns.cap import Kind, Status
from newsletter.campaigns.ordering import Apply, Hold, Ignore, State, Why
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Draft, Lane
from tests.campaigns.samples import named, said, xml

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


def keep(session, message, decision, *, minutes=0):
    """Store a message as the journey does."""
    document = cap.document(cap.write(message))
    noted = ordering.noted(message, decision)
    return bulletins.store(session, message, document, noted, now=NOW + timedelta(minutes=minutes))


def mailing(session):
    """Return a mailing to tie a message to."""
    new = Draft(kind=mailings.Kind.ALERT, lane=Lane.URGENT, digest_id=None, subject="A")
    return mailings.draft(session, new, now=NOW)


def test_what_is_kept_is_what_is_known(session):
    """The order of the next message is decided from these rows alone."""
    alert, update = said("A", 0), said("U", 2, Kind.UPDATE, named("A", 0))
    keep(session, alert, Apply(()))
    keep(session, update, Hold(Why.UNKNOWN))
    assert {one.name: one for one in bulletins.known(session)} == {
        alert.name: ordering.noted(alert, Apply(())),
        update.name: ordering.noted(update, Hold(Why.UNKNOWN)),
    }
    assert bulletins.held(session) == [update]
    assert bulletins.message(session, alert.name) == alert


def test_the_document_is_kept_whole(session):
    """Years later somebody asks what the authority said; what we do not read counts too."""
    raw = xml(info="<unheard-of>of</unheard-of>")
    number = bulletins.store(
        session, cap.read(raw), cap.document(raw), ordering.noted(cap.read(raw), Apply(())), now=NOW
    )
    assert bulletins.get(session, number)[1] == cap.read(raw)
    kept = session.execute(text("SELECT document FROM cap_message")).scalar_one()
    assert "<unheard-of>of</unheard-of>" in kept


def test_what_waits_is_returned_in_the_order_of_its_sender(session):
    """Updates follow each other as they were sent, not as they came."""
    later, sooner = said("V", 3, Kind.UPDATE, named("A", 0)), said("U", 2, Kind.UPDATE, named("A", 0))
    keep(session, later, Hold(Why.UNKNOWN))
    keep(session, sooner, Hold(Why.UNKNOWN), minutes=1)
    assert bulletins.held(session) == [sooner, later]
    assert [one.name for one in bulletins.listed(session)] == [sooner.name, later.name]
    bulletins.settle(session, ordering.noted(sooner, Ignore(Why.SUPERSEDED)))
    assert bulletins.held(session) == [later]
    assert [one.name for one in bulletins.listed(session, state=State.IGNORED)] == [sooner.name]


def test_a_better_copy_takes_the_place(session):
    """One row for each message: the cancel with its references, not the one without."""
    bare, full = said("C", 4, Kind.CANCEL), said("C", 4, Kind.CANCEL, named("A", 0))
    first = keep(session, bare, Hold(Why.NAMES_NONE))
    assert keep(session, full, Hold(Why.UNKNOWN)) == first
    assert bulletins.held(session) == [full]


def test_what_takes_effect_belongs_to_a_mailing(session):
    """From the alert one finds who said so, and from the message what was done."""
    alert = said("A", 0)
    number = keep(session, alert, Ignore(Why.SUPERSEDED))
    mailing_id = mailing(session)
    bulletins.apply(session, alert.name, mailing_id)
    found, _ = bulletins.get(session, number)
    assert (found.state, found.why, found.mailing_id) == (State.APPLIED, None, mailing_id)
    assert bulletins.mailing_of(session, alert.name) == mailing_id
    assert bulletins.by_name(session, alert.name) == found
    assert bulletins.by_name(session, named("B", 0)) is None


def test_a_number_that_is_none_is_refused(session):
    """A page says so instead of failing."""
    with pytest.raises(UnknownBulletin):
        bulletins.get(session, 4)


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE cap_message SET status = 'Test'",
        "UPDATE cap_message SET why = 'unknown'",
        "UPDATE cap_message SET state = 'held'",
        "UPDATE cap_message SET state = 'lost', why = 'x'",
        "UPDATE cap_message SET kind = 'Warning'",
        "INSERT INTO cap_message (identifier, sender, sent_at, kind, status, document, state)"
        " SELECT identifier, sender, sent_at, kind, status, document, state FROM cap_message",
    ],
)
def test_the_table_refuses_what_cannot_be(session, wrong):
    """An exercise that was applied is one that woke somebody."""
    keep(session, said("A", 0), Apply(()))
    session.flush()
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(text(wrong))


@pytest.mark.parametrize(
    ("role", "statement", "allowed"),
    [
        ("worker", "SELECT count(*) FROM cap_message", True),
        ("worker", "DELETE FROM cap_message", False),
        ("worker", "TRUNCATE cap_message", False),
        ("web", "SELECT count(*) FROM cap_message", True),
        ("web", "UPDATE cap_message SET state = 'applied'", False),
        ("web", "INSERT INTO cap_message (identifier) VALUES ('x')", False),
        ("web", "DELETE FROM cap_message", False),
    ],
)
def test_roles_do_what_they_must(database_urls, role, statement, allowed):
    """A hole in a page must not make an authority say anything, and nobody makes it unsaid."""
    url = make_url(getattr(database_urls, role)).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        if allowed:
            connection.execute(statement)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_status_comes_back_as_it_was(session):
    """An exercise is shown as one."""
    drill = said("T", 0, status=Status.EXERCISE)
    keep(session, drill, Ignore(Why.NOT_ACTUAL))
    [found] = bulletins.listed(session)
    assert (found.status, found.kind, found.state, found.why) == (
        Status.EXERCISE,
        Kind.ALERT,
        State.IGNORED,
        Why.NOT_ACTUAL,
    )
