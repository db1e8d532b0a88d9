"""A language of an alert that is finished later: to those who wait, marked to those who had another, to nobody twice."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.delivery import following, planning
from newsletter.delivery.planning import CountMoved
from newsletter.journeys import alert, drafting, growing, leaving, retracting, stopping, translating
from newsletter.ledger import locks, mailings
from newsletter.ledger.mailings import State
from newsletter.ledger.translating import Waiting
from newsletter.operators import approval
from newsletter.operators.approval import Over
from newsletter.operators.night import Rule
from tests import house
from tests.delivery.test_carrying import delivering, wait_for
from tests.journeys.alerting import read, status
from tests.journeys.test_turns import waits

ENGLISH = "---\nsubject: Lorries at Sarand\nlanguage: en\n---\nFourteen lorries stand at the gate.\n"
PERSIAN = "---\nsubject: کامیون‌ها در سرند\nlanguage: fa\n---\nچهارده کامیون جلوی دروازه است.\n"
ARABIC = "---\nsubject: شاحنات في سرند\nlanguage: ar\n---\nأربع عشرة شاحنة عند البوابة.\n"
SUBJECTS = {"en": "Lorries at Sarand", "fa": "کامیون‌ها در سرند", "ar": "شاحنات في سرند"}
MARK = {"fa": "ترجمهٔ پیام ما", "ar": "ترجمة رسالتنا"}


@pytest.fixture
def files(tmp_path):
    return written(tmp_path)


@pytest.fixture
def readers(newsletter, tmp_path):
    return speakers(newsletter, tmp_path)


def written(folder):
    """Return files with the alert in three languages."""
    found = {}
    for language, words in (("en", ENGLISH), ("fa", PERSIAN), ("ar", ARABIC)):
        path = folder / f"{language}.md"
        path.write_text(words)
        found[language] = str(path)
    return found


def speakers(made, folder):
    """Add five readers each of English, Persian and Arabic, of one digest in the three; return their addresses by language."""
    found = {language: [f"{language}{place}@example.org" for place in range(5)] for language in ("en", "fa", "ar")}
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE digest SET languages = '{en,fa,ar}'"))
    house.add_readers(made, folder, [one for each in found.values() for one in each])
    with made.parts.database.transaction() as session:
        for place, language in enumerate(found):
            ids = "SELECT id FROM subscriber ORDER BY id LIMIT 5 OFFSET :skip"
            session.execute(
                text(f"UPDATE subscriber SET language = :language WHERE id IN ({ids})"),
                {"language": language, "skip": 5 * place},
            )
    return found


def sent(made, paths, **more):
    number = alert.send(made.parts, paths, digest_key=house.DIGEST, **more)
    made.deliver("urgent")
    return number


def send_late(made, paths, number, *, also_had=False, by=None):
    """Return a later language of an alert, on its way or locked, and not yet delivered."""
    found = translating.draft(made.parts, paths, of=number, also_had=also_had, by=by)
    alert.send_draft(made.parts, found, by=by)
    return found


def late(made, paths, number, **more):
    found = send_late(made, paths, number, **more)
    made.deliver("urgent")
    return found


def inbox(sink):
    """Return by recipient the subjects of their mails, in order."""
    found = {}
    for message in sink.messages:
        found.setdefault(message.recipient, []).append(read(message)["Subject"])
    return found


def of(readers, subjects):
    """Return what `inbox` says where every reader of a language had these."""
    return {one: found for language, found in subjects.items() for one in readers[language] if found}


def test_readers_of_a_language_that_comes_later_wait_for_it(newsletter, sink, files, readers):
    """A mother reads it in Arabic at half past two rather than in English at two, of which she reads nothing."""
    en, fa, ar = (SUBJECTS[one] for one in ("en", "fa", "ar"))
    number = sent(newsletter, [files["en"], files["fa"]], later=["ar"])
    assert inbox(sink) == of(readers, {"en": [en], "fa": [fa]})
    found = status(newsletter, number)
    assert (found.state, found.audience, found.planned, found.excluded) == ("done", 15, 10, {"waits": 5})
    assert translating.waiting(newsletter.parts, number) == [Waiting("ar", 5, 0)]
    later = late(newsletter, [files["ar"]], number)
    assert inbox(sink) == of(readers, {"en": [en], "fa": [fa], "ar": [ar]})
    found = status(newsletter, later)
    assert (found.state, found.audience, found.accepted) == ("done", 5, 5)
    assert translating.waiting(newsletter.parts, number) == [Waiting("ar", 0, 0)]
    assert all(MARK["ar"] not in body(m) and read(m)["In-Reply-To"] is None for m in mails(sink, ar))


def test_without_it_everybody_gets_the_best_there_is(newsletter, sink, files, readers):
    """Nobody waits who is not said to: English now is better than nothing."""
    number = sent(newsletter, [files["en"], files["fa"]])
    assert inbox(sink) == of(readers, {"en": [SUBJECTS["en"]], "fa": [SUBJECTS["fa"]], "ar": [SUBJECTS["en"]]})
    later = late(newsletter, [files["ar"]], number)
    assert status(newsletter, later).excluded == {"had another language": 5}
    assert len(sink.messages) == 15


def mails(sink, subject):
    return [message for message in sink.messages if read(message)["Subject"] == subject]


def body(message, kind="plain"):
    return read(message).get_body((kind,)).get_content()


def test_whoever_had_another_gets_it_marked_under_their_mail(newsletter, sink, files, readers):
    """They must see that nothing new has happened, and find it where the first stands."""
    number = sent(newsletter, [files["en"]], later=["fa"])
    assert translating.counts(newsletter.parts, number, [files["fa"], files["ar"]]) == [
        Waiting("fa", 5, 0),
        Waiting("ar", 0, 5),
    ]
    first = {message.recipient: read(message)["Message-ID"] for message in sink.messages}
    later = late(newsletter, [files["fa"], files["ar"]], number, also_had=True)
    found = status(newsletter, later)
    assert (found.planned, found.accepted, found.excluded) == (10, 10, {})
    arabic, persian = mails(sink, SUBJECTS["ar"]), mails(sink, SUBJECTS["fa"])
    assert sorted(one.recipient for one in arabic) == sorted(readers["ar"])
    assert sorted(one.recipient for one in persian) == sorted(readers["fa"])
    for message in arabic:
        had = first[message.recipient]
        assert (read(message)["In-Reply-To"], read(message)["References"]) == (had, had)
        for kind in ("plain", "html"):
            assert MARK["ar"] in body(message, kind)
    for message in persian:
        assert read(message)["In-Reply-To"] is None
        for kind in ("plain", "html"):
            assert MARK["fa"] not in body(message, kind)


def test_nobody_gets_it_twice_in_one_language(newsletter, sink, files, readers):
    """Sent again with another word in it, it finds nobody who has not got it."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    late(newsletter, [files["ar"]], number)
    again = late(newsletter, [files["ar"]], number, also_had=True)
    assert status(newsletter, again).excluded == {"has it already": 5}
    assert [len(found) for found in inbox(sink).values()] == [1] * 15


