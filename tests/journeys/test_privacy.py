"""One person's data: reported to a regulator, handed out, and erased so that no backup brings it back."""

import json
import os
import re
import secrets
from contextlib import closing, contextmanager

import psycopg
import pytest
from sqlalchemy import make_url, text

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.bounces import replies
from newsletter.journeys import consenting, erasing, joining, leaving, privacy, publish, retention
from newsletter.ledger import books
from newsletter.models.base import Base
from newsletter.operators import audit
from newsletter.reports.parse import Letter
from newsletter.subscribers import erasures, suppression, topics
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.suppression import Reason
from tests import house
from tests.fakes import smtp
from tests.servers import Urls

ANN, NAME, POSTCODE = "ann.moradi@example.org", "Ann Moradi", "SW1A 2AA"
WORDING = "Friends of Sarand may send me this by e-mail."
LETTER = "Please call me about my brother."


def ask(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


@pytest.fixture
def begun(moulds, tmp_path):
    """A copy of a product that knows Ann, by whom most of these tests begin."""

    def make(urls, folder):
        with smtp.running(smtp.Sink()) as sink, closing(house.build(folder, urls, sink.url)) as made:
            return {"ann": known(made, folder), "had": sink.messages}

    with moulds.copied(__name__, make, tmp_path) as begun:
        yield begun


@pytest.fixture
def ann(begun, newsletter, sink):
    """Somebody of whom everything is known that can be: her reference. The sink has what she had."""
    sink.messages += begun.facts["had"]
    return begun.facts["ann"]


def known(made, tmp_path):
    """Make somebody of whom everything is known that can be: joined by a form, got mail, wrote to us, was suppressed once."""
    wish = Wish(
        ANN, "en", {"weekly": "weekly"}, NAME, WORDING, "spring", "https://sarand.example/join", "203.0.113.0/24"
    )
    joining.ask(made.parts, wish)
    joining.work(made.parts)
    [(signup_id,)] = ask(made, "SELECT id FROM signup")
    assert joining.confirm_by_reply(made.parts, signup_id)
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    with made.parts.database.transaction() as session:
        now = database.now(session)
        [(number, box)] = session.execute(text("SELECT id, mailbox_id FROM subscriber")).all()
        sealed = session.vault.seal("subscriber", "postcode", number, POSTCODE)
        session.execute(
            text("UPDATE subscriber SET postcode_sealed = :it, area = 'S14000021', style = 't' WHERE id = :id"),
            {"it": sealed, "id": number},
        )
        topics.add(session, "water", name="Water")
        topics.choose(session, number, ["water"], now=now)
        replies.keep(session, b"1", Letter(ANN, "Help", LETTER, ()), mailbox_id=box, now=now)
        # A letter that came without saying which mail it answers, and one of somebody else.
        replies.keep(session, b"2", Letter(f"Ann <{ANN.upper()}>", "Again", LETTER, ()), mailbox_id=None, now=now)
        replies.keep(session, b"3", Letter("ben@example.org", "Hi", "Not hers", ()), mailbox_id=None, now=now)
        suppression.add(session, box, reason=Reason.QUOTA, now=now)
        suppression.lift(session, box, by=suppression.Who.OPERATOR, why="she phoned", now=now)
    # A form that no worker has looked at yet.
    joining.ask(made.parts, wish)
    house.add_articles(made, tmp_path, "The well runs dry")
    publish.send(made.parts, publish.compose(made.parts, "weekly").issue)
    made.deliver("bulk", seconds=5)
    [(reference,)] = ask(made, "UPDATE subscriber SET paused_until = now() + interval '3 days' RETURNING reference")
    return reference


def test_a_report_answers_a_regulator(newsletter, ann):
    """Which words, on which page, when, from where, by what confirmed, what followed: without that no permission is proved."""
    [(reader, digest)] = ask(newsletter, "SELECT subscriber_id, digest_id FROM subscription")
    leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(reader, digest, 1))
    found = privacy.report(newsletter.parts, reference=ann, address=None, by=None)
    assert (found.reference, found.address) == (ann, ANN)
    moments = [entry["at"] for entry in found.entries]
    assert moments == sorted(moments)
    given = next(
        one for one in found.entries if one["what"] == "permission given" and one["purpose"] == "digest weekly"
    )
    assert given["basis"] == "consent"
    in_our_mail = consenting.agreement(newsletter.parts, "en")
    assert given["wording"] == in_our_mail.words, "she answered a mail, and these stood in it"
    assert given["wording_version"] == in_our_mail.version
    assert (given["form"], given["page"]) == ("spring", "https://sarand.example/join")
    assert (given["network"], given["confirmed_by"]) == ("203.0.113.0/24", "reply")
    kinds = [entry["what"] for entry in found.entries]
    assert {"form sent", "subscription began", "subscription ended", "mail", "off the do-not-mail list"} <= set(kinds)
    gone = [one["purpose"] for one in found.entries if one["what"] == "permission withdrawn"]
    assert gone == ["digest weekly"]
    assert [one["state"] for one in found.entries if one["what"] == "mail"] == ["accepted"] * 3
    acts = ask(newsletter, "SELECT content FROM audit")
    assert [json.loads(one)["act"] for (one,) in acts] == ["person.reported"]
    assert ANN not in str(acts)


