"""A list comes in once, whole, sealed, and never against the will of those on it."""

import io
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from newsletter import languages, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.cli import people as invented
from newsletter.database import Database, Session
from newsletter.subscribers import (
    consent,
    importing,
    people,
    rejects,
    subscriptions,
    suppression,
    tables,
    topics,
    unsubscribe,
)
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring, Ring, Vault
from tests.servers import Urls
from tests.subscribers.conftest import NOW, Lists

COUNTS = ("read", "added", "changed", "unchanged", "rejected")


def counts(report: importing.ImportReport) -> tuple[int, ...]:
    """Return read, added, changed, unchanged, rejected."""
    return tuple(getattr(report, name) for name in COUNTS)


def refused(report: importing.ImportReport) -> list[str]:
    """Return the lines of the rejects file after its header."""
    return report.rejects.read_text().splitlines()[1:] if report.rejects else []


def test_people_come_in_with_a_permission_and_a_subscription_each(lists: Lists) -> None:
    """Mail needs a reader, a basis that can be shown, and the place from which they read on."""
    report = lists.bring(
        "email,name,language,time_zone,postcode\n"
        "maryam@example.org,مریم احمدی,fa,Asia/Tehran,sw1a 1aa\nann@example.com,Ann,,,\n",
        had_to=41,
    )
    assert counts(report) == (2, 2, 0, 0, 0)
    assert report.rejects is None
    rows = lists.ask(
        "SELECT s.language, s.time_zone, l.rhythm, l.had_to, e.kind, e.basis, e.purpose, e.import_id IS NOT NULL, e.at"
        " FROM subscriber s JOIN subscription l ON l.subscriber_id = s.id JOIN consent_event e ON e.id = l.granted_by"
        " WHERE e.subscriber_id = s.id ORDER BY s.id"
    )
    purpose = f"digest:{lists.digest_id}"
    assert rows == [
        ("fa", "Asia/Tehran", "weekly", 41, "granted", "imported", purpose, True, NOW),
        ("en", "UTC", "weekly", 41, "granted", "imported", purpose, True, NOW),
    ]
    with lists.database.transaction() as session:
        maryam = people.find_by_address(session, EmailAddress.parse("Maryam@Example.org"))
        sealed = session.execute(text("SELECT postcode_sealed FROM subscriber WHERE id = :id"), {"id": maryam.id})
        postcode = session.vault.unseal("subscriber", "postcode", maryam.id, sealed.scalar_one())
    assert (maryam.name, postcode) == ("مریم احمدی", "SW1A 1AA")


def test_nothing_that_names_a_person_lies_open(lists: Lists) -> None:
    """Who steals the data without the keys must learn no address, name, postcode or evidence."""
    lists.bring("email,name,postcode\nmaryam@example.org,Maryam Ahmadi,AB1 2CD\n", evidence="forms in the safe")
    for table in ("mailbox", "address_index", "subscriber", "subscription", "consent_event", "import_run"):
        dump = "".join(
            str([bytes(v) if isinstance(v, bytes) else v for v in row]) for row in lists.ask(f"TABLE {table}")
        )
        for secret in ("maryam", "Ahmadi", "example.org", "AB1", "forms"):
            assert secret not in dump


def test_importing_again_changes_nothing(lists: Lists, tmp_path: Path) -> None:
    """Operators import the same list twice; no permission, date or place in the reading may move."""
    path = invented.write(tmp_path / "people.csv", 300)
    first = "SELECT * FROM consent_event WHERE import_id = (SELECT min(id) FROM import_run) ORDER BY id"
    state = "SELECT * FROM subscription ORDER BY id", "SELECT * FROM subscriber ORDER BY id", first
    with path.open("rb") as stream:
        assert counts(lists.stream(stream, had_to=5)) == (300, 300, 0, 0, 0)
    before = [lists.ask(sql) for sql in state]
    with path.open("rb") as stream:
        assert counts(lists.stream(stream, had_to=9)) == (300, 0, 0, 300, 0)
    assert [lists.ask(sql) for sql in state] == before


def test_the_first_row_of_an_address_counts(lists: Lists) -> None:
    """A list that names somebody twice must say the same each time it comes in, however far apart the rows are."""
    filler = "".join(f"reader{number}@example.net,R\n" for number in range(importing.BATCH))
    csv = f"email,name\nann@example.org,Ann\nANN@example.org,Anna\n{filler}ann@EXAMPLE.org,Annette\n"
    total = importing.BATCH + 3
    assert counts(lists.bring(csv)) == (total, total - 2, 0, 2, 0)
    assert counts(lists.bring(csv)) == (total, 0, 0, total, 0)
    with lists.database.transaction() as session:
        assert people.find_by_address(session, EmailAddress.parse("ann@example.org")).name == "Ann"