def test_whose_own_is_still_due_waits_for_that(newsletter, sink, files, readers):
    """A translation that overtakes the message it translates would be told about nothing."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST)
    later = late(newsletter, [files["ar"]], number, also_had=True)
    assert status(newsletter, later).excluded == {"another language is on its way": 5}
    assert status(newsletter, number).accepted == 15


def test_who_left_in_between_gets_none_of_it(newsletter, sink, files, readers):
    """Somebody who waits and leaves meanwhile has left."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    drafted = translating.draft(newsletter.parts, [files["ar"]], of=number)
    alert.lock(newsletter.parts, drafted)
    leave(newsletter, readers["ar"][0])
    alert.release(newsletter.parts, drafted)
    leave(newsletter, readers["ar"][1])
    newsletter.deliver("urgent")
    assert sorted(one.recipient for one in mails(sink, SUBJECTS["ar"])) == readers["ar"][2:]
    found = status(newsletter, drafted)
    assert (found.planned, found.accepted, found.cancelled) == (4, 3, 1)


def leave(made, address):
    with made.parts.database.transaction() as session:
        place = 10 + int(address[2])
        [(reader, digest)] = session.execute(
            text(
                "SELECT s.id, u.digest_id FROM subscriber s JOIN subscription u ON u.subscriber_id = s.id"
                " ORDER BY s.id LIMIT 1 OFFSET :place"
            ),
            {"place": place},
        ).all()
    leaving.leave(made.parts, made.parts.tokens.leave(reader, digest, 1))


