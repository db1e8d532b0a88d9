"""The first page asks of somebody only what they can do, and what is to be done."""

from sqlalchemy import text

from newsletter.journeys import halting
from newsletter.ledger.mailings import Lane
from newsletter.operators.roles import Role
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint, written
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.test_night import approve, locked, over, plain
from tests.web.visiting import inside, step


def front(browser):
    """Return what the first page says of alerts."""
    return plain(browser.open("/console")).partition("What you may do here")[0]


def test_what_goes_by_itself_is_not_offered_to_be_sent(browse, crew, now, trustee, desk, readers):
    """Whoever pressed Send would take its delay away, in which everyone may stop it; whoever looks learns its hour."""
    readers(4)
    member, author = inside(browse, crew, now, Role.SENDER)
    here = f"/console/alerts/{written(author)}"
    author.post(f"{here}/lock")
    seen = fingerprint(author.open(f"{here}?alone=1"))
    assert "goes at" in author.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1)).text
    for one in (author, trustee[1]):
        assert "Goes by itself at" in front(one)
        assert "UTC, unless somebody stops it" in front(one)
        assert "it can be sent" not in front(one)
        assert "your approval" not in front(one)


def test_nobody_is_asked_to_approve_what_is_over(awaited, worker):
    """Who is woken for that finds no button. Whoever may lock is asked whether it is still true."""
    author, (_, phone), number = awaited
    assert "Waits for your approval" in front(phone)
    over(worker, number)
    assert "Lorries at Sarand" not in front(phone)
    assert "The time it was locked for is over" in front(author)


def test_what_was_approved_and_is_over_is_not_offered_either(awaited, worker, now):
    """It would be refused, at the moment at which somebody believes that it goes."""
    author, (member, phone), number = awaited
    approve(phone, f"/console/alerts/{number}", step(member, now, 1))
    assert "Approved: it can be sent" in front(author)
    over(worker, number)
    assert "it can be sent" not in front(author)
    assert "The time it was locked for is over" in front(author)


def test_what_waits_is_not_hidden_by_drafts(author, trustee, desk, readers, worker):
    """A feed or an authority writes thirty in a night; the one that is to be approved, or stopped, stays in sight."""
    readers(4)
    number, _here = locked(author)
    with worker.parts.database.transaction() as session:
        session.execute(
            text("""
            INSERT INTO mailing (kind, lane, state, subject, content, digest_id)
            SELECT kind, lane, 'draft', 'Another', content, digest_id FROM mailing, generate_series(1, 35) WHERE id = :number
        """),
            {"number": number},
        )
    assert "Lorries at Sarand" in front(trustee[1])
    assert f"/console/alerts/{number}" in author.open("/console/alerts").text


def test_a_lane_that_stands_still_is_said_wherever_alerts_are_listed(author, desk, readers, worker):
    """“It goes now” on the first page, while nothing leaves the house: nobody looks further at 02:10."""
    readers(2)
    _, here = locked(author)
    author.post(f"{here}/release")
    assert "It goes now" in front(author)
    halting.pause(worker.parts, [Lane.URGENT])
    still = "The urgent lane has been paused since"
    assert "It goes now" not in front(author)
    assert f"It does not go yet. {still}" in front(author)
    assert still in plain(author.open("/console/alerts"))
    halting.resume(worker.parts, [Lane.URGENT])
    assert "It goes now" in front(author)
    assert still not in plain(author.open("/console/alerts"))


def test_what_would_go_by_itself_is_not_promised_while_its_lane_stands_still(
    browse, crew, now, trustee, desk, readers, worker
):
    """Its hour comes, and nothing leaves: whoever read the hour goes back to bed."""
    readers(4)
    member, author = inside(browse, crew, now, Role.SENDER)
    here = f"/console/alerts/{written(author)}"
    author.post(f"{here}/lock")
    seen = fingerprint(author.open(f"{here}?alone=1"))
    author.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, now, 1))
    halting.pause(worker.parts, [Lane.URGENT])
    for one in (author, trustee[1]):
        assert "Goes by itself" not in front(one)
        assert "It does not go yet. The urgent lane has been paused since" in front(one)