# A row of hers in each table that nothing else brought there.
FURTHER = """
    INSERT INTO unproven (subscriber_id, digest_id, import_id) SELECT s.id, d.id, r.id FROM subscriber s, digest d, import_run r;
    INSERT INTO stayed_silent (mailbox_id, at) SELECT mailbox_id, now() FROM subscriber;
    INSERT INTO full_mailbox (mailbox_id, since, times, last_at) SELECT mailbox_id, now(), 2, now() FROM subscriber;
    INSERT INTO fresh_link (subscriber_id) SELECT id FROM subscriber;
    INSERT INTO privacy_wish (asking, subscriber_id) SELECT 'erase', id FROM subscriber;
    INSERT INTO returned (mailing_id, mailbox_id, came_at, fate, class)
        SELECT 1, mailbox_id, now(), 'failed', 'dead' FROM subscriber
"""


def test_every_table_that_points_to_her_is_in_her_export_and_her_report(newsletter, ann, tmp_path, database_urls):
    """A table that a later change adds must come into the answer, and not as an empty heading."""
    (tmp_path / "none.csv").write_text("email\n")
    house.bring(newsletter, tmp_path / "none.csv")
    for statement in FURTHER.split(";"):
        house.by_owner(database_urls, statement)
    document = privacy.exported(newsletter.parts, reference=ann, address=None, by=None)
    rows = {table: name for noun in privacy.NOUNS for table, name in noun.ROWS.items() if table != "operator"}
    assert {table: name for table, name in rows.items() if not document.get(name)} == {}
    entries = privacy.report(newsletter.parts, reference=ann, address=None, by=None).entries
    assert {
        "named by a list without evidence",
        "asked because of a list, and stayed silent",
        "mailbox full",
        "asked for a link",
        "wished on their page",
        "came back",
    } <= {one["what"] for one in entries}


def test_an_export_holds_everything_that_is_personal(newsletter, ann):
    """Article 15 asks for all of it: a column that is sealed for safety and left out of the answer is hidden from its owner."""
    document = privacy.exported(newsletter.parts, reference=ann, address=None, by=None)
    told = json.dumps(document, default=str, ensure_ascii=False)
    for value in (ANN, NAME, POSTCODE, "S14000021", WORDING, LETTER, ann, "203.0.113.0/24", "water"):
        assert value in told, value
    assert document["language"] == "en"
    assert document["mail_style"] == "t"
    assert len(document["letters"]) == 2
    assert "Not hers" not in told
    assert len(document["signups"]) == 2


