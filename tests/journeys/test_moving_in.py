"""A campaign moves here: its people come in, those of whom nobody can show anything are asked, and a segment gets its mail."""

import email
import email.policy
import re
import threading
import time
from contextlib import closing

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.cli import moving
from newsletter.issues import digests
from newsletter.journeys import erasing, joining, mailing, moving_in, owners, privacy, publish, retention, segmenting
from newsletter.operators import audit
from newsletter.subscribers import segments, signup, undoing
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.fakes import exports
from tests.journeys.test_beside_a_list import BLOCKED

ITSELF = moving_in.Permission(Basis.IMPORTED, "")


def ask(newsletter, sql, **facts):
    with newsletter.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def brought(urls, folder):
    """Make a product into which a Mailchimp zip came."""
    path = exports.mailchimp(folder / "export.zip")
    with closing(house.build(folder, urls, "smtp://127.0.0.1:9")) as made:
        done = moving_in.import_subscribers(made.parts, str(path), digest_key=house.DIGEST, permission=ITSELF)
    return {"moved": done}


@pytest.fixture
def begun(moulds, tmp_path):
    """A copy of it."""
    with moulds.copied(__name__, brought, tmp_path) as begun:
        yield begun


@pytest.fixture
def moved(begun, newsletter):
    """The report of a Mailchimp zip that came in: two may be mailed, one is to be asked, two left."""
    return begun.facts["moved"]


def recipients(sink, before=0):
    return sorted(message.recipient for message in sink.messages[before:])


def test_whom_an_import_reached_is_kept_with_it(newsletter, moved):
    """Months later somebody asks how many of a list could be written to on the day it came."""
    [(kept,)] = ask(newsletter, "SELECT reach FROM import_run WHERE id = :number", number=moved.number)
    [(weekly,)] = ask(newsletter, "SELECT id FROM digest WHERE key = :key", key=house.DIGEST)
    assert kept == {"digests": {str(weekly): 2}, "alerts": 2, "unproven": 1}


def test_a_sweep_heeds_whom_an_import_that_was_killed_did_not(newsletter, moved):
    """Whoever left in the moment in which it was committed must not wait for anybody to notice."""
    ask(newsletter, "UPDATE import_run SET unheard_after = 0 RETURNING id")
    [(left,)] = ask(
        newsletter,
        "INSERT INTO consent_event (subscriber_id, kind, purpose)"
        " SELECT min(subscriber_id), 'withdrawn', 'everything' FROM subscription RETURNING subscriber_id",
    )
    newsletter.sweep()
    taking = ask(newsletter, "SELECT subscriber_id FROM subscription WHERE ended_at IS NULL")
    assert len(taking) == 1
    assert (left,) not in taking


def test_a_second_digest_of_the_same_people_is_news_to_postgresql(newsletter, tmp_path):
    """Nobody is added by it, and yet an alert to it a minute later looks for thousands of rows."""
    path = tmp_path / "people.csv"
    path.write_text("email\n" + "".join(f"r{number}@example.org\n" for number in range(moving_in.MANY)))
    house.bring(newsletter, path, digest=house.DIGEST)
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "daily", name="Daily", languages=("en",), rhythm=Rhythm.DAILY)
    house.bring(newsletter, path, digest="daily")
    [(known,)] = ask(newsletter, "SELECT reltuples FROM pg_class WHERE relname = 'subscription'")
    assert known == 2 * moving_in.MANY


def test_who_came_without_evidence_is_asked_once_and_gets_nothing_before(
    newsletter, moved, sink, tmp_path, database_urls
):
    """Re-permission is a question to each, by the same road as the form, and silence is a no."""
    parts = newsletter.parts
    assert moving_in.spelled(parts, moved.reach) == {"digests": {"weekly": 2}, "alerts": 2, "unproven": 1}
    assert moving_in.ask(parts, moved.number, dry_run=True) == 1
    assert moving_in.ask(parts, moved.number) == 1
    assert moving_in.ask(parts, moved.number) == 0
    joining.work(parts)
    newsletter.deliver("bulk", seconds=5)
    assert recipients(sink) == ["old@example.org"]
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    publish.release(parts, publish.compose(parts, house.DIGEST).mailing)
    newsletter.deliver("bulk", seconds=5)
    assert recipients(sink, 1) == ["ann@example.org", "maryam@example.org"]

    question = email.message_from_bytes(sink.messages[0].content, policy=email.policy.default)
    link = re.search(r"http://127\.0\.0\.1:8080(/c/\S+)", question.get_body(("plain",)).get_content())[1]
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(made)) as pages:
        assert pages.post(link).status_code == 200
    made.close()
    joining.work(parts)
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(3,)]
    assert segmenting.add(parts, "everybody", segmenting.said()) == 3


