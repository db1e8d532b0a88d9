"""What is halted beside something else is told as well: no mail about the one hides the other."""

import psycopg

from newsletter.journeys import alert, drafting, mailing, retracting, stopping
from newsletter.ledger.mailings import State
from tests import house
from tests.journeys import nights, traces
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import on_its_way as on_its_way
from tests.journeys.nights import pages as pages
from tests.journeys.test_halts import announced, mails, persian
from tests.journeys.test_halts import number as number


def language(made, tmp_path, author, number, database_urls):
    """Let a later language of an alert go, of which the team was told; return its number."""
    later = nights.locked(made, tmp_path, author, 2)
    alert.release(made.parts, later, by=author.id)
    house.by_owner(database_urls, "UPDATE mailing SET translates = %s WHERE id = %s", number, later)
    made.deliver("transactional")
    return later


def subjects(made, sink, member):
    return [subject for subject, _ in mails(made, sink, member)]


def test_a_pause_of_a_moment_hides_no_stop_of_a_language(
    made, pages, number, author, approver, tmp_path, sink, database_urls
):
    """Paused and let go on between two sweeps it was no news; nor was anything of its languages, for a day."""
    later = language(made, tmp_path, author, number, database_urls)
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    mailing.resume(made.parts, number, by=author.id)
    assert subjects(made, sink, author) == []
    stopping.by_hand(pages.parts, later, State.STOPPED, by=approver.id)
    assert subjects(made, sink, author) == [f"Alert {later} is stopped"]
    assert subjects(made, sink, author) == []


def test_nor_does_a_draft_of_one_that_was_given_up(made, number, author, tmp_path, sink, database_urls):
    """Whoever has the pages' password gave up a draft, of which nobody hears, and then stopped what goes in silence."""
    later = language(made, tmp_path, author, number, database_urls)
    draft = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=author.id)
    house.by_owner(database_urls, "UPDATE mailing SET translates = %s WHERE id = %s", number, draft)
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as sql:
        for one in (draft, later):
            sql.execute("SELECT stop_mailing(%s)", (one,))
    assert subjects(made, sink, author) == [f"Alert {later} is stopped"]


def test_a_stop_of_a_language_and_a_pause_of_the_alert_are_two_mails(
    made, pages, number, author, approver, tmp_path, sink, database_urls
):
    """Whoever lets the alert go on a minute later believes that its Persian goes on with it."""
    later = language(made, tmp_path, author, number, database_urls)
    stopping.by_hand(pages.parts, later, State.STOPPED, by=approver.id)
    stopping.by_hand(pages.parts, number, State.PAUSED, by=approver.id)
    paused = f"Alert {number} is paused: it does not go"
    assert sorted(subjects(made, sink, author)) == sorted([f"Alert {later} is stopped", paused])
    mailing.resume(made.parts, number, by=author.id)
    assert subjects(made, sink, author) == [f"Alert {number} goes on"]


def test_of_two_that_take_an_alert_back_each_is_told(made, number, author, approver, tmp_path, sink):
    """In one language or the other people go on believing what is wrong."""
    made.deliver("urgent")
    later = persian(made, tmp_path, number, author)
    alert.approve_by_code(made.parts, later, by=approver.id, code=approver.code(nights.now(made)))
    alert.release(made.parts, later, by=author.id)
    made.deliver("urgent")
    sink.refuse = lambda to: "450 4.7.1 later" if to.startswith("reader") else None
    back = retracting.retract(made.parts, number)
    made.deliver("urgent")
    subjects(made, sink, author)
    for one in (back.retraction, *back.others):
        mailing.stop(made.parts, one)
    told = subjects(made, sink, author)
    assert sorted(told) == sorted(f"What takes back alert {one} is stopped" for one in (number, later))


def test_what_was_begun_first_and_stands_last_is_told(made, number, author, tmp_path, sink, database_urls):
    """A stop has its number before it stands: held open until the team was told of something newer it was taken for old."""
    later = language(made, tmp_path, author, number, database_urls)
    web = traces.plain(database_urls.web)
    with psycopg.connect(web) as held, psycopg.connect(web, autocommit=True) as other:
        held.execute("SELECT stop_mailing(%s)", (later,))
        other.execute("SELECT pause_mailing(%s)", (number,))
        assert subjects(made, sink, author) == [f"Alert {number} is paused: it does not go"]
        held.commit()
    assert subjects(made, sink, author) == [f"Alert {later} is stopped"]


def test_while_it_is_not_known_who_has_it_its_languages_wait_with_it(
    made, pages, number, author, approver, tmp_path, sink, database_urls
):
    """One stop is one mail, also where a relay still thinks about the alert and not about its Persian."""
    language(made, tmp_path, author, number, database_urls)
    announced(made, number)
    stopping.by_hand(pages.parts, number, State.STOPPED, by=approver.id)
    assert subjects(made, sink, author) == []
    house.by_owner(database_urls, "UPDATE shard SET lease_until = now() - interval '1 hour'")
    assert subjects(made, sink, author) == [f"Alert {number} is stopped"]
    assert subjects(made, sink, author) == []
