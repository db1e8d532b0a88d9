"""A large digest cut into parts, each small enough for one person's word or a code: no cut gets round the second person."""

import pytest
from sqlalchemy import text

from newsletter.campaigns.errands import Act
from newsletter.journeys import alert, desk, drafting, errands
from newsletter.ledger.mailings import State
from newsletter.operators.night import REPEATED, Fault
from tests import house
from tests.journeys import nights
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import books, by_code, locked, phone_of, signature
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import APPROVE, attacker, audited, refused

LANGUAGES = ("en", "fa")


@pytest.fixture
def readers(made, tmp_path):
    """Half of them read English, half Persian."""

    def add(count):
        house.add_readers(made, tmp_path, house.addresses(count))
        with made.parts.database.transaction() as session:
            session.execute(text("UPDATE digest SET languages = '{en,fa}'"))
            session.execute(text("UPDATE subscriber SET language = CASE WHEN id % 2 = 0 THEN 'fa' ELSE 'en' END"))

    return add


def locked_for(made, words, author, **cut):
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id, **cut)
    alert.lock(made.parts, number, by=author.id)
    return number


def done(made, pages, act, author, **facts):
    """Have the desk do what somebody with the pages' password asks for in the author's name; return why it was refused."""
    errand = errands.ask(pages.parts, act, by=author.id, **facts)
    errands.run(made.parts)
    return errands.wait(made.parts, errand, by=author.id, seconds=0)


def forced(made, database_urls, number, *word):
    with attacker(database_urls.worker) as worker:
        worker.execute(APPROVE, (*word, number))
        worker.execute("UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %s", (number,))
    made.sweep()
    made.deliver("urgent")


def test_the_pages_password_reaches_no_large_digest_slice_by_slice(
    made, pages, words, readers, author, approver, sink, database_urls
):
    """A code is a row that the pages may write: it is enough for five, and each slice of ten is five."""
    readers(10)
    forged = "---\nsubject: FORGED\n---\nSend money.\n"
    for language in LANGUAGES:
        facts = {"words": [forged], "digest": house.DIGEST, "seen": "", "only": [language]}
        number = done(made, pages, Act.DRAFT, author, **facts).mailing
        done(made, pages, Act.LOCK, author, mailing=number, seen=desk.shown(made.parts, number).print)
        found = alert.standing(made.parts, number).locked
        assert (found.count, found.codes) == (5, False)
        with attacker(database_urls.web) as web:
            web.execute(APPROVE, ("two", approver.id, "totp", None, number))
        assert done(made, pages, Act.SETTLE, author, mailing=number).refused[0] == "night.reach-needs-passkey"
        assert done(made, pages, Act.RELEASE, author, mailing=number, seen=found.fingerprint).refused
        forced(made, database_urls, number, "two", approver.id, "totp", None)
        assert books(made, number).state == "paused"
    assert sink.messages == []
    assert all("reach-needs-passkey" in one for one in audited(made))


def test_one_person_sends_no_large_digest_slice_by_slice(made, words, readers, author, sink, database_urls):
    """Two are few; the readers of one language of four are two, and so are the others."""
    readers(4)
    for language in LANGUAGES:
        number = alert.send(made.parts, words, digest_key=house.DIGEST, by=author.id, only=[language])
        found = alert.standing(made.parts, number)
        assert (found.state, found.locked.count, found.waits_for.fault) == (State.LOCKED, 2, Fault.LIMITED)
        with pytest.raises(alert.NotEnough) as night:
            alert.release(made.parts, number, by=author.id)
        assert night.value.fault is Fault.LIMITED
        forced(made, database_urls, number, "few", None, None, None)
    assert sink.messages == []


def test_a_few_of_a_small_digest_need_one_person_as_ever(made, words, readers, author, sink):
    """Where the whole digest is few, so are those of it who read Persian."""
    readers(2)
    alert.send(made.parts, words, digest_key=house.DIGEST, by=author.id, only=["fa"])
    made.deliver("urgent")
    assert len(sink.messages) == 1


def test_no_code_lets_a_large_digest_go_language_by_language(
    made, words, readers, author, approver, sink, database_urls
):
    """The same cut by languages that come later: what an approval must show goes by all who take the digest."""
    readers(10)
    number = locked_for(made, words, author, later=["fa"])
    assert alert.standing(made.parts, number).locked.count == 5
    with pytest.raises(alert.NotEnough) as night:
        by_code(made, number, approver)
    assert night.value.fault is Fault.REACH_NEEDS_PASSKEY
    forced(made, database_urls, number, "two", approver.id, "totp", None)
    assert sink.messages == []


def test_few_again_and_again_are_many(made, words, tmp_path, author, sink, database_urls):
    """An alert, what corrects it, and what corrects that; then somebody else looks, whoever asks for it and however."""
    for _ in range(REPEATED):
        number = locked(made, tmp_path, words, author, 2)
        alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert len(sink.messages) == 2 * REPEATED
    number = locked(made, tmp_path, words, author, 2)
    with pytest.raises(alert.NotEnough) as night:
        alert.release(made.parts, number, by=author.id)
    assert night.value.fault is Fault.FEW_REPEATED
    forced(made, database_urls, number, "few", None, None, None)
    assert len([one for one in sink.messages if one.recipient in house.addresses(2)]) == 2 * REPEATED
    assert "few-repeated" in audited(made)[0]


def test_what_a_passkey_let_go_is_not_added_up(made, pages, words, tmp_path, crew, author, approver, sink):
    """Whoever can prove it writes as often as the night asks for."""
    phone = phone_of(crew, made, approver)
    for _ in range(REPEATED):
        number = locked(made, tmp_path, words, author, 4)
        nights.by_passkey(pages, made, number, approver, signature(made, phone, number))
        alert.release(made.parts, number, by=author.id)
    number = locked(made, tmp_path, words, author, 4)
    assert alert.standing(made.parts, number).locked.codes
    by_code(made, number, approver)
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert len(sink.messages) == 4 * (REPEATED + 1)


def test_what_went_stays_its_digest_s(made, words, tmp_path, author, database_urls):
    """With a worker's password an alert that went would be called another digest's, and not be added up."""
    number = locked(made, tmp_path, words, author, 2)
    alert.release(made.parts, number, by=author.id)
    with attacker(database_urls.worker) as worker:
        worker.execute("INSERT INTO digest (key, name, languages, rhythm) VALUES ('other', 'Other', '{en}', 'daily')")
        refused(worker, f"UPDATE mailing SET digest_id = (SELECT max(id) FROM digest) WHERE id = {number}")