def personal_rows(made):
    """Return every value of every column that is marked as personal."""
    found = {}
    for table in Base.metadata.tables.values():
        for column in table.columns:
            if "personal" in column.info and not table.name.startswith("operator"):
                sql = f'SELECT "{column.name}" FROM "{table.name}" WHERE "{column.name}" IS NOT NULL'
                found[f"{table.name}.{column.name}"] = [value for (value,) in ask(made, sql)]
    return found


def test_nothing_personal_is_left_of_who_was_erased(newsletter, ann):
    """The only person of this list is erased: whatever a marked column still holds is what was forgotten."""
    before = personal_rows(newsletter)
    assert {column for column, values in before.items() if not values} <= {"arrival.body_sealed", "privacy_wish.parcel"}
    deliveries = ask(newsletter, "SELECT count(*) FROM delivery")
    events = ask(newsletter, "SELECT count(*) FROM consent_event")
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell", may_come_back=True)
    left = {column: values for column, values in personal_rows(newsletter).items() if values}
    # A letter of somebody else; and what a mailbox without an address has for an index of its domain.
    assert len(left.pop("reply.letter_sealed")) == 1
    assert left.pop("mailbox.domain_index") == [b""]
    assert left == {}
    assert ask(newsletter, "SELECT count(*) FROM delivery") == deliveries
    assert ask(newsletter, "SELECT count(*) FROM consent_event") == events
    assert ask(newsletter, "SELECT count(*) FROM consent_detail") == [(0,)]
    assert ask(newsletter, "SELECT count(*) FROM suppression") == [(0,)]


def test_the_files_and_rows_of_an_erasure_name_nobody(newsletter, ann):
    """A list of the erased that could be read would be the worst list of all."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell")
    path = newsletter.parts.journal
    written = (
        path.read_text() + str(ask(newsletter, "SELECT * FROM erasure")) + str(ask(newsletter, "SELECT * FROM audit"))
    )
    assert not re.search(rf"{ann}|moradi|{meant.address.wire}", written, re.IGNORECASE)
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_was_erased_does_not_come_back_by_a_list(newsletter, ann, tmp_path):
    """The next import of an old file is the usual way in which the erased are written to again."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell")
    house.add_readers(newsletter, tmp_path, [ANN, "ben@example.org"])
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1
    assert ask(newsletter, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == [(1,)]
    assert ask(newsletter, "SELECT reason FROM suppression") == [("never again",)]


def test_who_wished_so_leaves_not_even_a_fingerprint(newsletter, ann, tmp_path):
    """It is theirs to decide; then nothing can know them, and a list may name them again."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell", may_come_back=True)
    assert ask(newsletter, "SELECT 1 FROM address_index") == []
    house.add_readers(newsletter, tmp_path, [ANN])
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1


@pytest.mark.parametrize("said", [Reason.LEFT, Reason.COMPLAINT, Reason.NEVER_AGAIN, None])
def test_an_operator_s_erasure_does_not_take_back_what_the_person_said(newsletter, ann, tmp_path, said):
    """Nobody but the person lifts it: erasing them is no way around that, on this machine or on one that was restored."""
    [(number, box, digest)] = ask(newsletter, "SELECT s.id, mailbox_id, d.id FROM subscriber s, digest d")
    with newsletter.parts.database.transaction() as session:
        if said is None:
            leaving.end(session, number, digest)
        else:
            suppression.add(session, box, reason=said, now=database.now(session))
        meant = erasing.whose(session, reference=ann)
    done = erasing.erase(newsletter.parts, meant, by="shell", may_come_back=True)
    assert not done.may_come_back
    assert not erasures.read(newsletter.parts.journal)[-1].may_come_back
    assert ask(newsletter, "SELECT reason FROM suppression WHERE lifted_at IS NULL") == [("never again",)]
    house.add_readers(newsletter, tmp_path, [ANN])
    assert ask(newsletter, "SELECT 1 FROM subscriber") == []


@pytest.mark.parametrize("said", [Reason.DEAD, Reason.QUOTA])
def test_an_operator_may_let_back_whom_servers_alone_named(newsletter, ann, tmp_path, said):
    """What a server said of an address is no word of its owner."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
        suppression.add(session, meant.mailbox_id, reason=said, now=database.now(session))
    assert erasing.erase(newsletter.parts, meant, by="shell", may_come_back=True).may_come_back
    house.add_readers(newsletter, tmp_path, [ANN])
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1


def test_the_person_s_own_link_takes_everything_back(newsletter, ann, tmp_path):
    """It is theirs to decide what is known of them, also that they left."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
        suppression.add(session, meant.mailbox_id, reason=Reason.COMPLAINT, now=database.now(session))
    assert erasing.erase(newsletter.parts, meant, by=audit.LINK, may_come_back=True).may_come_back
    assert ask(newsletter, "SELECT 1 FROM suppression") == ask(newsletter, "SELECT 1 FROM address_index") == []


def test_who_was_erased_may_join_again_by_their_own_yes(newsletter, ann, sink):
    """A fingerprint keeps lists out, never the person: their address is known anew from their own form, and asked."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell")
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}, wording=WORDING))
    joining.work(newsletter.parts)
    before = len(sink.messages)
    newsletter.deliver("transactional", seconds=5)
    assert [one.recipient for one in sink.messages[before:]] == [ANN]
    [(signup_id,)] = ask(newsletter, "SELECT id FROM signup")
    assert joining.confirm_by_reply(newsletter.parts, signup_id)
    joining.work(newsletter.parts)
    with newsletter.parts.database.transaction() as session:
        again = erasing.whose(session, address=EmailAddress.parse(ANN))
    assert again.subscriber_id is not None
    assert suppression_of(newsletter) == []