def test_an_ordinary_mailing_goes_to_a_segment_alone(newsletter, moved, sink, tmp_path):
    """The counted number is the number that gets it, and nobody else."""
    segment = segments.from_data([{"joined": {"from": "2020-01-01"}}])
    assert segmenting.add(newsletter.parts, "later", segment) == 1
    (tmp_path / "mail.md").write_text("# To those who came later\n\nWelcome among us.\n", encoding="utf-8")
    drafted = mailing.draft(newsletter.parts, str(tmp_path / "mail.md"), digest_key=house.DIGEST, segment_key="later")
    assert publish.audience_of(newsletter.parts, drafted.mailing) == 1
    publish.release(newsletter.parts, drafted.mailing)
    newsletter.deliver("bulk", seconds=5)
    assert recipients(sink) == ["maryam@example.org"]
    had = segments.from_data([{"had": drafted.mailing}])
    assert segmenting.add(newsletter.parts, "had-it", had) == 1


def test_undoing_forgets_addresses_and_stands_in_the_audit(newsletter, moved):
    """Nothing of people who should never have come may stay, but whom we must not write to; and who did it is known."""
    parts = newsletter.parts
    counted = moving_in.undo(parts, moved.number, suppressions_too=False, dry_run=True)
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(3,)]
    assert moving_in.undo(parts, moved.number, suppressions_too=False) == counted
    assert (counted.ended, counted.forgotten, counted.kept) == (2, 3, 0)
    assert ask(newsletter, "SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL") == [(2,)]
    assert ask(newsletter, "SELECT count(*) FROM address_index") == [(2,)]
    assert ask(newsletter, "SELECT count(*) FROM consent_detail") == [(0,)]
    with parts.database.transaction() as session:
        newest = audit.listed(session, limit=1)[0]
    assert (newest.act, newest.facts["number"], newest.facts["ended"]) == ("import.undone", moved.number, 2)
    with pytest.raises(undoing.AlreadyUndone):
        moving_in.undo(parts, moved.number, suppressions_too=False)


def test_undoing_keeps_no_more_than_a_fingerprint_of_whom_mail_is_kept_from(newsletter, moved):
    """Somebody left before the import was undone: if they come again they must be known, and until then be nobody."""
    [(box,)] = ask(newsletter, "SELECT mailbox_id FROM subscriber ORDER BY id LIMIT 1")
    ask(newsletter, "INSERT INTO suppression (mailbox_id, reason) VALUES (:box, 'left') RETURNING id", box=box)
    moving_in.undo(newsletter.parts, moved.number, suppressions_too=False)
    assert ask(newsletter, "SELECT id FROM subscriber WHERE mailbox_id = :box", box=box) == []
    assert ask(newsletter, "SELECT address_sealed FROM mailbox WHERE id = :box", box=box) == [(None,)]
    assert ask(newsletter, "SELECT count(*) FROM address_index WHERE mailbox_id = :box", box=box) == [(1,)]


def test_who_was_mailed_meanwhile_is_kept_and_gets_no_more(newsletter, moved, sink, tmp_path):
    """The books must still say whom we wrote to."""
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    publish.release(newsletter.parts, publish.compose(newsletter.parts, house.DIGEST).mailing)
    newsletter.deliver("bulk", seconds=5)
    done = moving_in.undo(newsletter.parts, moved.number, suppressions_too=False)
    assert (done.ended, done.forgotten, done.kept) == (2, 1, 2)


def test_the_days_of_a_young_relay_are_told(tmp_path, database_urls, keyring):
    """Forty thousand mails from an address that nobody knows end in the spam folder: the plan is offered before the first."""
    made = house.build(tmp_path, database_urls, "smtp://mail.sarand.example:25")
    try:
        promised = moving_in.pace(made.parts, 40_000)
        assert promised is not None
        assert promised.held_by == "warm-up"
        assert sum(promised.by_day) == 40_000
        assert len(promised.by_day) > 3
        assert moving_in.pace(made.parts, 0) is None
    finally:
        made.close()