def test_what_a_newer_list_says_is_taken_where_asked_and_what_it_leaves_out_is_kept(lists: Lists) -> None:
    """A list without names must not make everyone nameless."""
    lists.bring("email,name,language,postcode\nann@example.org,Ann,fr,AB1 2CD\n")
    newer = "email,name,language\nann@example.org,,en-GB\n"
    assert counts(lists.bring(newer, overwrite=True)) == (1, 0, 1, 0, 0)
    with lists.database.transaction() as session:
        ann = people.find_by_address(session, EmailAddress.parse("ann@example.org"))
    assert (ann.name, ann.language) == ("Ann", "en-GB")
    assert lists.one("SELECT postcode_sealed IS NOT NULL FROM subscriber")


def test_what_readers_set_themselves_outlives_the_old_list_that_comes_in_again(lists: Lists) -> None:
    """Who changed their name here, or took it away, must not get the old one back each time the old system is exported."""
    old = "email,name,language,time_zone,postcode\nann@example.org,Ann,en,Europe/London,AB1 2CD\n"
    old += "bob@example.org,Bob,en,Europe/London,\n"
    lists.bring(old)
    (ann, _), (bob, _) = lists.reader(0), lists.reader(1)
    with lists.database.transaction() as session:
        people.rename(session, ann, people.Own("Maryam", ""))
        people.settle(session, ann, language="fa", time_zone="Asia/Tehran")
        people.rename(session, bob, people.Own("", None))
    again = lists.bring(old)
    assert (counts(again), again.altered, again.kept) == ((2, 0, 0, 2, 0), 0, 2)
    assert lists.one("SELECT altered FROM import_run ORDER BY id DESC LIMIT 1") == 0
    assert _told(lists, ann) == ("Maryam", "", "fa", "Asia/Tehran")
    assert _told(lists, bob) == ("", "", "en", "Europe/London")
    asked = lists.bring(old, overwrite=True)
    assert (counts(asked), asked.altered, asked.kept) == ((2, 0, 2, 0, 0), 2, 0)
    assert _told(lists, ann) == ("Ann", "AB1 2CD", "en", "Europe/London")


def _told(lists: Lists, reader: int) -> tuple[str | None, str | None, str, str]:
    with lists.database.transaction() as session:
        own, person = people.own(session, reader), people.by_id(session, reader)
    assert person is not None
    return own.name, own.postcode, person.language, person.time_zone


def test_a_reader_of_one_digest_joins_another_by_a_list(lists: Lists) -> None:
    """Two lists may share readers: one record, two subscriptions, a permission for each."""
    other = lists.digest("daily")
    lists.bring("email\nann@example.org\n")
    assert counts(lists.bring("email\nann@example.org\n", digest_id=other)) == (1, 0, 1, 0, 0)
    assert lists.one("SELECT count(*) FROM subscriber") == 1
    assert lists.ask("SELECT digest_id, granted_by FROM subscription ORDER BY id") == [
        (lists.digest_id, 1),
        (other, 2),
    ]


def test_whoever_left_is_not_brought_back(lists: Lists, reader: tuple[int, int]) -> None:
    """An old list must not undo an unsubscription; the reader would rightly call the next mail spam."""
    with lists.database.transaction() as session:
        unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW)
    report = lists.bring("email\nmaryam@example.org\n")
    assert counts(report) == (1, 0, 0, 0, 1)
    assert refused(report) == ["2,email,has unsubscribed"]
    assert lists.one("SELECT count(*) FROM subscription WHERE ended_at IS NULL") == 0
    assert counts(lists.bring("email\nmaryam@example.org\n", digest_id=lists.digest("other"))) == (1, 0, 1, 0, 0)


def test_whoever_left_everything_is_not_brought_into_anything(lists: Lists, reader: tuple[int, int]) -> None:
    """Who said "no more mail from you" means the lists of next year too."""
    with lists.database.transaction() as session:
        unsubscribe.leave(session, reader[0], None, reason="unsubscribed", now=NOW)
    report = lists.bring("email\nmaryam@example.org\n", digest_id=lists.digest("other"))
    assert refused(report) == ["2,email,has unsubscribed"]