def test_one_stop_stops_all_languages(newsletter, sink, files, readers):
    """Whoever stops an alert at night does not know which of its languages are which mailing."""
    number = sent(newsletter, [files["en"]], later=["fa", "ar"])
    running = send_late(newsletter, [files["fa"]], number)
    written = translating.draft(newsletter.parts, [files["ar"]], of=number)
    assert alert.stop(newsletter.parts, number) == 5
    assert states(newsletter, number, running, written) == ["done", "stopped", "cancelled"]
    newsletter.deliver("urgent")
    assert len(sink.messages) == 5


def test_no_language_goes_on_while_a_stop_waits_to_be_signed(newsletter, files, readers):
    """Whoever holds the audit delayed each further language by two seconds, and it went on meanwhile."""
    number = sent(newsletter, [files["en"]], later=["fa", "ar"])
    running = [send_late(newsletter, [files[one]], number) for one in ("fa", "ar")]
    with newsletter.parts.database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit'))"))
        stopping_ = threading.Thread(target=alert.stop, args=(newsletter.parts, number))
        stopping_.start()
        wait_for(lambda: waits(newsletter.parts))
        assert states(newsletter, number, *running) == ["done", "stopped", "stopped"], "at the first that waits"
        stopping_.join(20)
    assert states(newsletter, number, *running) == ["done", "stopped", "stopped"]


def states(made, *numbers):
    return [str(alert.standing(made.parts, one).state) for one in numbers]


def test_the_link_that_stops_an_alert_stops_all_languages(newsletter, pages, sink, files, readers):
    """The link is of the first mail to the team; the pages' own role does it, also where the alert itself has gone."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    running = send_late(newsletter, [files["ar"]], number)
    link = newsletter.parts.tokens.stop(number, now=datetime.now(UTC))
    offer = stopping.offer(pages.parts, link)
    assert (offer.state, offer.languages, offer.stoppable) == (State.DONE, (running,), True)
    stopping.by_link(pages.parts, link)
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert states(newsletter, number, running) == ["done", "stopped"]
    assert status(newsletter, running).cancelled == 5
    assert not stopping.offer(pages.parts, link).stoppable


def test_one_language_is_stopped_alone(newsletter, sink, files, readers):
    """A slip in the Arabic is no reason to keep the English back."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    running = send_late(newsletter, [files["ar"]], number)
    alert.stop(newsletter.parts, running)
    newsletter.deliver("urgent")
    assert states(newsletter, number, running) == ["done", "stopped"]


def test_one_retraction_takes_all_languages_back(newsletter, sink, files, readers):
    """What is false is false in every language, and each reader is told in the one they read it in."""
    number = sent(newsletter, [files["en"]], later=["fa"])
    persian = late(newsletter, [files["fa"]], number)
    late(newsletter, [files["ar"]], number, also_had=True)
    written = translating.draft(newsletter.parts, [files["fa"]], of=number)
    sink.messages.clear()
    assert retracting.would_retract(newsletter.parts, number) == 20
    done = retracting.retract(newsletter.parts, number)
    newsletter.deliver("urgent")
    assert len(done.others) == 2
    assert states(newsletter, number, persian, written) == ["retracted", "retracted", "cancelled"]
    back = inbox(sink)
    assert {language: [len(back[one]) for one in readers[language]] for language in readers} == {
        "en": [1] * 5,
        "fa": [1] * 5,
        "ar": [2] * 5,
    }
    assert all("نادیده" in back[one][0] or SUBJECTS["fa"] in back[one][0] for one in readers["fa"])


@pytest.mark.parametrize("act", [alert.stop, retracting.retract])
def test_whoever_ends_an_alert_waits_for_no_language_that_is_being_planned(newsletter, sink, files, readers, act):
    """A language for a million is planned for seconds; the alert itself stops within the half second that is promised."""
    number = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    later = send_late(newsletter, [files["ar"]], number)
    with newsletter.parts.database.transaction() as busy:
        mailings.take(busy, later)
        ending = threading.Thread(target=act, args=(newsletter.parts, number))
        ending.start()
        wait_for(lambda: states(newsletter, number) != ["sending"], seconds=10)
        assert states(newsletter, later) == ["sending"]
    ending.join(20)
    assert states(newsletter, later) == states(newsletter, number)
    newsletter.deliver("urgent")
    assert sink.messages == []