def suppression_of(made):
    return ask(made, "SELECT reason FROM suppression WHERE lifted_at IS NULL")


def test_a_stranger_s_form_does_not_bring_an_erased_address_back_for_good(newsletter, ann, database_urls):
    """Anybody can type an address: a month later nothing but the fingerprint is left of it again."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell")
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}))
    joining.work(newsletter.parts)
    house.by_owner(database_urls, "UPDATE signup SET came_at = now() - interval '32 days'")
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == []
    assert len(ask(newsletter, "SELECT 1 FROM address_index")) == 1


def test_mail_that_is_due_to_the_erased_does_not_go(newsletter, tmp_path, sink):
    """Whoever is erased while an issue goes out must not find it in their mailbox an hour later."""
    composed = house.issue(newsletter, tmp_path, addresses=["ann@example.org", "ben@example.org"])
    publish.send(newsletter.parts, composed.issue)
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, address=EmailAddress.parse("ann@example.org"))
    erasing.erase(newsletter.parts, meant, by="shell")
    newsletter.deliver("bulk", seconds=5)
    assert [one.recipient for one in sink.messages] == ["ben@example.org"]
    assert ask(newsletter, "SELECT reason FROM delivery WHERE state = 'cancelled'") == [("erased",)]


def test_erasing_twice_is_erasing_once(newsletter, ann):
    """A button is pressed twice, a job runs twice."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    for _ in range(2):
        erasing.erase(newsletter.parts, meant, by="shell")
    assert len(ask(newsletter, "SELECT 1 FROM erasure")) == 1
    assert suppression_of(newsletter) == [("never again",)]
    assert not erasing.undone(newsletter.parts)


def test_a_restored_backup_does_not_bring_the_erased_back(newsletter, ann, tmp_path, database_urls, sink):
    """Backups hold everybody who has been erased since; the file beside them does not forget."""
    house.add_readers(newsletter, tmp_path, ["ben@example.org"])
    with copied(database_urls) as backup:
        with newsletter.parts.database.transaction() as session:
            meant = erasing.whose(session, reference=ann)
        erasing.erase(newsletter.parts, meant, by="shell")
        restored(backup, tmp_path, sink)