def test_a_suppressed_address_is_never_revived(lists: Lists, reader: tuple[int, int]) -> None:
    """A dead or complaining address on an old list costs the sender's good name."""
    with lists.database.transaction() as session:
        suppression.add(session, reader[1], reason=suppression.Reason.COMPLAINT, now=NOW)
    suppression.import_csv(lists.database, io.BytesIO(b"email\nnever@example.org\n"))
    report = lists.bring("email,name\nmaryam@example.org,New Name\nnever@example.org,Never\nann@example.org,Ann\n")
    assert counts(report) == (3, 1, 0, 0, 2)
    assert sorted(refused(report)) == ["2,email,on the do-not-mail list", "3,email,on the do-not-mail list"]
    assert lists.one("SELECT count(*) FROM suppression WHERE lifted_at IS NULL") == 2
    assert lists.one("SELECT count(*) FROM subscriber") == 2


def test_a_mailbox_that_was_nobodys_gets_its_reader(lists: Lists) -> None:
    """An address once used for a test mail can still subscribe, with all that its row says."""
    with lists.database.transaction() as session:
        box = mailboxes.find_or_make(session, EmailAddress.parse("ann@example.org"))
    assert counts(lists.bring("email,name,postcode\nann@example.org,Ann,AB1 2CD\n")) == (1, 1, 0, 0, 0)
    assert lists.ask("SELECT mailbox_id, postcode_sealed IS NOT NULL FROM subscriber") == [(box, True)]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (b"nonsense,Ann,en,UTC,", "email", "is no e-mail address"),
        (b",Ann,en,UTC,", "email", "is empty"),
        (b"ann@example,Ann,en,UTC,", "email", "has no valid mail domain after the @"),
        (b"ann@example.org,Ann,english!,UTC,", "language", "is no language tag such as en or fa"),
        (b"ann@example.org,Ann,en,London,", "time_zone", "is no time zone such as Europe/London"),
        (b"ann@example.org,Ann,en,UTC,<script>", "postcode", "is no postcode"),
        (b"ann@example.org,Ann,en,UTC,AB1 2CD,ann@example.org", "area", "is no code or name of a place"),
        (
            b"ann@example.org,Ann\xe9,en,UTC,",
            "name",
            "holds letters that are not UTF-8: save the file as UTF-8 and import it again",
        ),
        (b'ann@example.org,"Ann\r\nBcc: x@example.org",en,UTC,', "name", "goes on over several lines"),
        ("ann@example.org,Ann\u202enn,en,UTC,".encode(), "name", "holds characters"),
        (b"ann@example.org," + b"A" * 400 + b",en,UTC,", "name", "is too long"),
    ],
)
def test_a_bad_row_is_named_and_the_others_come_in(lists: Lists, row: bytes, column: str, reason: str) -> None:
    """One bad row of a million must not stop the list, and whoever mends the list needs row, column and reason."""
    report = lists.bring(
        "email,name,language,time_zone,postcode,area\ngood1@example.org,مریم احمدی\n".encode()
        + row
        + b"\ngood2@example.org,,,,,\n"
    )
    assert counts(report) == (3, 2, 0, 0, 1)
    ((number, where, why),) = lists.ask("SELECT row, column_name, reason FROM import_reject")
    assert (number, where) == (3, column)
    assert why.startswith(reason)
    assert refused(report)[0].startswith(f"3,{column},")


def test_the_rejects_file_is_private_and_goes_after_a_day(lists: Lists) -> None:
    """What is said about people's rows is for the operator, and for long enough to mend them."""
    report = lists.bring("email\nsecret-person-at-example\n")
    assert report.rejects is not None
    assert stat.S_IMODE(report.rejects.stat().st_mode) == 0o600
    assert stat.S_IMODE(lists.folder.stat().st_mode) == 0o700
    assert "secret-person" not in report.rejects.read_text()
    written = report.rejects.stat().st_mtime
    assert rejects.sweep(lists.folder, now_seconds=written + 24 * 3600 - 5) == 0
    assert rejects.sweep(lists.folder, now_seconds=written + 24 * 3600 + 5) == 1
    assert not report.rejects.exists()
    assert rejects.sweep(lists.folder / "absent") == 0


def test_a_file_that_cannot_be_removed_stops_no_sweep(tmp_path):
    """The sweep that tidies here starts alerts too, and the disk may have become read-only."""
    (tmp_path / "import-1.csv").mkdir()
    (tmp_path / "import-2.csv").touch()
    assert rejects.sweep(tmp_path, now_seconds=2**33) == 1