def test_whoever_died_between_two_languages_is_followed_by_another(newsletter, sink, files, readers):
    """The alert is taken back and its Arabic is not: the same command, said again, does the rest."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    later = late(newsletter, [files["ar"]], number)
    with newsletter.parts.database.transaction() as session:
        retracting.take_back(session, number, now=database.now(session))
    assert states(newsletter, number, later) == ["retracted", "done"]
    retracting.retract(newsletter.parts, number)
    assert states(newsletter, number, later) == ["retracted", "retracted"]
    with pytest.raises(mailings.WrongState):
        retracting.retract(newsletter.parts, number)


def test_two_of_the_same_language_at_once_reach_nobody_twice(newsletter, sink, files, readers):
    """Two people translate the same alert and send within the same second."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    both = [translating.draft(newsletter.parts, [files["ar"]], of=number) for _ in range(2)]
    for one in both:
        alert.lock(newsletter.parts, one)
    refused = []

    def release(one):
        try:
            alert.release(newsletter.parts, one)
        except CountMoved:
            refused.append(one)

    releasing = [threading.Thread(target=release, args=(one,)) for one in both]
    for one in releasing:
        one.start()
    for one in releasing:
        one.join(20)
    newsletter.deliver("urgent")
    assert len(refused) == 1
    assert sorted(one.recipient for one in mails(sink, SUBJECTS["ar"])) == readers["ar"]