def test_who_came_without_evidence_and_says_nothing_is_forgotten(newsletter, moved, database_urls):
    """Whom nobody may write to is kept for a question, and not for ever: address, name and postcode go."""
    parts = newsletter.parts

    def left():
        return ask(newsletter, "SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL")[0][0]

    def age(column, days, table="unproven"):
        house.by_owner(database_urls, f"UPDATE {table} SET {column} = now() - interval '{days} days'")

    def overdue():
        return [one.category for one in retention.table(parts) if not one.ok]

    before = left()
    age("at", 364, "import_run")
    retention.tidy(parts)
    assert ask(newsletter, "SELECT count(*) FROM unproven") == [(1,)], "asking them is still possible"
    moving_in.ask(parts, moved.number)
    joining.work(parts)
    newsletter.deliver("bulk", seconds=5)
    age("asked_at", 30)
    retention.tidy(parts)
    assert ask(newsletter, "SELECT count(*) FROM unproven") == [(1,)], "the question can still be answered"
    age("asked_at", 900)
    age("came_at", 900, "signup")
    joining.work(parts)
    assert overdue() == ["came without evidence, asked"]
    retention.tidy(parts)
    assert (overdue(), left(), ask(newsletter, "SELECT count(*) FROM unproven")) == ([], before - 1, [(0,)])
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(2,)], "who has a permission stays"


def held_up(newsletter, *acts):
    """Do some things, each begun when the one before waits: no question is written before all of them have come that far."""
    threads = [threading.Thread(target=act) for act in acts]
    with newsletter.parts.database.transaction() as session:
        session.execute(text("LOCK TABLE signup IN SHARE ROW EXCLUSIVE MODE"))
        for number, thread in enumerate(threads, start=1):
            thread.start()
            patience = time.monotonic() + 10
            while ask(newsletter, BLOCKED)[0][0] < number and time.monotonic() < patience:
                time.sleep(0.01)
    for thread in threads:
        thread.join(20)


def test_who_is_being_asked_while_the_list_is_taken_back_is_not_asked_anew(newsletter, moved, tmp_path):
    """The question was on its way, and nothing remembered it: the same list, brought again, had them asked a second time."""
    held_up(
        newsletter,
        lambda: moving_in.ask(newsletter.parts, moved.number),
        lambda: moving_in.undo(newsletter.parts, moved.number, suppressions_too=False),
    )
    done = bring(newsletter, tmp_path)
    assert (done.silent, done.unproven) == (0, 1), "their question was called in: they never heard of it"
    assert moving_in.ask(newsletter.parts, done.number) == 1
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM signup") == [(1,)]


@pytest.mark.parametrize("of", ["the same list", "another list"])
def test_two_who_ask_at_once_ask_nobody_twice(newsletter, moved, tmp_path, of):
    """Two operators press at the same time, or a script runs twice: one person, one mail."""
    other = moved.number if of == "the same list" else bring(newsletter, tmp_path).number
    asked = []
    held_up(
        newsletter,
        lambda: asked.append(moving_in.ask(newsletter.parts, moved.number)),
        lambda: asked.append(moving_in.ask(newsletter.parts, other)),
    )
    assert sorted(asked) == [0, 1]
    assert ask(newsletter, "SELECT count(*) FROM signup") == [(1,)]


OLD = "old@example.org"


@pytest.fixture
def passing(newsletter, database_urls):
    """Let days pass for who was asked, as workers see them."""

    def pass_(days):
        for table, columns in (("unproven", ["asked_at"]), ("signup", ["came_at", "asked_at", "refused_at"])):
            for column in columns:
                house.by_owner(database_urls, f"UPDATE {table} SET {column} = {column} - interval '{days} days'")
        joining.work(newsletter.parts)
        retention.tidy(newsletter.parts)

    return pass_


def asked_and_kept(newsletter):
    people = "SELECT count(*) FROM unproven u JOIN subscriber s ON s.id = u.subscriber_id WHERE asked_at IS NOT NULL"
    return ask(newsletter, people)[0][0], [one.category for one in retention.table(newsletter.parts) if not one.ok]


def test_a_later_form_keeps_nobody_longer_whom_a_list_had_asked(newsletter, moved, passing):
    """Anybody can fill in a form for an address: 31 days were promised, and the table of what is kept found it overdue."""
    parts = newsletter.parts
    moving_in.ask(parts, moved.number)
    passing(0)
    passing(25)
    joining.ask(parts, Wish(OLD, "en", {house.DIGEST: "weekly"}))
    passing(5)
    assert asked_and_kept(newsletter) == (1, [])
    passing(5)
    assert asked_and_kept(newsletter) == (0, [])
    [(number,)] = ask(newsletter, "SELECT max(id) FROM signup WHERE state = 'asked'")
    assert joining.confirm_by_reply(parts, number)
    joining.work(parts)
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(3,)], "her form still works"
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(0,)]


