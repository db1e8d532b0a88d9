"""Whoever has the pages, their keys and their role, says yes in nobody's name (docs/adr/0032)."""

import pytest
import sqlalchemy
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.bounces.routing import Arrived
from newsletter.delivery import asking
from newsletter.journeys import confirming, joining, returns
from newsletter.journeys.returns import Done
from newsletter.subscribers import answers, signup, suppression
from newsletter.subscribers.signup import Answer, Wish
from newsletter.subscribers.suppression import Reason
from newsletter.tokens import COUNTERSIGN, LENGTH
from newsletter.web import create
from tests import house
from tests.fakes.returns import letter

ANN = "ann@example.org"


@pytest.fixture
def thief(newsletter, tmp_path, database_urls, sink):
    """Whoever took the pages over: their key file, their role, their code."""
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    yield made
    made.close()


@pytest.fixture
def asked(newsletter):
    """Somebody who complained, wants no mail ever again, and is written into a form by a stranger: the sign-up's number."""
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    [(number, mailbox)] = ask(newsletter, "SELECT id, mailbox_id FROM signup WHERE state = 'asked'")
    with newsletter.parts.database.transaction() as session:
        for reason in (Reason.COMPLAINT, Reason.NEVER_AGAIN):
            suppression.add(session, mailbox, reason=reason, now=database.now(session))
    return number


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def token(thief, number):
    with thief.parts.database.transaction() as session:
        return thief.parts.tokens.confirm(number, now=database.now(session))


def is_in(made):
    """Whether anything of a yes came true."""
    lifted = ask(made, "SELECT 1 FROM suppression WHERE lifted_at IS NOT NULL")
    granted = ask(made, "SELECT 1 FROM consent_event")
    answered = ask(made, "SELECT 1 FROM signup WHERE answered_at IS NOT NULL")
    assert bool(lifted) == bool(granted) == bool(answered)
    return bool(granted)


def later(newsletter, database_urls):
    """Let the quarter of an hour pass after which somebody may be asked again."""
    house.by_owner(
        database_urls,
        "UPDATE signup SET asked_at = asked_at - interval '1 hour', came_at = came_at - interval '1 hour'",
    )