@contextmanager
def copied(urls):
    """Copy a whole database as it is now, and drop the copy at the end; yield its URLs."""
    source, copy = make_url(urls.admin), f"backup_{secrets.token_hex(4)}"
    admin = source.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source.database]
        )
        connection.execute(f'CREATE DATABASE {copy} OWNER newsletter_owner TEMPLATE "{source.database}"')
        try:
            roles = (getattr(urls, role) for role in ("owner", "worker", "web", "admin"))
            yield Urls(*(make_url(url).set(database=copy).render_as_string(hide_password=False) for url in roles))
        finally:
            connection.execute(f"DROP DATABASE {copy} WITH (FORCE)")


def restored(urls, tmp_path, sink):
    """Start a worker on the backup: before it does anything, who was erased is gone, and nobody else."""
    url = make_url(urls.worker).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM subscriber").fetchone() == (2,)
    made = house.build(tmp_path, urls, sink.url)
    try:
        assert len(ask(made, "SELECT 1 FROM subscriber")) == 1
        assert ask(made, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == [(1,)]
        assert suppression_of(made) == [("never again",)]
        assert not erasing.undone(made.parts)
        assert "erasures.reapplied" in str(ask(made, "SELECT content FROM audit"))
    finally:
        made.close()


def test_a_worker_that_runs_on_finds_the_restored_database_itself(newsletter, tmp_path):
    """Nobody restarts the workers when a database is put in the place of another: the sweep looks."""
    house.add_readers(newsletter, tmp_path, ["ann@example.org", "ben@example.org"])
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, address=EmailAddress.parse("ann@example.org"))
        marks = (
            erasures.of_reader(session, meant.reference),
            erasures.of_mailbox(session, meant.mailbox_id, meant.since),
        )
        now = database.now(session)
    # As a database from before the erasure is: the file knows of it, the table does not.
    erasures.write(newsletter.parts.journal, erasures.Entry(marks, False, now))
    newsletter.sweep()
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1