def test_a_folder_that_cannot_be_written_stops_the_import(lists: Lists) -> None:
    """A full disk must not leave a list half told: imported, and its bad rows unknown."""
    lists.folder.write_text("a file where the folder should be")
    with pytest.raises(rejects.RejectsUnwritable) as refusal:
        lists.bring("email\nann@example.org\nnonsense\n")
    assert "nothing was imported" in languages.say(refusal.value.message, "en", **refusal.value.facts)
    assert lists.one("SELECT count(*) FROM subscriber") == 0


def test_a_dry_run_tells_the_same_and_changes_nothing(lists: Lists) -> None:
    """The operator looks first; looking must be free and true."""
    csv = "email,name\nann@example.org,Ann\nnonsense,\n"
    tried = lists.bring(csv, dry_run=True)
    assert refused(tried) == ["3,email,is no e-mail address"]
    tables_ = ("mailbox", "address_index", "subscriber", "subscription", "consent_event", "import_run", "import_reject")
    assert {name: lists.one(f"SELECT count(*) FROM {name}") for name in tables_} == dict.fromkeys(tables_, 0)
    assert counts(lists.bring(csv)) == counts(tried)


@pytest.mark.parametrize(
    "csv",
    [
        b"\xef\xbb\xbfemail,name\r\nann@example.org,Ann\r\n",
        b"email;name\nann@example.org;Ann\n",
        b"name\temail\nAnn\tann@example.org\n",
        b' Email , NAME \n"ann@example.org","Ann"\n',
        b'\xef\xbb\xbf"email","name"\nann@example.org,Ann',
        b'notes,name,email\n"two\nlines, and a comma",Ann,ann@example.org\n\n,,\n',
        b"email,name\n  ann@example.org  , Ann ,extra,cells\n",
    ],
)
def test_a_list_is_understood_as_people_save_it(lists: Lists, csv: bytes) -> None:
    """Each spreadsheet has its own idea of CSV; none of them is the operator's fault."""
    assert counts(lists.bring(csv)) == (1, 1, 0, 0, 0)
    with lists.database.transaction() as session:
        assert people.find_by_address(session, EmailAddress.parse("ann@example.org")).name == "Ann"


def test_columns_that_say_nothing_to_us_are_named(lists: Lists) -> None:
    """A misspelt column must not be dropped in silence."""
    assert lists.bring("email,Nmae,shoe size\nann@example.org,Ann,38\n").ignored == ("nmae", "shoe size")


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        (b"", "no column “email”"),
        (b"address,name\nann@example.org,Ann\n", "no column “email”"),
        ("email,name\nann@example.org,Ann\n".encode("utf-16-le"), "CSV UTF-8"),
        (b'email,name\nann@example.org,Ann\nbob@example.org,"' + b"never closed\n" * 20_000, "row 3"),
    ],
)
def test_a_file_that_is_no_list_is_refused_whole(lists: Lists, csv: bytes, says: str) -> None:
    """The operator must learn what to do, and find nothing half-imported."""
    with pytest.raises(tables.BadTable) as refusal:
        lists.bring(csv)
    assert says in languages.say(refusal.value.message, "en", **refusal.value.facts)
    assert lists.one("SELECT count(*) FROM mailbox") == 0


def test_a_list_without_evidence_is_refused(lists: Lists) -> None:
    """A permission that nobody can show is none."""
    with pytest.raises(importing.NoEvidence):
        lists.bring("email\nann@example.org\n", evidence="  ")


def test_the_evidence_is_kept_with_the_import(lists: Lists) -> None:
    """Years later somebody asks where the permission came from."""
    lists.bring("email\nann@example.org\nnonsense\n", evidence="forms of the spring fair")
    with lists.database.transaction() as session:
        run = session.execute(text("SELECT * FROM import_run")).one()
        said = session.vault.unseal("import_run", "evidence", run.id, run.evidence_sealed)
    assert said == "forms of the spring fair"
    assert (run.read, run.added, run.rejected, run.digest_id) == (2, 1, 1, lists.digest_id)


def test_two_imports_at_once_are_refused_in_words(lists: Lists, database: Database) -> None:
    """Two at once would wait for each other's rows until one of them dies."""
    with database.transaction() as session:
        tables.claim(session)
        with pytest.raises(tables.ImportBusy):
            lists.bring("email\nann@example.org\n")
        with pytest.raises(tables.ImportBusy):
            suppression.import_csv(database, io.BytesIO(b"email\nann@example.org\n"))
    assert counts(lists.bring("email\nann@example.org\n")) == (1, 1, 0, 0, 0)