def test_a_no_keeps_nobody_longer_whom_a_list_had_asked(newsletter, moved, passing):
    """What they said no to is remembered for a month from then; their name and postcode are not kept for that."""
    moving_in.ask(newsletter.parts, moved.number)
    passing(0)
    passing(20)
    [(number,)] = ask(newsletter, "SELECT id FROM signup")
    assert joining.refuse_by_reply(newsletter.parts, number)
    passing(15)
    assert asked_and_kept(newsletter) == (0, [])
    assert ask(newsletter, "SELECT state FROM signup") == [("refused",)]


def test_whoever_says_yes_on_the_last_day_is_not_forgotten_beside_it(newsletter, moved, passing, database_urls):
    """Upkeep waited for the worker that brought her in, and then deleted her with what it had written."""
    parts = newsletter.parts
    moving_in.ask(parts, moved.number)
    passing(0)
    [(number,)] = ask(newsletter, "SELECT id FROM signup")
    assert joining.confirm_by_reply(parts, number)
    house.by_owner(database_urls, "UPDATE unproven SET asked_at = now() - interval '32 days'")
    with parts.database.transaction() as turn:
        owners.bring_in(turn, parts, signup.answered(turn, [number]), database.now(turn))
        retention.tidy(parts)
    retention.tidy(parts)
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NULL") == [(3,)]
    assert asked_and_kept(newsletter) == (0, [])


@pytest.fixture
def silent(newsletter, moved, sink, database_urls):
    """Whoever came without evidence was asked, said nothing, and is forgotten; return the time that passes by days."""
    parts = newsletter.parts
    moving_in.ask(parts, moved.number)
    joining.work(parts)
    newsletter.deliver("bulk", seconds=5)
    assert recipients(sink) == [OLD]

    def pass_(days):
        for table, column in (("unproven", "asked_at"), ("signup", "came_at"), ("stayed_silent", "at")):
            house.by_owner(database_urls, f"UPDATE {table} SET {column} = {column} - interval '{days} days'")
        joining.work(parts)
        retention.tidy(parts)

    pass_(40)
    assert ask(newsletter, "SELECT count(*) FROM unproven") == [(0,)]
    return pass_


def bring(newsletter, tmp_path, evidence=""):
    path = exports.mailchimp(tmp_path / "again.zip")
    permission = moving_in.Permission(Basis.IMPORTED, evidence)
    return moving_in.import_subscribers(newsletter.parts, str(path), digest_key=house.DIGEST, permission=permission)


def test_who_said_nothing_is_not_asked_because_the_list_comes_again(newsletter, silent, tmp_path, sink):
    """People go on clicking old exports: whoever stayed silent would be asked each month for ever."""
    assert ask(newsletter, "SELECT count(*) FROM mailbox WHERE address_sealed IS NULL AND domain_index = ''") == [(1,)]
    done = bring(newsletter, tmp_path)
    assert (done.silent, done.added, done.unproven) == (1, 0, 0)
    assert "was asked before and did not answer" in done.rejects.read_text()
    assert OLD not in done.rejects.read_text()
    assert moving_in.ask(newsletter.parts, done.number) == 0
    joining.work(newsletter.parts)
    newsletter.deliver("bulk", seconds=2)
    assert recipients(sink) == [OLD], "once"


def test_who_said_nothing_comes_in_with_evidence_or_by_themselves(newsletter, silent, tmp_path, sink):
    """Silence is no wish to be left alone: what can be shown later counts, and so does the person's own form."""
    joining.ask(newsletter.parts, Wish(OLD, "en", {house.DIGEST: "weekly"}))
    joining.work(newsletter.parts)
    newsletter.deliver("transactional", seconds=5)
    assert recipients(sink) == [OLD] * 2
    silent(40)
    done = bring(newsletter, tmp_path, evidence="the paper forms of 2019, folder 3")
    assert (done.silent, done.added) == (0, 1)
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    publish.release(newsletter.parts, publish.compose(newsletter.parts, house.DIGEST).mailing)
    newsletter.deliver("bulk", seconds=5)
    assert OLD in recipients(sink, 2), "their address is known again"


def test_who_says_yes_later_was_not_silent(newsletter, silent):
    """They joined by themselves in the end: that they once said nothing is neither true nor needed any more."""
    joining.ask(newsletter.parts, Wish(OLD, "en", {house.DIGEST: "weekly"}))
    joining.work(newsletter.parts)
    [(number,)] = ask(newsletter, "SELECT max(id) FROM signup")
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(1,)], "whoever may have filled in that form"
    assert joining.confirm_by_reply(newsletter.parts, number)
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(0,)]