def test_who_came_back_is_not_erased_again(newsletter, ann):
    """The hand that types “reapply” after a restore must not end what people have begun anew by their own yes."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    erasing.erase(newsletter.parts, meant, by="shell")
    joining.ask(newsletter.parts, Wish(ANN, "en", {"weekly": "weekly"}, wording=WORDING))
    joining.work(newsletter.parts)
    [(signup_id,)] = ask(newsletter, "SELECT id FROM signup")
    joining.confirm_by_reply(newsletter.parts, signup_id)
    joining.work(newsletter.parts)
    assert erasing.reapply(newsletter.parts, every=True) == 0
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1
    # But whose old record is there again, table by table, is erased by every look.
    house_of = "INSERT INTO mailbox (provider, domain_index) VALUES ('other', '') RETURNING id"
    [(box,)] = ask(newsletter, house_of)
    ask(newsletter, "INSERT INTO subscriber (mailbox_id, reference) VALUES (:box, :it) RETURNING 1", box=box, it=ann)
    assert erasing.reapply(newsletter.parts) == 0
    assert erasing.reapply(newsletter.parts, every=True) == 1
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1


def test_a_torn_last_line_costs_no_other(tmp_path, newsletter):
    """A machine that dies while it writes leaves half a line: the next erasure must not be glued to it."""
    path = tmp_path / "erasures.jsonl"
    with newsletter.parts.database.transaction() as session:
        first, second = (erasures.Entry((bytes([n]) * 32,), False, database.now(session)) for n in (1, 2))
    erasures.write(path, first)
    with path.open("ab") as file:
        file.write(second.line[:20])
    assert erasures.last(path) == first
    erasures.write(path, second)
    assert erasures.read(path) == [first, second]
    assert erasures.last(path) == second


def test_nobody_is_erased_whom_a_backup_would_bring_back(newsletter, ann, tmp_path):
    """Where the file cannot be written, the erasure is refused instead of half done."""
    with newsletter.parts.database.transaction() as session:
        meant = erasing.whose(session, reference=ann)
    newsletter.parts.journal.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(tmp_path / "nowhere" / "file", newsletter.parts.journal)
    with pytest.raises(erasures.JournalUnwritable):
        erasing.erase(newsletter.parts, meant, by="shell")
    assert len(ask(newsletter, "SELECT 1 FROM subscriber")) == 1


def test_who_pressed_the_button_is_erased_when_the_file_can_be_written_again(newsletter, ann):
    """A disk was full: her page had said that it is being done, the wish was closed as refused, and nobody told her or did it."""
    [(number,)] = ask(newsletter, "SELECT id FROM subscriber")
    link = house.fresh_link(newsletter, number).rpartition("/")[2]
    privacy.ask_erasure(newsletter.parts, link, may_come_back=False)
    newsletter.parts.journal.mkdir(parents=True)
    privacy.work(newsletter.parts)
    assert privacy.any_due(newsletter.parts)
    newsletter.parts.journal.rmdir()
    privacy.work(newsletter.parts)
    assert not privacy.any_due(newsletter.parts)
    assert ask(newsletter, "SELECT 1 FROM subscriber") == []


def test_months_of_deliveries_end_as_counts(newsletter, ann, database_urls):
    """After 400 days nobody can be told from a row any more, and the books still say how many there were."""
    [(mailing, accepted)] = ask(
        newsletter,
        "SELECT mailing_id, count(*) FROM delivery d JOIN mailing m ON m.id = d.mailing_id WHERE m.kind = 'digest'"
        " GROUP BY mailing_id",
    )
    house.by_owner(database_urls, "SELECT deliveries_of_month('2024-03-05')")
    house.by_owner(database_urls, "SELECT deliveries_of_month((now() - interval '390 days')::date)")
    move = "UPDATE {table} SET {column} = {value} WHERE {which} = " + str(mailing)
    house.by_owner(
        database_urls, move.format(table="delivery", column="month", value="'2024-03-01'", which="mailing_id")
    )
    house.by_owner(database_urls, move.format(table="mailing", column="created_at", value="'2024-03-05'", which="id"))
    overdue = [one.category for one in retention.table(newsletter.parts) if not one.ok]
    assert overdue == ["rows of deliveries (end of their month)"]
    retention.tidy(newsletter.parts)
    assert [one for one in retention.table(newsletter.parts) if not one.ok] == []
    assert ask(newsletter, "SELECT to_regclass('delivery_2024_03') IS NULL") == [(True,)]
    months = {month for (month,) in ask(newsletter, "SELECT DISTINCT date_trunc('month', month) FROM delivery")}
    assert len(months) == 1
    with newsletter.parts.database.transaction() as session:
        found = books.status(session, mailing)
    assert found.accepted == accepted == 1


def test_a_month_in_which_something_is_due_stays(newsletter, tmp_path, database_urls):
    """A mailing that was forgotten in a pause is no reason to lose who was to get it."""
    composed = house.issue(newsletter, tmp_path, addresses=["ann@example.org"])
    publish.send(newsletter.parts, composed.issue)
    house.by_owner(database_urls, "SELECT deliveries_of_month('2024-03-05')")
    house.by_owner(database_urls, "UPDATE delivery SET month = '2024-03-01'")
    retention.tidy(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM delivery") == [(1,)]


def test_upkeep_deletes_what_is_over(newsletter, ann, database_urls):
    """A period that nobody keeps is a promise that nobody made."""
    old = "now() - interval '100 days'"
    house.by_owner(database_urls, f"UPDATE reply SET came_at = {old}")
    house.by_owner(database_urls, f"INSERT INTO fresh_link (subscriber_id, asked_at) SELECT id, {old} FROM subscriber")
    house.by_owner(
        database_urls,
        "INSERT INTO privacy_wish (asking, subscriber_id, asked_at, done_at, reader_key)"
        f" SELECT 'export', id, {old}, {old}, 'x' FROM subscriber",
    )
    overdue = {one.category for one in retention.table(newsletter.parts) if not one.ok}
    assert overdue == {"letters that wait", "fresh links", "wishes of readers' pages"}
    retention.tidy(newsletter.parts)
    assert [one for one in retention.table(newsletter.parts) if not one.ok] == []
