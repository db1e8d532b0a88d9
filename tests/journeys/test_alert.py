"""An urgent alert from draft to inbox, and every way round the second person that somebody inside the house could try."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import make_url
from webauthn.helpers import bytes_to_base64url

from newsletter import database
from newsletter.delivery.planning import CountMoved
from newsletter.journeys import alert, desk, drafting, mailing, publish, retracting
from newsletter.ledger.locks import NotLocked
from newsletter.ledger.mailings import NeedsLock, State, WrongState
from newsletter.models.operator import Calling
from newsletter.operators import enrolment, people
from newsletter.operators.factors import WrongFactor
from newsletter.operators.night import Fault
from newsletter.operators.roles import NotAllowed, Role
from newsletter.operators.sessions import Factor
from tests import house
from tests.delivery.test_carrying import wait_for
from tests.journeys import nights
from tests.journeys.nights import HOST as HOST
from tests.journeys.nights import SITE as SITE
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import now as now
from tests.journeys.nights import pages as pages
from tests.journeys.nights import phone_of as phone_of
from tests.journeys.nights import signature as signature
from tests.journeys.zones import living, waking

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
TEXT = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "alert.md"
    path.write_text(TEXT)
    return [str(path)]


def locked(made, tmp_path, words, author, count):
    """Return the number of an alert to `count` readers, locked by its author."""
    house.add_readers(made, tmp_path, house.addresses(count))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def by_code(made, number, member):
    alert.approve_by_code(made.parts, number, by=member.id, code=member.code(now(made)))


def books(made, number):
    return mailing.status(made.parts, number)


def test_from_draft_to_inbox_by_two(made, tmp_path, words, author, approver, sink):
    """Locked by one, approved by another with the code of her phone, released, in every inbox once."""
    number = locked(made, tmp_path, words, author, 4)
    assert alert.standing(made.parts, number).waits_for.fault is Fault.NOBODY
    with pytest.raises(alert.NotEnough) as refused:
        alert.release(made.parts, number, by=author.id)
    assert refused.value.fault is Fault.NOBODY
    assert made.deliver("urgent") == 0
    by_code(made, number, approver)
    found = alert.standing(made.parts, number)
    assert (found.state, found.approved_by, found.waits_for) == (State.APPROVED, (approver.id,), None)
    assert made.deliver("urgent") == 0
    assert alert.release(made.parts, number, by=author.id) is State.SENDING
    made.deliver("urgent")
    assert sorted(message.recipient for message in sink.messages) == house.addresses(4)
    assert books(made, number).state == "done"


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SENDER, None])
def test_a_role_that_was_taken_takes_its_word_along(made, tmp_path, words, author, approver, sink, role):
    """An approver was found to sign whatever comes. Their role is taken at 02:20, and what they signed at 02:15 must not go."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    with made.parts.database.transaction() as session:
        if role is None:
            people.disable(session, approver.id, by=author.id, now=database.now(session))
        else:
            people.set_roles(session, approver.id, [role], now=database.now(session))
    assert alert.standing(made.parts, number).waits_for.fault is Fault.NOBODY
    with pytest.raises(alert.NotEnough) as refused:
        alert.release(made.parts, number, by=author.id)
    assert refused.value.fault is Fault.NOBODY
    assert made.deliver("urgent") == 0