def test_the_mailed_link_lifts_what_the_person_had_said(newsletter, asked):
    """What follows must be told from what follows for anybody: whoever reads that mailbox may come back."""
    assert confirming.confirm(newsletter.parts, house.yes_link(newsletter, asked))
    joining.work(newsletter.parts)
    assert is_in(newsletter)
    assert ask(newsletter, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") == []
    assert ask(newsletter, "SELECT 1 FROM signup_answer") == [], "it is judged once"


@pytest.mark.parametrize("sign", ["", "A" * COUNTERSIGN])
def test_a_link_that_the_pages_keys_make_brings_nobody_in(newsletter, thief, asked, sign):
    """A stolen web server must not undo "never again": it is what people at risk say."""
    with TestClient(create(thief)) as pages:
        assert pages.post(f"/c/{token(thief, asked)}{sign}").status_code == 200
    joining.work(newsletter.parts)
    assert not is_in(newsletter)


def test_a_proof_is_good_for_its_own_sign_up_alone(newsletter, thief, asked):
    """Whoever is asked at an address of their own must not answer for a neighbour by that mail."""
    joining.ask(newsletter.parts, Wish("mallory@example.org", "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    mine = house.yes_link(newsletter, asked + 1)[LENGTH:]
    confirming.confirm(thief.parts, token(thief, asked) + mine)
    joining.work(newsletter.parts)
    assert not is_in(newsletter)


@pytest.mark.parametrize("what", ["answered_at = now()", "answered_by = 'link'", "answered_wording = 'x'"])
def test_the_pages_role_writes_no_answer(thief, asked, what):
    """A proof is worth nothing beside a column that does without."""
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
        ask(thief, f"UPDATE signup SET {what}")


@pytest.mark.parametrize("what", ["UPDATE signup_answer SET believed = true", "DELETE FROM signup_answer"])
def test_the_pages_role_judges_nothing(thief, asked, what):
    """Nor may it forget what was tried: the fifth code would be the first again."""
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
        ask(thief, what)


def test_codes_are_counted_by_whoever_believes_them(newsletter, thief, asked, database_urls):
    """The pages write the count of tries as well: whoever has them would try a million."""
    with newsletter.parts.database.transaction() as session:
        mailbox = signup.mailbox_of(session, asked)
        code = asking.signs(session.vault, asked, mailbox)[0].code
    with thief.parts.database.transaction() as session:
        for guess in ("000001", "000002", "000003", "000004", "000005", code):
            answers.add(session, asked, by=Answer.CODE, secret=guess)
            session.execute(text("UPDATE signup SET tries = 0"))
    joining.work(newsletter.parts)
    assert not is_in(newsletter)
    assert ask(newsletter, "SELECT DISTINCT believed FROM signup_answer") == [(False,)]


def test_who_pressed_what_proves_nothing_is_asked_once_more(newsletter, thief, asked, sink, database_urls):
    """Mail from before the upgrade, or from under a key that is gone, lies in honest mailboxes: no yes is lost in silence."""
    later(newsletter, database_urls)
    house.by_owner(
        database_urls, "UPDATE suppression SET lifted_at = now(), lifted_why = 'a test', lifted_by = 'answered'"
    )
    assert not confirming.confirm(newsletter.parts, token(newsletter, asked)), "its page says to look for a mail"
    joining.work(newsletter.parts)
    newer = max(number for (number,) in ask(newsletter, "SELECT id FROM signup WHERE state = 'asked'"))
    assert newer > asked
    for _ in range(20):
        confirming.confirm(newsletter.parts, token(newsletter, asked))
        joining.work(newsletter.parts)
    [(questions,)] = ask(newsletter, "SELECT count(*) FROM signup WHERE asked_at IS NOT NULL")
    assert questions == 2, "two a day, whoever presses"
    confirming.confirm(newsletter.parts, house.yes_link(newsletter, newer))
    joining.work(newsletter.parts)
    assert len(ask(newsletter, "SELECT 1 FROM subscription WHERE ended_at IS NULL")) == 1


@pytest.mark.parametrize("cut", [LENGTH, LENGTH + 10, LENGTH + COUNTERSIGN - 1])
def test_whose_link_lost_its_end_is_asked_once_more(newsletter, thief, database_urls, cut):
    """A mail program breaks a link at any letter: half of a proof is none, and no reason to turn somebody away who said yes."""
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    later(newsletter, database_urls)
    with TestClient(create(thief)) as pages:
        assert pages.post(f"/c/{house.yes_link(newsletter, 1)[:cut]}").status_code == 200
    joining.work(newsletter.parts)
    assert not is_in(newsletter)
    assert len(ask(newsletter, "SELECT 1 FROM signup WHERE state = 'asked'")) == 2


def test_an_address_that_the_pages_keys_make_takes_no_yes(newsletter, asked, tmp_path, database_urls, sink):
    """Whoever has them can also write a mail; an answer to the very mail that asked goes on as before."""
    made = house.build(tmp_path, database_urls, sink.url, bounce_domain="bounce.example.org")
    [(mailbox,)] = ask(made, "SELECT mailbox_id FROM signup")
    with made.parts.database.transaction() as session:
        now, occasion = database.now(session), asking.to_join(asked)
        bare = made.parts.tokens.confirm_local(asked, now=now)
        mailed = asking.asked(made.parts.tokens, session.vault, occasion, mailbox_id=mailbox, now=now).reply

    def answered(local):
        to = f"{local}@bounce.example.org"
        done = returns.take(made.parts, Arrived(ANN, to, letter(ANN, to, "Re: please confirm", "Yes")))
        joining.work(made.parts)
        return done

    for forged in (bare, f"{bare}abcdefgh2345"):
        assert answered(forged) is Done.ASKED
        assert not is_in(made)
    assert answered(mailed.upper()) is Done.CONFIRMED
    assert is_in(made)
    made.close()


@pytest.mark.parametrize("sign", ["", "abcdefgh2345"])
def test_a_yes_after_a_no_that_proves_nothing_is_read_by_a_person(newsletter, tmp_path, database_urls, sink, sign):
    """Our page says that such an answer has them asked again: from older mail, or by a key that is gone, it vanished in silence."""
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    made = house.build(tmp_path, database_urls, sink.url, bounce_domain="bounce.example.org")
    with made.parts.database.transaction() as session:
        to = f"{made.parts.tokens.confirm_local(1, now=database.now(session))}{sign}@bounce.example.org"

    def answered(word):
        done = returns.take(made.parts, Arrived(ANN, to, letter(ANN, to, "Re: please confirm", word)))
        joining.work(made.parts)
        return done

    assert answered("No") is Done.REFUSED
    assert answered("Yes") is Done.KEPT
    assert answered("Yes") is Done.NOTHING, "it is kept once"
    assert ask(made, "SELECT state, refused_at IS NULL FROM signup") == [("refused", False)], "it lifts no no"
    assert ask(made, "SELECT mailbox_id FROM reply") == ask(made, "SELECT mailbox_id FROM signup")
    made.close()
