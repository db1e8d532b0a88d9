"""What one sends alone and does not go: its page and the first page say what keeps it, and offer what would let it go."""

import pytest

from newsletter import database
from newsletter.journeys import alert, halting
from newsletter.ledger.mailings import Lane
from newsletter.operators import people
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from tests.journeys.test_starting import heard, overdue
from tests.web import evenings
from tests.web.evenings import database_urls as database_urls
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint, written
from tests.web.test_alerts import made as made
from tests.web.test_alerts import worker as worker
from tests.web.test_front import front
from tests.web.test_night import plain
from tests.web.visiting import inside, step

WAITS = "no mail server has taken the link that stops it for anybody else"


def alone(stage):
    """Tell how somebody sends an alert alone, beside a trustee; leave the two and its number. The mails have gone to nobody."""
    stage.readers(4)
    member, author = inside(stage.browse, stage.crew, stage.now, Role.SENDER)
    trusted = inside(stage.browse, stage.crew, stage.now, Role.APPROVER)
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    seen = fingerprint(author.open(f"{here}?alone=1"))
    author.post(f"{here}/alone", fingerprint=seen, factor="totp", answer=step(member, stage.now, 1))
    return (member, author), trusted, number


@pytest.fixture(scope="module")
def evening(servers, tmp_path_factory):
    return evenings.told(servers, tmp_path_factory.mktemp("evening"), alone, one_person_up_to=2, codes_up_to=5)


@pytest.fixture
def sender(evening, browse):
    member, author = evening.left[0]
    return member, evenings.again(browse, author)


@pytest.fixture
def trustee(evening, browse):
    member, phone = evening.left[1]
    return member, evenings.again(browse, phone)


@pytest.fixture
def number(evening, desk):
    return evening.left[2]


def test_before_its_time_its_hour_is_told(sender, trustee, number):
    """The mail is on its way: nobody is alarmed, and whoever may approve learns that they need not wait."""
    assert "Goes by itself at" in front(sender[1])
    assert "read and approved, it goes at once" not in front(sender[1])
    assert "read and approved, it goes at once" in front(trustee[1])
    page = plain(sender[1].open(f"/console/alerts/{number}"))
    assert "unless somebody stops it" in page
    assert WAITS not in page


def test_what_nobody_heard_of_says_so_and_promises_no_hour(sender, trustee, worker, number, database_urls):
    """“Goes at 02:31” at 02:50 is no truth: the mail that stops it hangs, and somebody must know that it waits for that."""
    overdue(database_urls, number)
    worker.sweep()
    for browser in (sender[1], trustee[1]):
        assert f"It does not go yet. Alert {number} waits although its time has come: {WAITS}" in front(browser)
        assert "Goes by itself at" not in front(browser)
        page = browser.open(f"/console/alerts/{number}")
        assert WAITS in page.problem
        assert "unless somebody stops it" not in plain(page)
    assert "Read and approve" in trustee[1].text


def test_it_goes_on_by_itself_once_somebody_has_heard(sender, worker, number, database_urls):
    """The relay is back: its page says the hour no more, and that it goes."""
    overdue(database_urls, number)
    worker.sweep()
    worker.deliver("transactional")
    worker.sweep()
    assert WAITS not in front(sender[1])
    assert "Goes by itself at" in sender[1].text, (
        "the others have their quarter of an hour, and the page says until when"
    )
    heard(database_urls, number)
    worker.sweep()
    assert "On its way" in plain(sender[1].open(f"/console/alerts/{number}"))


def test_what_was_sent_by_somebody_who_left_says_so(sender, trustee, worker, number):
    """Its hour comes and it becomes a draft: who relies on it learns that before, and what to do."""
    with worker.parts.database.transaction() as session:
        people.disable(session, sender[0].id, by=trustee[0].id, now=database.now(session))
    said = "sent alone by somebody whose access to the team, or the right to send, was taken since"
    assert said in front(trustee[1])
    assert said in trustee[1].open(f"/console/alerts/{number}").problem
    assert "Read and approve" not in trustee[1].text, "it would be refused"


def test_a_word_that_no_worker_settled_offers_to_send(sender, trustee, made, worker, number, now):
    """The desk died over it: whoever may send finds one button, and not the end of a quarter of an hour."""
    seen = alert.standing(made.parts, number).locked.fingerprint
    who = trustee[0]
    alert.sign(made.parts, number, by=who.id, factor=Factor.TOTP, answer=step(who, now, 1), seen=seen)
    assert "Approved: it can be sent" in front(sender[1])
    halting.pause(worker.parts, [Lane.URGENT])
    for one in (sender[1], trustee[1]):
        assert "It does not go yet. The urgent lane has been paused since" in front(one), "at its hour no more than now"
    halting.resume(worker.parts, [Lane.URGENT])
    assert "Approved: it can be sent" in front(sender[1])
    browser = sender[1].open(f"/console/alerts/{number}")
    assert "Send now to 4 readers" in plain(browser)
    assert "unless somebody stops it" not in plain(browser)
    browser.post(f"/console/alerts/{number}/release")
    assert worker.deliver("urgent") == 4
