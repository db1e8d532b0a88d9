"""Who takes several mailings at once takes them in one order: two people who end things in the same second both do."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.campaigns import cap
from newsletter.campaigns.cap import Kind
from newsletter.delivery import following
from newsletter.journeys import alert, bulletins, drafting, halting, mandates, retracting, stopping
from newsletter.journeys.heeding import Heeding
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Lane, State, WrongState
from newsletter.operators import audit
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from tests import house
from tests.campaigns.samples import said
from tests.delivery.test_carrying import wait_for
from tests.journeys import nights
from tests.journeys.alerting import recipients, sent
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_following import AGAIN, THIRD, following_file, update
from tests.journeys.test_heeding import ALERT, UPDATE, U
from tests.journeys.test_mandates import sign
from tests.journeys.test_mandates import words as raid


def locked_update(made, tmp_path, of, words):
    number = drafting.draft(made.parts, following_file(tmp_path, words), digest_key=house.DIGEST, updates=of)
    alert.lock(made.parts, number)
    return number


def waits(parts):
    """Return how many wait for anything that somebody else has."""
    with parts.database.transaction() as session:
        mine = "datname = current_database() AND wait_event_type = 'Lock'"
        return session.execute(text(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")).scalar_one()


def blocked(parts):
    """Whether anybody waits for anything that somebody else has."""
    return waits(parts) > 0


def waiting(made):
    """Return how many wait for a row that somebody else has."""
    with made.parts.database.transaction() as session:
        mine = "datname = current_database() AND wait_event IN ('transactionid', 'tuple') AND query ~ '(FROM|UPDATE) mailing'"
        return session.execute(text(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}")).scalar_one()


class Act(threading.Thread):
    """Something that is done beside something else; `refused` is what it raised."""

    def __init__(self, do):
        super().__init__()
        self.do, self.refused = do, None
        self.start()

    def run(self):
        try:
            self.do()
        except Exception as refused:  # whatever it was, the test says so
            self.refused = refused


@contextmanager
def held(made, number):
    """Hold a mailing: whoever wants it waits."""
    with made.parts.database.transaction() as session:
        mailings.take(session, number)
        yield


def one_after_the_other(made, gate, *acts):
    """Begin these while the last mailing of a thread is held, each once the one before waits with the others in its hands.

    Returns what each was refused with.
    """
    with held(made, gate):
        begun = []
        for place, act in enumerate(acts, start=1):
            begun.append(Act(act))
            wait_for(lambda waits=place: waiting(made) >= waits, seconds=20)
    for one in begun:
        one.join(30)
    return [one.refused for one in begun]


def states(made, *numbers):
    return [alert.standing(made.parts, one).state for one in numbers]


def test_an_update_and_a_retraction_in_the_same_second_are_both_done(newsletter, tmp_path, words, sink):
    """One corrects the second alert while another takes the first one back: each waited for the other's, and one was refused."""
    first = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    second = update(newsletter, tmp_path, first)
    newsletter.deliver("urgent")
    third = locked_update(newsletter, tmp_path, second, THIRD)
    faults = one_after_the_other(
        newsletter,
        first,
        lambda: alert.release(newsletter.parts, third),
        lambda: retracting.retract(newsletter.parts, first),
    )
    assert faults == [None, None]
    # The update was first, so it is of what was taken back: whoever had it is told as well.
    assert states(newsletter, first, second, third) == [State.RETRACTED] * 3


def test_whoever_comes_second_hears_of_the_retraction(newsletter, tmp_path, words, sink):
    """The other way round: nothing follows what was taken back a moment ago, and the sentence says why."""
    first = sent(newsletter, tmp_path, words, 3)
    newsletter.deliver("urgent")
    second = update(newsletter, tmp_path, first)
    newsletter.deliver("urgent")
    third = locked_update(newsletter, tmp_path, second, THIRD)
    faults = one_after_the_other(
        newsletter,
        first,
        lambda: retracting.retract(newsletter.parts, first),
        lambda: alert.release(newsletter.parts, third),
    )
    assert faults[0] is None
    assert isinstance(faults[1], following.Retracted)
    assert states(newsletter, first, second, third) == [State.RETRACTED, State.RETRACTED, State.LOCKED]
    newsletter.deliver("urgent")
    assert len(recipients(sink, back=False)) == 6


def test_a_cancel_of_the_authorities_meets_an_update(newsletter, tmp_path, words, sink):
    """It ends the whole thread, and somebody updates its end in that moment."""
    first = sent(newsletter, tmp_path, words, 3)
    second = update(newsletter, tmp_path, first)
    third = locked_update(newsletter, tmp_path, second, THIRD)

    def cancel():
        with newsletter.parts.database.transaction() as session:
            Heeding(newsletter.parts, house.DIGEST).cancel(session, first, None, now=database.now(session))

    faults = one_after_the_other(newsletter, first, lambda: alert.release(newsletter.parts, third), cancel)
    assert faults == [None, None]
    assert states(newsletter, first, second, third) == [State.STOPPED] * 3


met = []


class Met(Heeding):
    """Takes messages in, and is met by somebody's stop just before it ends an alert itself."""

    def cancel(self, session, mailing_id, message, *, now):
        met.append(Act(lambda: stopping.end_all(self.parts, mailing_id, by=audit.SHELL)))
        wait_for(lambda: blocked(self.parts), seconds=20)
        Heeding.cancel(self, session, mailing_id, message, now=now)