def test_a_mailbox_made_during_an_import_does_not_stop_it(lists: Lists) -> None:
    """Somebody may sign up in the very moment in which the list that names them comes in."""
    with beside(lists, "email\nbob@example.org\nann@example.org\n") as (session, done):
        box = mailboxes.find_or_make(session, EmailAddress.parse("ann@example.org"))
    assert counts(done[0]) == (2, 2, 0, 0, 0)
    assert lists.one("SELECT count(*) FROM mailbox") == 2
    assert lists.one("SELECT count(*) FROM subscriber WHERE mailbox_id = :box", box=box) == 1


@contextmanager
def beside(lists: Lists, csv: str) -> Iterator[tuple[Session, list[importing.ImportReport]]]:
    """Yield a session that commits only when an import waits for what was done in it, and where that import's report will be."""
    done: list[importing.ImportReport] = []
    thread = threading.Thread(target=lambda: done.append(lists.bring(csv)))
    with lists.database.transaction() as session:
        yield session, done
        session.flush()
        thread.start()
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        patience = time.monotonic() + 10
        while not lists.one(blocked) and time.monotonic() < patience:
            time.sleep(0.01)
    thread.join(20)


def join(session: Session, lists: Lists) -> None:
    """Ann's yes is being dealt with."""
    box = mailboxes.find_or_make(session, EmailAddress.parse("ann@example.org"))
    people.join(session, box, language="en", name="Ann", now=NOW)


def take(session: Session, lists: Lists) -> None:
    """Ann, who is known, ticks the digest that the list is for."""
    number, _ = lists.reader()
    event = consent.granted(session, number, basis=Basis.CONSENT, purpose=consent.of_digest(lists.digest_id), now=NOW)
    subscriptions.take(session, number, lists.digest_id, rhythm=Rhythm.MONTHLY, had_to=0, granted_by=event, now=NOW)


def choose(session: Session, lists: Lists) -> None:
    """Ann ticks a topic that the list says she reads of."""
    topics.choose(session, lists.reader()[0], ["water"], now=NOW)


@pytest.mark.parametrize("act", [join, take, choose])
def test_what_people_do_in_the_same_moment_fails_no_import(lists: Lists, act: Callable[[Session, Lists], None]) -> None:
    """Each of them is one of its kind, and a list of a million is not to be taken back because one of it was faster."""
    with lists.database.transaction() as session:
        topics.add(session, "water", name="Water")
        if act is not join:
            join(session, lists)
    with beside(lists, "email,tags\nbob@example.org,\nann@example.org,water\n") as (session, done):
        act(session, lists)
    assert done, "the import is through"
    assert (done[0].added, done[0].changed, done[0].rejected) == (1, 1, 0)
    assert lists.one("SELECT count(*) FROM interest WHERE ended_at IS NULL") == 1
    rhythms = [rhythm for (rhythm,) in lists.ask("SELECT rhythm FROM subscription WHERE digest_id = 1 ORDER BY 1")]
    assert rhythms == (["monthly", "weekly"] if act is take else ["weekly", "weekly"]), "and her own word stands"


def test_an_address_indexed_under_an_old_key_is_the_same_person(
    lists: Lists, database_urls: Urls, keyring: Keyring
) -> None:
    """A new index key must not make everybody a stranger, and above all not revive the suppressed."""
    suppression.import_csv(lists.database, io.BytesIO(b"email\nnever@example.org\n"))
    lists.bring("email\nann@example.org\n")
    both = Ring(2, {1: keyring.index.keys[1], 2: Keyring.make().index.keys[1]})
    rotated = Database(database_urls.worker, Vault(Keyring(keyring.seal, both, keyring.token)))
    try:
        later = Lists(rotated, lists.folder, lists.digest_id)
        csv = "email\nann@example.org\nnever@example.org\nbob@example.org\n"
        assert counts(later.bring(csv)) == (3, 1, 0, 1, 1)
        assert later.ask("SELECT key_id, count(*) FROM address_index GROUP BY 1 ORDER BY 1") == [(1, 3), (2, 1)]
    finally:
        rotated.close()


def test_progress_is_told_batch_by_batch(lists: Lists, tmp_path: Path) -> None:
    """A million rows take a minute; whoever waits wants to see them go by."""
    told: list[int] = []
    path = invented.write(tmp_path / "people.csv", importing.BATCH + 7)
    with path.open("rb") as stream:
        lists.stream(stream, progress=told.append)
    assert told == [importing.BATCH, importing.BATCH + 7]


def test_invented_people_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """A measurement that cannot be repeated proves nothing."""
    files = [invented.write(tmp_path / f"{n}.csv", 50, seed=seed) for n, seed in enumerate((1, 1, 2))]
    first, again, other = (path.read_bytes() for path in files)
    assert first == again != other