def test_an_update_stands_under_the_language_each_had_and_replaces_all(newsletter, tmp_path, sink, files, readers):
    """In the inbox of whoever waited there is the Arabic alone: the update stands under that."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    running = late(newsletter, [files["ar"]], number)
    waiting = translating.draft(newsletter.parts, [files["fa"]], of=number)
    had = {message.recipient: read(message)["Message-ID"] for message in sink.messages}
    sink.messages.clear()
    better = tmp_path / "better.md"
    better.write_text("# Lorries have left\n\nThe gate is free.\n")
    sent(newsletter, [str(better)], updates=number)
    assert {m.recipient: read(m)["In-Reply-To"] for m in sink.messages} == had
    assert states(newsletter, number, running, waiting) == ["done", "done", "cancelled"]
    with pytest.raises(following.Followed):
        send_late(newsletter, [files["fa"]], number)


def test_an_update_cancels_what_is_left_of_a_later_language(newsletter, tmp_path, sink, files, readers):
    """Old news in Arabic behind new news in English is worse than none."""
    number = sent(newsletter, [files["en"]], later=["ar"])
    running = send_late(newsletter, [files["ar"]], number)
    sent(newsletter, [files["fa"]], updates=number)
    with newsletter.parts.database.transaction() as session:
        query = "SELECT DISTINCT reason FROM delivery WHERE mailing_id = :it"
        assert session.execute(text(query), {"it": running}).all() == [("superseded",)]
    assert status(newsletter, running).cancelled == 5


def test_what_has_not_begun_or_was_ended_takes_no_language(newsletter, files, readers, database_urls):
    """There is nobody who waits for a translation of nothing."""
    number = drafting.draft(newsletter.parts, [files["en"]], digest_key=house.DIGEST)
    with pytest.raises(following.NotGoing):
        translating.draft(newsletter.parts, [files["ar"]], of=number)
    gone = sent(newsletter, [files["en"]])
    later = translating.draft(newsletter.parts, [files["ar"]], of=gone)
    alert.lock(newsletter.parts, later)
    with pytest.raises(following.OfAnother):
        translating.draft(newsletter.parts, [files["fa"]], of=later)
    with pytest.raises(following.OfAnother):
        drafting.draft(newsletter.parts, [files["fa"]], digest_key=house.DIGEST, updates=later)
    with pytest.raises(drafting.NotWritten):
        translating.draft(newsletter.parts, [files["en"]], of=gone)
    with pytest.raises(drafting.NotWritten):
        drafting.draft(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["de"])
    house.by_owner(database_urls, "UPDATE mailing SET state = 'stopped' WHERE id = %s", gone)
    with pytest.raises(following.NotGoing):
        alert.release(newsletter.parts, later)
    assert states(newsletter, later) == [State.LOCKED]


FORGED = {
    "translates": "UPDATE mailing SET translates = %(other)s WHERE id = %(late)s",
    "audience": "UPDATE mailing SET content = content || '{\"also_had\": true}' WHERE id = %(late)s",
    "languages": 'UPDATE mailing SET content = content || \'{"languages": ["fa"]}\' WHERE id = %(late)s',
    "later": "UPDATE mailing SET content = content - 'later' WHERE id = %(first)s",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_worker_sends_no_other_audience_than_was_locked(newsletter, sink, files, readers, database_urls, what):
    """Whoever owns the database turns "to those who wait" into "to everybody": it is halted before a byte goes."""
    other = sent(newsletter, [files["fa"]])
    sink.messages.clear()
    first = alert.send(newsletter.parts, [files["en"]], digest_key=house.DIGEST, later=["ar"])
    later = send_late(newsletter, [files["ar"]], first)
    statement = FORGED[what]
    for name, value in (("other", other), ("late", later), ("first", first)):
        statement = statement.replace(f"%({name})s", str(value))
    house.by_owner(database_urls, statement)
    newsletter.deliver("urgent")
    halted = first if what == "later" else later
    assert (status(newsletter, halted).state, status(newsletter, halted).halted) == ("paused", "not approved")
    assert SUBJECTS["en" if what == "later" else "ar"] not in {read(one)["Subject"] for one in sink.messages}


def test_books_hold_where_a_language_is_added_to_an_alert_on_its_way(newsletter, sink, files, readers):
    """A language is finished while the first still goes: everybody has one mail in the end, and both books add up."""
    sink.delay_seconds = lambda: 0.05
    number = alert.send(newsletter.parts, [files["en"], files["fa"]], digest_key=house.DIGEST, later=["ar"])
    with delivering(newsletter, "urgent"):
        wait_for(lambda: len(sink.messages) > 1)
        later = send_late(newsletter, [files["ar"]], number)
    newsletter.deliver("urgent")
    newsletter.sweep()
    assert (status(newsletter, number).accepted, status(newsletter, later).accepted) == (10, 5)
    assert [len(found) for found in inbox(sink).values()] == [1] * 15
    with newsletter.parts.database.transaction() as session:
        assert mailings.in_all_languages(session, number) == [number, later]


FEW = planning.Portions(large=6, first=4, huge=8, next=4)


def begun(made, number):
    """Release an alert, and die before its further readers have rows."""
    with made.parts.database.transaction() as session:
        manifest = locks.current(session, number)
        approval.add(session, Over(number, manifest.number, manifest.fingerprint), Rule.FEW, by=None)
        mailings.approve(session, number, start_at=None)
        planning.plan(session, number, now=database.now(session), portions=FEW)


def locked(made, paths, **more):
    number = drafting.draft(made.parts, paths, digest_key=house.DIGEST, **more)
    alert.lock(made.parts, number)
    return number


def grown(made, number):
    made.parts = replace(made.parts, portions=FEW)
    while growing.grow(made.parts, number):
        pass
    while made.deliver("urgent", seconds=5):
        pass


def test_a_language_waits_until_its_alert_has_all_its_rows(newsletter, sink, files, readers):
    """Who has no row of the alert yet does not wait for a language: their English is on its way."""
    number = locked(newsletter, [files["en"]])
    begun(newsletter, number)
    later = translating.draft(newsletter.parts, [files["ar"]], of=number, also_had=True)
    alert.lock(newsletter.parts, later)
    with pytest.raises(following.Growing):
        alert.release(newsletter.parts, later)
    grown(newsletter, number)
    alert.lock(newsletter.parts, again(newsletter, later))
    alert.release(newsletter.parts, later)
    newsletter.deliver("urgent")
    assert status(newsletter, number).accepted == 15
    assert all(MARK["ar"] in body(one) for one in mails(sink, SUBJECTS["ar"]))
    assert len(mails(sink, SUBJECTS["ar"])) == 5


def again(made, number):
    with made.parts.database.transaction() as session:
        mailings.unlock(session, number)
    return number


def test_whoever_waits_need_not_wait_for_the_rows_of_the_others(newsletter, sink, files, readers):
    """Their alert gives them no row at all, so their language goes while it still grows; both grow in portions."""
    number = locked(newsletter, [files["en"]], later=["fa", "ar"])
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscriber SET language = 'ar' WHERE language = 'fa'"))
    alert.lock(newsletter.parts, again(newsletter, number))
    newsletter.parts = replace(newsletter.parts, portions=planning.Portions(large=4, first=2, huge=4, next=2))
    begun(newsletter, number)
    later = translating.draft(newsletter.parts, [files["ar"]], of=number)
    alert.lock(newsletter.parts, later)
    alert.release(newsletter.parts, later)
    grown(newsletter, number)
    grown(newsletter, later)
    found = status(newsletter, number)
    assert (found.accepted, found.excluded) == (5, {"waits": 10})
    assert status(newsletter, later).accepted == 10
    assert [len(found) for found in inbox(sink).values()] == [1] * 15