def test_the_authorities_end_an_alert_in_the_second_in_which_somebody_stops_it(newsletter, tmp_path):
    """The messages write to the audit before they take the alert, the stop after it: the database refused one of the two."""
    house.add_readers(newsletter, tmp_path, house.addresses(3))
    act = Heeding(newsletter.parts, house.DIGEST)
    number = bulletins.take(newsletter.parts, ALERT, act=act).mailing
    alert.lock(newsletter.parts, number)
    bulletins.take(newsletter.parts, cap.write(said("C", 4, Kind.CANCEL, U)), act=act)
    bulletins.take(newsletter.parts, UPDATE, act=Met(newsletter.parts, house.DIGEST))
    [stop] = met
    stop.join(30)
    assert isinstance(stop.refused, WrongState), "it came second, and is told so"
    assert states(newsletter, number) == [State.CANCELLED]


def by_a_second_word(made, update, author, others):
    """Somebody sent it alone, and another agrees before its time: it goes at once."""
    nights.alone(made, update, author)
    one = others[0]
    return lambda: alert.approve_by_code(made.parts, update, by=one.id, code=one.code(nights.now(made)))


def by_a_word_that_nobody_settled(made, update, author, others):
    """Another's word is there, and its errand was lost: whoever lets it go settles it."""
    one, seen = others[0], alert.standing(made.parts, update).locked.fingerprint
    alert.sign(made.parts, update, by=one.id, factor=Factor.TOTP, answer=one.code(nights.now(made)), seen=seen)
    return lambda: alert.release(made.parts, update, by=author.id)


def by_a_mandate(made, update, author, others):
    """One thumb at night, by what two signed in the evening."""
    until = nights.now(made) + timedelta(hours=6)
    wish = mandates.Wish(author.id, house.DIGEST, "Sarand camp", until, ("raid",), 2, 5)
    given = mandates.add(made.parts, wish).id
    sign(made, given, *others)
    code = author.code(nights.now(made))
    return lambda: mandates.release_by_code(made.parts, update, mandate=given, by=author.id, code=code)


@pytest.mark.parametrize("halt", ["stop", "retract"])
@pytest.mark.parametrize("way", [by_a_second_word, by_a_word_that_nobody_settled, by_a_mandate])
def test_a_stop_comes_in_the_second_in_which_an_update_is_let_go(made, tmp_path, crew, author, way, halt):
    """Whoever stops what it follows takes that and then the audit: a release that took them the other way round undid the stop."""
    *others, trustee = [crew.member(Role.APPROVER, name=name) for name in ("Omid Keller", "Lale Aksoy", "Noor Holm")]
    first = nights.locked(made, tmp_path, author, 4)
    alert.approve_by_code(made.parts, first, by=trustee.id, code=trustee.code(nights.now(made)))
    alert.release(made.parts, first, by=author.id)
    text_of = following_file(tmp_path, raid(made) if way is by_a_mandate else AGAIN)
    update = drafting.draft(made.parts, text_of, digest_key=house.DIGEST, by=author.id, updates=first)
    alert.lock(made.parts, update, by=author.id)
    go = way(made, update, author, others)
    halts = {
        "stop": lambda: stopping.end_all(made.parts, first, by=trustee.id),
        "retract": lambda: retracting.retract(made.parts, first, by=trustee.id),
    }
    with made.parts.database.transaction() as session:
        audit.append(session, "test.held", by=audit.SHELL, now=database.now(session))
        gone = Act(go)
        wait_for(lambda: waits(made.parts) == 1, seconds=20)
        halted = Act(halts[halt])
        wait_for(lambda: waits(made.parts) == 2, seconds=20)
    for one in (gone, halted):
        one.join(30)
    assert gone.refused is None
    assert halted.refused is None or isinstance(halted.refused, WrongState), "the update has ended it"


def test_everything_is_stopped_while_an_update_goes(newsletter, tmp_path, words, sink):
    """The whole lane ends in the second in which a correction is let go: neither waits for the other for ever."""
    first = sent(newsletter, tmp_path, words, 3)
    second = update(newsletter, tmp_path, first)
    third = locked_update(newsletter, tmp_path, second, THIRD)
    faults = one_after_the_other(
        newsletter,
        first,
        lambda: alert.release(newsletter.parts, third),
        lambda: halting.stop(newsletter.parts, [Lane.URGENT]),
    )
    assert faults == [None, None]
    newsletter.deliver("urgent")
    assert sink.messages == []


def test_a_paused_lane_waits_for_no_mailing(newsletter, tmp_path, words, sink):
    """Somebody's rows are being written, which may take a minute: that nothing more leaves is true at once."""
    number = sent(newsletter, tmp_path, words, 3)
    with held(newsletter, number):
        stopping = Act(lambda: halting.stop(newsletter.parts, [Lane.URGENT]))
        wait_for(lambda: halting.listed(newsletter.parts)[0].paused_since is not None, seconds=5)
        assert newsletter.deliver("urgent", seconds=0.2) == 0
    stopping.join(20)
    assert states(newsletter, number) == [State.STOPPED]


def test_the_one_order(newsletter, tmp_path, words):
    """An update before what it follows, a later language before its alert: in whatever order they are named."""
    first = sent(newsletter, tmp_path, words, 1)
    second = update(newsletter, tmp_path, first, AGAIN)
    with newsletter.parts.database.transaction() as session:
        later = (
            "INSERT INTO mailing (kind, lane, digest_id, subject, translates) SELECT kind, lane, digest_id, subject, id"
        )
        [language] = session.execute(text(f"{later} FROM mailing WHERE id = {first} RETURNING id")).scalars()
    with newsletter.parts.database.transaction() as session:
        turns = sorted((first, second, language), key=lambda one: mailings._turn(session, mailings.get(session, one)))
    assert turns == [second, language, first]
    assert language > second, "a number says nothing about the order"
