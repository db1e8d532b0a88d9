"""Pausing an alert pauses its languages that came later, and nobody else's; what goes on with it is what it paused."""

import threading

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, drafting, mailing, stopping, translating
from newsletter.ledger import mailings
from newsletter.ledger.mailings import State, WrongState
from newsletter.operators.roles import Role
from tests import house
from tests.delivery.test_carrying import wait_for
from tests.journeys.alerting import status
from tests.journeys.test_translating import SUBJECTS, inbox, mails, send_late, sent, states
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers
from tests.operators.crew import Crew


@pytest.fixture
def auditor(newsletter, pages):
    return Crew(newsletter.parts.database, pages.parts.database).member(Role.AUDITOR)


def test_a_pause_reaches_every_language_and_so_does_going_on(newsletter, pages, auditor, sink, files, readers):
    """Somebody doubts the news, not its English: nothing of it goes until somebody says so. By the pages' own role."""
    number = sent(newsletter, [files["en"]], later=["fa", "ar"])
    persian = send_late(newsletter, [files["fa"]], number)
    written = translating.draft(newsletter.parts, [files["ar"]], of=number)
    stopping.by_hand(pages.parts, number, State.PAUSED, by=auditor.id)
    assert states(newsletter, number, persian, written) == ["done", "paused", "draft"]
    newsletter.deliver("urgent")
    assert len(sink.messages) == 5
    assert status(newsletter, persian).halted == "with its alert"
    assert mailing.resume(newsletter.parts, number) == [persian]
    newsletter.deliver("urgent")
    assert states(newsletter, persian) == ["done"]
    assert len(mails(sink, SUBJECTS["fa"])) == 5
    with pytest.raises(WrongState):
        mailing.resume(newsletter.parts, number)


def test_both_at_once(newsletter, sink, files, readers):
    """The alert and its language are on their way: one pause, one word to go on, and everybody has theirs."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    arabic = send_late(newsletter, [files["ar"]], number)
    assert mailing.pause(newsletter.parts, number) == [number, arabic]
    newsletter.deliver("urgent")
    assert sink.messages == []
    mailing.may(newsletter.parts, number, State.SENDING)
    assert mailing.resume(newsletter.parts, number) == [number, arabic]
    newsletter.deliver("urgent")
    assert states(newsletter, number, arabic) == ["done", "done"]
    assert len(inbox(sink)) == 15


def test_what_was_paused_by_itself_does_not_go_on_with_the_alert(newsletter, sink, files, readers):
    """A slip was found in the Arabic. Whoever lets the alert go on, which was paused for another reason, has not seen it."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["fa", "ar"])
    persian = send_late(newsletter, [files["fa"]], number)
    arabic = send_late(newsletter, [files["ar"]], number)
    mailing.pause(newsletter.parts, arabic)
    mailing.pause(newsletter.parts, number)
    mailing.resume(newsletter.parts, number)
    assert states(newsletter, number, persian, arabic) == ["sending", "sending", "paused"]
    mailing.resume(newsletter.parts, arabic)
    newsletter.deliver("urgent")
    assert states(newsletter, number, persian, arabic) == ["done", "done", "done"]


def test_one_language_is_paused_alone_and_goes_on_alone(newsletter, files, readers):
    """As a stop of it is for it alone; and one that was paused with the alert may be let go before it."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    arabic = send_late(newsletter, [files["ar"]], number)
    mailing.pause(newsletter.parts, arabic)
    assert states(newsletter, number, arabic) == ["sending", "paused"]
    mailing.resume(newsletter.parts, arabic)
    mailing.pause(newsletter.parts, number)
    mailing.resume(newsletter.parts, arabic)
    assert states(newsletter, number, arabic) == ["paused", "sending"]
    assert status(newsletter, arabic).halted is None


def test_a_language_that_is_let_go_meanwhile_waits_with_its_alert(newsletter, sink, files, readers):
    """The translator does not know that the alert is paused: theirs is on its way the moment that goes on."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    mailing.pause(newsletter.parts, number)
    arabic = send_late(newsletter, [files["ar"]], number)
    assert states(newsletter, arabic) == ["paused"]
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert sink.messages == []
    mailing.resume(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert states(newsletter, number, arabic) == ["done", "done"]


def test_a_pause_waits_for_no_language_that_is_being_planned(newsletter, sink, files, readers):
    """The alert itself is quiet within the half second that is promised; the language follows once its rows are written."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    arabic = send_late(newsletter, [files["ar"]], number)
    with newsletter.parts.database.transaction() as busy:
        mailings.take(busy, arabic)
        pausing = threading.Thread(target=mailing.pause, args=(newsletter.parts, number))
        pausing.start()
        wait_for(lambda: states(newsletter, number) == ["paused"], seconds=10)
        assert states(newsletter, arabic) == ["sending"]
    pausing.join(20)
    assert states(newsletter, arabic) == ["paused"]


def test_what_has_not_begun_is_not_paused(newsletter, files, readers):
    """There is nothing to halt, and the sentence says so."""
    number = drafting.draft(newsletter.parts, [files["en"]], digest_key=house.DIGEST)
    with pytest.raises(WrongState):
        mailing.pause(newsletter.parts, number)


def test_each_is_written_down(newsletter, pages, auditor, files, readers):
    """Who kept the Arabic back is asked in the morning."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    arabic = send_late(newsletter, [files["ar"]], number)
    stopping.by_hand(pages.parts, number, State.PAUSED, by=auditor.id)
    mailing.resume(newsletter.parts, number)
    with newsletter.parts.database.transaction() as session:
        acts = list(session.execute(text("SELECT content FROM audit ORDER BY number")).scalars())
    for one in (number, arabic):
        mine = [act for act in acts if f'"mailing":{one}' in act.replace(" ", "")]
        assert [act for act in mine if "alert.paused" in act and f'"{auditor.id}"' in act]
        assert [act for act in mine if "alert.resumed" in act]