def test_who_comes_back_has_said_nothing_yet(made, tmp_path, words, author, approver, crew):
    """A thief had the phone and approved; its owner was shut out, and is let in again: what the thief said is not said by that."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    with made.parts.database.transaction() as session:
        moment = database.now(session)
        people.disable(session, approver.id, by=author.id, now=moment)
        invited = enrolment.invite(session, approver.id, Calling.NEW, by=author.id, now=moment)
    back = crew.enrol(invited.token)
    assert alert.standing(made.parts, number).waits_for.fault is Fault.NOBODY
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)
    assert back.id == approver.id


@pytest.mark.parametrize("asked", ["release", "may"])
def test_a_word_that_nobody_settled_is_a_word(made, pages, tmp_path, words, author, approver, sink, asked):
    """The approver has signed and put the phone away; the errand that takes it for approved was lost, the code is used up."""
    number = locked(made, tmp_path, words, author, 4)
    seen = alert.standing(made.parts, number).locked.fingerprint
    code = approver.code(now(made))
    alert.sign(pages.parts, number, by=approver.id, factor=Factor.TOTP, answer=code, seen=seen)
    found = alert.standing(made.parts, number)
    assert (found.state, found.waits_for) == (State.LOCKED, None)
    if asked == "may":
        assert alert.may_release(made.parts, number) == 4
        return
    assert alert.release(made.parts, number, by=author.id) is State.SENDING
    made.deliver("urgent")
    assert len(sink.messages) == 4
    assert any("alert.approved" in act for act in nights.acts(made))


def test_no_word_settles_a_lock_that_comes_meanwhile(made, pages, tmp_path, words, author, approver, database_urls):
    """While a word is weighed somebody corrects a line and locks it anew: what nobody has signed must not be approved."""
    number = locked(made, tmp_path, words, author, 4)
    seen = alert.standing(made.parts, number).locked.fingerprint
    code = approver.code(now(made))
    alert.sign(pages.parts, number, by=approver.id, factor=Factor.TOTP, answer=code, seen=seen)

    def anew():
        (tmp_path / "alert.md").write_text(TEXT.replace("Fourteen", "Forty"))
        drafting.edit(made.parts, number, words, by=author.id)
        alert.lock(made.parts, number, by=author.id)

    plain = make_url(database_urls.owner).set(drivername="postgresql").render_as_string(hide_password=False)
    with ThreadPoolExecutor(2) as pool, psycopg.connect(plain) as held:
        held.execute("LOCK TABLE approval IN ACCESS EXCLUSIVE MODE")
        settled = pool.submit(alert.settle, made.parts, number, by=approver.id)
        wait_for(lambda: held.execute(WAITING).fetchone()[0] == 1, seconds=10)
        locked_anew = pool.submit(anew)
        wait_for(lambda: locked_anew.done() or held.execute(WAITING).fetchone()[0] == 2, seconds=10)
        held.rollback()
        settled.result(timeout=20)
        locked_anew.result(timeout=20)
    found = alert.standing(made.parts, number)
    assert found.locked.fingerprint != seen
    assert (found.state, found.approved_by) == (State.LOCKED, ())


def test_few_readers_need_one_person(made, tmp_path, words, sink):
    """The plain form stays one command where nobody else would add anything."""
    house.add_readers(made, tmp_path, house.addresses(2))
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    made.deliver("urgent")
    assert len(sink.messages) == 2
    assert books(made, number).state == "done"


def test_more_readers_wait_locked(made, tmp_path, words, author, sink):
    """`alerts send` to more than one person may send to ends locked, and nothing has gone."""
    house.add_readers(made, tmp_path, house.addresses(3))
    number = alert.send(made.parts, words, digest_key=house.DIGEST, by=author.id)
    assert alert.standing(made.parts, number).state is State.LOCKED
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []


def test_a_lock_for_many_has_a_name(made, tmp_path, words, author):
    """By whichever door it is asked for: without a name the one who approves might be the one who asked."""
    house.add_readers(made, tmp_path, house.addresses(3))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    with pytest.raises(alert.NotEnough) as refused:
        alert.lock(made.parts, number)
    assert refused.value.fault is Fault.NO_AUTHOR
    assert alert.standing(made.parts, number).state is State.DRAFT
    alert.lock(made.parts, number, by=author.id)


def test_somebody_answers_for_words_without_a_name(made, tmp_path, words, author, approver):
    """Whoever edits at the shell without a name may be the approver: then the one who locks has read these very words."""
    house.add_readers(made, tmp_path, house.addresses(3))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    read = desk.shown(made.parts, number).print
    (tmp_path / "alert.md").write_text(TEXT + "Send money to me.\n")
    drafting.edit(made.parts, number, words)
    with pytest.raises(alert.NotEnough) as refused:
        alert.lock(made.parts, number, by=author.id)
    assert refused.value.fault is Fault.UNREAD
    with pytest.raises(drafting.ChangedMeanwhile):
        alert.lock(made.parts, number, by=author.id, seen=read)
    (tmp_path / "alert.md").write_text(TEXT)
    drafting.edit(made.parts, number, words, by=author.id)
    with pytest.raises(alert.NotEnough):
        alert.lock(made.parts, number, by=author.id)
    alert.lock(made.parts, number, by=author.id, seen=read)
    by_code(made, number, approver)


def test_alone_waits_and_anyone_may_stop_it(made, tmp_path, words, author, sink):
    """One person at night: the alert stands for a quarter of an hour, where all can see and stop it."""
    number = locked(made, tmp_path, words, author, 3)
    with pytest.raises(WrongFactor):
        alert.send_alone(made.parts, number, by=author.id, factor=Factor.TOTP, answer="000000")
    code = author.code(now(made))
    assert alert.send_alone(made.parts, number, by=author.id, factor=Factor.TOTP, answer=code) is State.APPROVED
    made.sweep()
    assert made.deliver("urgent") == 0
    waiting = alert.standing(made.parts, number)
    assert waiting.waits_for.fault is Fault.TOO_SOON
    assert (waiting.start_at - now(made)).total_seconds() == pytest.approx(900, abs=5)
    assert alert.stop(made.parts, number) == 0
    assert alert.standing(made.parts, number).state is State.CANCELLED


def test_an_edit_voids_lock_and_approval(made, tmp_path, words, author, approver, sink):
    """What was approved is what goes: a comma later, it is asked for again, and the approver sees the comma."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    (tmp_path / "alert.md").write_text(TEXT.replace("Fourteen", "Forty"))
    drafting.edit(made.parts, number, words, by=author.id)
    assert alert.standing(made.parts, number).state is State.DRAFT
    with pytest.raises(NotLocked):
        alert.release(made.parts, number, by=author.id)
    made_again = alert.lock(made.parts, number, by=author.id)
    assert made_again.number == 3, "the second is of nothing, so that the first is the newest no more"
    found = alert.standing(made.parts, number)
    assert found.approved_by == ()
    [change] = found.changes
    assert "+Forty lorries stand at the second gate." in change.lines
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert sink.messages == []