def test_that_somebody_said_nothing_is_forgotten_as_well(newsletter, silent, tmp_path):
    """A digest of an address is kept for what it is needed for, for two years, and proof of that is shown."""
    known = "SELECT count(*) FROM address_index"
    [(before,)] = ask(newsletter, known)
    silent(700)
    assert ask(newsletter, known) == [(before,)]
    silent(40)
    assert ask(newsletter, known) == [(before - 1,)]
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(0,)]
    assert all(one.ok for one in retention.table(newsletter.parts))
    assert bring(newsletter, tmp_path).silent == 0


def test_it_is_handed_out_and_erased_with_the_rest(newsletter, silent, tmp_path):
    """A digest of an address is somebody's as well: they may see it, and have it gone."""
    address = EmailAddress.parse(OLD)
    told = privacy.exported(newsletter.parts, reference=None, address=address, by=None)
    assert told["asked_because_of_a_list_and_silent"]
    whose, by = privacy.meant(newsletter.parts, reference=None, address=address, by=None)
    erasing.erase(newsletter.parts, whose, by=by, may_come_back=True)
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(0,)]
    assert bring(newsletter, tmp_path).unproven == 1, "as they wished: a list may name them again"


def test_who_was_asked_is_not_asked_anew_because_the_list_was_taken_back(newsletter, moved, tmp_path, database_urls):
    """Taken back and brought again, it is the same list; and nobody is kept meanwhile of whom nothing may be."""
    moving_in.ask(newsletter.parts, moved.number)
    joining.work(newsletter.parts)
    newsletter.deliver("bulk", seconds=5)
    undone = moving_in.undo(newsletter.parts, moved.number, suppressions_too=False)
    assert (undone.forgotten, undone.kept) == (2, 1), "whom the question has reached may still answer it"
    for table, column in (("unproven", "asked_at"), ("signup", "came_at")):
        house.by_owner(database_urls, f"UPDATE {table} SET {column} = {column} - interval '40 days'")
    joining.work(newsletter.parts)
    retention.tidy(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(0,)]
    left = ask(newsletter, "SELECT count(*) FROM mailbox WHERE address_sealed IS NOT NULL")
    assert left == [(2,)], "the two who left elsewhere, on the do-not-mail list"
    done = bring(newsletter, tmp_path)
    assert (done.silent, done.unproven) == (1, 0)


def test_who_is_about_to_be_asked_is_not_asked_anew_either(newsletter, moved, tmp_path):
    """Taken back in the minute in which its people were to be asked: they are not, and the right list may have them asked, once."""
    moving_in.ask(newsletter.parts, moved.number)
    undone = moving_in.undo(newsletter.parts, moved.number, suppressions_too=False)
    assert (undone.forgotten, undone.kept) == (3, 0)
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM signup") == [(0,)]
    done = bring(newsletter, tmp_path)
    assert (done.silent, done.unproven) == (0, 1)
    moving_in.ask(newsletter.parts, done.number)
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM signup") == [(1,)]


def test_whoever_said_yes_meanwhile_was_not_silent(newsletter, moved, tmp_path, database_urls):
    """They answered, joined, and their list is brought once more: they are readers as before."""
    moving_in.ask(newsletter.parts, moved.number)
    joining.work(newsletter.parts)
    assert joining.confirm_by_reply(newsletter.parts, 1)
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE unproven SET asked_at = now() - interval '40 days'")
    house.by_owner(database_urls, "UPDATE signup SET came_at = now() - interval '40 days'")
    joining.work(newsletter.parts)
    retention.tidy(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM stayed_silent") == [(0,)]
    assert bring(newsletter, tmp_path).silent == 0


def test_whom_each_import_reached_is_listed(newsletter, moved, tmp_path, database_urls):
    """What is kept and shown nowhere answers nobody."""
    house.by_owner(database_urls, "UPDATE import_run SET reach = '{}'")
    bring(newsletter, tmp_path)
    second, first = moving_in.listed(newsletter.parts, limit=10)
    assert second["reach"] == {"digests": {"weekly": 2}, "alerts": 2, "unproven": 1}
    assert moving.reached(second["reach"]) == "weekly 2 · alerts 2 · without evidence 1"
    assert first["reach"] is None, "of before this was kept nothing is made up"


def test_whom_nobody_asked_within_a_year_is_forgotten(newsletter, moved, database_urls):
    """A list that somebody meant to ask some day is none to keep."""
    house.by_owner(database_urls, "UPDATE import_run SET at = now() - interval '367 days'")
    overdue = [one.category for one in retention.table(newsletter.parts) if not one.ok]
    assert overdue == ["came without evidence, not asked"]
    retention.tidy(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(2,)]
    assert all(one.ok for one in retention.table(newsletter.parts))