def test_nobody_approves_their_own_and_not_everybody_approves(made, tmp_path, words, crew, author):
    """Both roles in one person are one person."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Omid Keller")
    number = locked(made, tmp_path, words, both, 4)
    with pytest.raises(alert.NotEnough) as refused:
        by_code(made, number, both)
    assert refused.value.fault is Fault.OWN
    with pytest.raises(NotAllowed):
        by_code(made, number, author)


def test_a_wrong_code_approves_nothing_and_a_right_one_once(made, tmp_path, words, author, approver):
    """A code read over a shoulder is used up by its owner."""
    number = locked(made, tmp_path, words, author, 4)
    code = approver.code(now(made))
    with pytest.raises(WrongFactor):
        alert.approve_by_code(made.parts, number, by=approver.id, code=f"{(int(code) + 1) % 1000000:06}")
    assert alert.standing(made.parts, number).state is State.LOCKED
    by_code(made, number, approver)
    (tmp_path / "alert.md").write_text(TEXT + "More.\n")
    drafting.edit(made.parts, number, words, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    with pytest.raises(WrongFactor):
        alert.approve_by_code(made.parts, number, by=approver.id, code=code)


def test_a_large_audience_takes_a_passkey(made, pages, tmp_path, words, crew, author, approver, sink):
    """Above five readers here, ten thousand elsewhere, a code does not do; a signature over this very fingerprint does."""
    number = locked(made, tmp_path, words, author, 6)
    with pytest.raises(alert.NotEnough) as refused:
        by_code(made, number, approver)
    assert refused.value.fault is Fault.NEEDS_PASSKEY
    phone = phone_of(crew, made, approver)
    with pytest.raises(alert.NotEnough) as refused:
        nights.by_passkey(pages, made, number, approver, phone.sign(bytes_to_base64url(bytes(32))))
    assert refused.value.fault is Fault.BAD_SIGNATURE
    nights.by_passkey(pages, made, number, approver, signature(made, phone, number))
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert len(sink.messages) == 6


def test_an_audience_that_moved_is_locked_anew(made, tmp_path, words, author, approver):
    """Two readers more among four: somebody must look before it goes."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    house.add_readers(made, tmp_path, ["late1@example.org", "late2@example.org"])
    with pytest.raises(CountMoved):
        alert.may_release(made.parts, number)
    with pytest.raises(CountMoved):
        alert.release(made.parts, number, by=author.id)
    assert alert.standing(made.parts, number).state is State.APPROVED


def test_it_is_no_ordinary_mailing(made, tmp_path, words, author):
    """`mailings send` knows of no second person, so it sends no alert."""
    number = locked(made, tmp_path, words, author, 4)
    with pytest.raises((NeedsLock, WrongState)):
        publish.release(made.parts, number)
    fresh = drafting.draft(made.parts, words, digest_key=house.DIGEST)
    with pytest.raises(NeedsLock):
        publish.release(made.parts, fresh)


def test_those_who_are_awake_are_told_first(tmp_path, database_urls, sink, words):
    """Half of the readers can act now; the others find it at breakfast, and in the same order that it was taken back."""
    one_by_one = house.build(tmp_path, database_urls, f"{sink.url}?connections=1")
    awake, asleep = waking(one_by_one)
    living(one_by_one, tmp_path, {f"reader{n}@example.org": asleep if n % 2 else awake for n in range(6)})
    number = alert.send(one_by_one.parts, words, digest_key=house.DIGEST)
    one_by_one.deliver("urgent")
    order = [message.recipient for message in sink.messages]
    assert sorted(order[:3]) == [f"reader{number}@example.org" for number in (0, 2, 4)]
    retracting.retract(one_by_one.parts, number)
    one_by_one.deliver("urgent")
    assert [message.recipient for message in sink.messages[6:]] == order
    one_by_one.close()
