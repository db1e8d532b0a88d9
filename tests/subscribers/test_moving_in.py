"""Whole exports of other systems: who left there stays away here, and what shows a wish is kept."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from newsletter import languages, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.subscribers import (
    consent,
    formats,
    importing,
    luggage,
    suppression,
    tables,
    topics,
    undoing,
    unsubscribe,
)
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.formats import Format
from newsletter.subscribers.luggage import Chosen
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.tagging import Tags
from tests.fakes import exports
from tests.subscribers.conftest import NOW, Lists

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moving:
    """Brings exports in and asks what became of their people."""

    lists: Lists
    folder: Path

    def file(self, name: str, data: str | bytes) -> Path:
        """Write a file that somebody brings."""
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def bring(
        self, path: Path, *, evidence: str = "", chosen: Chosen | None = None, **more: Any
    ) -> importing.ImportReport:
        """Import it."""
        terms = importing.Terms(
            self.lists.digest_id, "en", Rhythm.WEEKLY, Basis.IMPORTED, 0, NOW,
            vouched=bool(evidence), tags=more.pop("tags", Tags.KNOWN),
        )  # fmt: skip
        brought = luggage.open_(path, chosen or Chosen())
        return importing.bring(
            self.lists.database, brought, terms=terms, evidence=evidence, rejects=self.lists.folder, **more
        )

    def readers(self) -> set[str]:
        """Return the local parts of those who would get the digest."""
        return self._locals(
            "SELECT s.mailbox_id FROM subscriber s JOIN subscription l ON l.subscriber_id = s.id AND l.ended_at IS NULL"
            " WHERE NOT EXISTS (SELECT FROM suppression p WHERE p.mailbox_id = s.mailbox_id AND p.lifted_at IS NULL)"
        )

    def barred(self) -> dict[str, str]:
        """Return the reason for each local part that must not be written to."""
        rows = self.lists.ask("SELECT mailbox_id, reason FROM suppression WHERE lifted_at IS NULL")
        return {self._local(box): reason for box, reason in rows}

    def people(self) -> set[str]:
        """Return the local parts of everybody who is known."""
        return self._locals("SELECT mailbox_id FROM subscriber")

    def _locals(self, sql: str) -> set[str]:
        return {self._local(box) for (box,) in self.lists.ask(sql)}

    def _local(self, box: int) -> str:
        with self.lists.database.transaction() as session:
            return mailboxes.open(session, box).local

    def details(self, local: str) -> dict[str, str]:
        """Return what is kept to show a person's wish for the digest."""
        with self.lists.database.transaction() as session:
            box = mailboxes.find(session, EmailAddress.parse(f"{local}@example.org"))
            row = session.execute(
                text(
                    "SELECT d.event_id, d.details_sealed FROM consent_detail d JOIN consent_event e ON e.id = d.event_id"
                    " JOIN subscriber s ON s.id = e.subscriber_id WHERE s.mailbox_id = :box AND e.purpose LIKE 'digest:%'"
                ),
                {"box": box},
            ).one()
            return dict(json.loads(session.vault.unseal("consent_detail", "details", row.event_id, row.details_sealed)))

    def state(self) -> list[Any]:
        """Return all that an import may touch, but for the record of the imports, and for what a further list shows besides."""
        names = ("mailbox", "address_index", "subscriber", "subscription",
                 "suppression", "interest", "topic")  # fmt: skip
        rested = "(SELECT granted_by FROM subscription UNION ALL SELECT granted_by FROM interest)"
        events = f"SELECT * FROM consent_event WHERE import_id IS NULL OR kind = 'withdrawn' OR id IN {rested}"
        details = f"SELECT * FROM consent_detail WHERE event_id IN {rested}"
        waiting = "SELECT DISTINCT subscriber_id, digest_id, asked_at FROM unproven"
        asked = [*(f"TABLE {name}" for name in names), waiting, events, details]
        return [sorted(self.lists.ask(sql), key=str) for sql in asked]


@pytest.fixture
def moving(lists: Lists, tmp_path: Path) -> Moving:
    """A digest, and a folder for what is brought."""
    return Moving(lists, tmp_path)


@pytest.fixture
def water(lists: Lists) -> None:
    """A topic that some tags are called like."""
    with lists.database.transaction() as session:
        topics.add(session, "water", name="Water")


@pytest.mark.usefixtures("water")
def test_a_mailchimp_zip_comes_in_at_once(moving: Moving) -> None:
    """Whoever moves has one file, no afternoon, and a duty to those who left."""
    done = moving.bring(exports.mailchimp(moving.folder / "export.zip"))
    assert (done.read, done.added, done.changed, done.unchanged, done.rejected) == (5, 3, 0, 0, 0)
    assert (done.suppressed, done.unproven, done.interests) == (2, 1, 2)
    assert done.strange == {"Press freedom": 1}
    assert moving.readers() == {"ann", "maryam"}
    assert moving.barred() == {"gone": "left", "dead": "dead"}
    assert done.reach is not None
    assert (done.reach.digests, done.reach.alerts, done.reach.unproven) == ({moving.lists.digest_id: 2}, 2, 1)
    kept = moving.lists.one("SELECT reach FROM import_run")
    assert (kept["digests"], kept["unproven"]) == ({str(moving.lists.digest_id): 2}, 1)


def test_when_and_whence_somebody_asked_is_kept_sealed_and_cut_short(moving: Moving) -> None:
    """A regulator asks for it; whose line it was is nobody's business."""
    moving.bring(exports.mailchimp(moving.folder / "export.zip"))
    assert moving.details("ann") == {
        "source": "mailchimp",
        "asked_at": "2019-04-18T13:51:14+00:00",
        "asked_from": "203.0.113.0/24",
        "confirmed_at": "2019-04-18T14:00:32+00:00",
        "confirmed_from": "203.0.113.0/24",
    }
    assert moving.details("maryam")["confirmed_from"] == "2001:db8:1::/48"
    since = moving.lists.ask("SELECT created_at FROM subscriber ORDER BY created_at LIMIT 1")
    assert since == [(datetime(2019, 4, 18, 14, 0, 32, tzinfo=UTC),)]


@pytest.mark.usefixtures("water")
def test_the_same_zip_again_changes_nothing(moving: Moving) -> None:
    """It is imported again because people go on clicking old links, and because nobody remembers the first time."""
    path = exports.mailchimp(moving.folder / "export.zip")
    moving.bring(path)
    before = moving.state()
    done = moving.bring(path)
    assert (done.read, done.added, done.changed, done.suppressed, done.interests) == (5, 0, 0, 0, 0)
    assert moving.state() == before


def test_a_newer_zip_brings_who_left_since(moving: Moving) -> None:
    """The old system's links go on working; whoever leaves by one must get nothing from us either."""
    moving.bring(exports.mailchimp(moving.folder / "1.zip"))
    left = exports.UNSUBSCRIBED + exports.UNSUBSCRIBED.splitlines()[1].replace("gone@", "ann@") + "\n"
    rest = "".join(line for line in exports.SUBSCRIBED.splitlines(keepends=True) if "ann@" not in line)
    done = moving.bring(exports.mailchimp(moving.folder / "2.zip", subscribed=rest, unsubscribed=left))
    assert done.suppressed == 1
    assert moving.barred()["ann"] == "left"
    assert moving.readers() == {"maryam"}


def test_who_is_in_both_files_has_left(moving: Moving) -> None:
    """In doubt the word of who wants to be left alone counts, whichever file the zip holds first."""
    both = exports.UNSUBSCRIBED + exports.UNSUBSCRIBED.splitlines()[1].replace("gone@", "ann@") + "\n"
    done = moving.bring(exports.mailchimp(moving.folder / "export.zip", unsubscribed=both))
    assert moving.readers() == {"maryam"}
    assert done.rejects is not None
    assert "subscribed_email_audience_export_a1b2c3.csv,2,email,on the do-not-mail list" in done.rejects.read_text()


def test_who_came_back_by_their_own_hand_is_not_sent_away_by_an_old_zip(moving: Moving) -> None:
    """They said yes to us after they said no elsewhere."""
    path = exports.mailchimp(moving.folder / "export.zip")
    moving.bring(path)
    with moving.lists.database.transaction() as session:
        box = mailboxes.find(session, EmailAddress.parse("gone@example.org"))
        assert box is not None
        suppression.came_back(session, box, now=NOW, answered_at=NOW)
    assert moving.bring(path).suppressed == 0
    assert "gone" not in moving.barred()


def test_who_joined_us_after_leaving_elsewhere_has_not_left(moving: Moving) -> None:
    """A first import must not end what somebody asked us for last month."""
    with moving.lists.database.transaction() as session:
        box = mailboxes.find_or_make(session, EmailAddress.parse("gone@example.org"))
        session.execute(text("INSERT INTO subscriber (mailbox_id, reference) VALUES (:box, 'AAAAAAAA')"), {"box": box})
        person = session.execute(text("SELECT id FROM subscriber")).scalar_one()
        consent.granted(session, person, basis=Basis.CONSENT, purpose="digest:1", now=NOW)
    moving.bring(exports.mailchimp(moving.folder / "export.zip"))
    assert moving.barred() == {"dead": "dead"}


def test_without_evidence_nobody_is_mailed(moving: Moving) -> None:
    """A name on a list is no permission; it becomes one when the person says so, or somebody can show it."""
    moving.bring(exports.mailchimp(moving.folder / "export.zip"))
    assert "old" in moving.people() - moving.readers()
    done = moving.bring(moving.folder / "export.zip", evidence="paper forms in the safe")
    assert (done.changed, done.unproven) == (1, 0)
    assert "old" in moving.readers()
    assert done.reach is not None
    assert done.reach.unproven == 0, "though it is kept that the list without evidence names them"


def test_all_tags_become_topics_where_that_is_wanted(moving: Moving) -> None:
    """Readers then choose for themselves; each rests on a permission of its own."""
    done = moving.bring(exports.mailchimp(moving.folder / "export.zip"), tags=Tags.ALL)
    assert (done.interests, done.strange) == (3, {})
    assert moving.lists.ask("SELECT key, name FROM topic ORDER BY key") == [
        ("press-freedom", "Press freedom"),
        ("water", "Water"),
    ]
    assert moving.lists.one("SELECT count(DISTINCT granted_by) FROM interest") == 3


@pytest.mark.usefixtures("water")
def test_a_topic_that_somebody_ended_does_not_come_back(moving: Moving) -> None:
    """The tag of an old list is weaker than a reader's own word."""
    path = exports.mailchimp(moving.folder / "export.zip")
    moving.bring(path)
    (ann,) = moving.lists.ask("SELECT subscriber_id FROM interest ORDER BY id LIMIT 1")[0]
    with moving.lists.database.transaction() as session:
        topics.choose(session, ann, [], now=NOW)
    assert moving.bring(path).interests == 0


@pytest.mark.parametrize(
    ("name", "data", "kind", "readers", "barred"),
    [
        ("s.csv", exports.LISTMONK, Format.LISTMONK, {"ann"}, {"gone": "never again"}),
        ("s.json", exports.LISTMONK_JSON, Format.LISTMONK, {"ann"}, {"gone": "left"}),
        ("s.txt", exports.MAILMAN, Format.MAILMAN, {"ann", "bob"}, {}),
        ("s.json", exports.MAILMAN_JSON, Format.MAILMAN, {"ann"}, {"bounced": "dead"}),
        ("s.csv", exports.MAILPOET, Format.MAILPOET, {"ann"}, {"gone": "left", "full": "dead"}),
        (
            "s.csv",
            "email,status\nann@example.org,subscribed\ngone@example.org,left\n",
            Format.CSV,
            {"ann"},
            {"gone": "left"},
        ),
    ],
)
def test_other_systems_are_understood_and_told_apart(
    moving: Moving, name: str, data: str, kind: Format, readers: set[str], barred: dict[str, str]
) -> None:
    """Each has its own words for who wants no mail, and none of those may be taken for a yes."""
    path = moving.file(name, data)
    found = luggage.open_(path, Chosen())
    assert (found.kind, found.guessed) == (kind, True)
    moving.bring(path, evidence="their own system's records")
    assert moving.readers() == readers
    assert moving.barred() == barred
    before = moving.state()
    moving.bring(path, evidence="their own system's records")
    assert moving.state() == before


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1252", "Zoë Müller"),
        ("cp1256", "فاطمة الزهراء"),
        ("cp1256", "پروانه گنجي"),
        ("utf-16", "مریم احمدی"),
        ("utf-8-sig", "Ökçe"),
    ],
)
def test_names_come_in_as_they_were_written(moving: Moving, encoding: str, name: str) -> None:
    """Windows saves lists in the letters of the country; a name that greets somebody wrongly is worse than none."""
    moving.bring(moving.file("list.csv", f"email;name\nann@example.org;{name}\n".encode(encoding)), evidence="forms")
    with moving.lists.database.transaction() as session:
        row = session.execute(text("SELECT id, name_sealed FROM subscriber")).one()
        assert session.vault.unseal("subscriber", "name", row.id, row.name_sealed) == name


def test_an_encoding_may_be_named(moving: Moving) -> None:
    """A guess can be wrong, and whoever brings the list may know better."""
    path = moving.file("list.csv", "email,name\nann@example.org,é\n".encode("cp1252"))
    assert luggage.open_(path, Chosen(encoding="windows-1256")).parts[0].encoding == "cp1256"
    with pytest.raises(luggage.UnknownEncoding):
        luggage.open_(path, Chosen(encoding="ebcdic"))


def test_a_sheet_is_read_with_its_dates(moving: Moving) -> None:
    """A spreadsheet writes a day as a number, and leaves out cells in which nothing stands."""
    path = exports.xlsx(
        moving.folder / "list.xlsx",
        [["Name", "E-mail", "Opt-in time"], ["Ann & Bob", "ann@example.org", 43573.5774], ["", "old@example.org"]],
    )
    done = moving.bring(path)
    assert (done.added, done.unproven) == (2, 1)
    assert moving.readers() == {"ann"}
    assert moving.details("ann")["asked_at"].startswith("2019-04-18T13:51")


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>', {}),
        ('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>', {}),
        ("", {"xl/sharedStrings.xml": "<sst><si><t>cut off"}),
        (
            "",
            {
                "xl/worksheets/sheet1.xml": '<worksheet><sheetData><row><c t="s"><v>99999</v></c></row></sheetData></worksheet>'
            },
        ),
        ("", {"xl/_rels/workbook.xml.rels": "<Relationships/>"}),
    ],
)
def test_a_hostile_or_broken_sheet_is_refused_in_words(moving: Moving, head: str, parts: dict[str, str]) -> None:
    """A list comes from anywhere: it may neither read our files, nor fill our memory, nor end in a traceback."""
    path = exports.xlsx(moving.folder / "list.xlsx", [["email"], ["ann@example.org"]], head=head, parts=parts)
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="forms")
    assert "XLSX" in languages.say(refusal.value.message, "en", **refusal.value.facts)
    assert moving.people() == set()


def test_a_zip_that_unpacks_to_far_too_much_is_not_opened(moving: Moving) -> None:
    """Forty kilobytes must not fill the disk of the machine that sends the alerts."""
    path = moving.folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("subscribed_x.csv", b"email\n" + b"0" * (40 << 20))
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path)
    assert refusal.value.message == "table.bomb"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", b"PK\x05\x06" + bytes(18), "table.empty-zip"),
        ("a.json", b'{"data": {"results": [{"name": "no address"}]}}', "table.bad-json"),
        ("a.json", b"{" * 100_000, "table.bad-json"),
        ("a.csv", b"email,name\nann@example.org," + b"x" * (3 << 20), "table.unclosed"),
        ("a.txt", b"ann@example.org\n" + b"x" * (3 << 20), "table.unclosed"),
        ("a.csv", b"name,address\n", "table.no-email"),
    ],
)
def test_what_is_no_list_is_refused_in_words(moving: Moving, name: str, data: bytes, message: str) -> None:
    """Half of what is brought is the wrong file; the sentence must say so, and nothing may be left of it."""
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(moving.file(name, data), evidence="forms")
    assert refusal.value.message == message
    said = languages.say(refusal.value.message, "en", **refusal.value.facts)
    assert said != message
    assert moving.people() == set()


def test_a_column_can_be_mapped_and_left_out(moving: Moving) -> None:
    """Every organisation has a list that somebody once typed."""
    path = moving.file("list.csv", "Courriel,Nom,Name\nann@example.org,Ann,do not use\n")
    chosen = Chosen(mapping=formats.parse_mapping(["Courriel=email", "Nom=name", "Name=-"]))
    found = luggage.open_(path, chosen).parts[0].headings
    assert (dict(found.columns), found.ignored) == ({"courriel": "email", "nom": "name"}, ("name",))
    moving.bring(path, evidence="forms", chosen=chosen)
    assert moving.readers() == {"ann"}


@pytest.mark.parametrize("wrong", ["Courriel", "Courriel=telephone", "=email"])
def test_a_mapping_that_means_nothing_is_refused(wrong: str) -> None:
    """A slip in it must not send the names into the addresses."""
    with pytest.raises(formats.BadMapping):
        formats.parse_mapping([wrong])


def test_a_mapping_of_a_heading_that_is_not_there_is_refused(moving: Moving) -> None:
    """It is a misspelling, and the column would be missed in silence."""
    path = moving.file("list.csv", "email,name\nann@example.org,Ann\n")
    with pytest.raises(formats.BadMapping) as refusal:
        luggage.open_(path, Chosen(mapping={"nmae": "name"}))
    assert "nmae" in languages.say(refusal.value.message, "en", **refusal.value.facts)


def test_a_time_that_lies_ahead_shows_nothing(moving: Moving) -> None:
    """Nobody opted in tomorrow."""
    path = moving.file("list.csv", "email,optin_time\nann@example.org,2099-01-01 00:00:00\n")
    assert moving.bring(path, chosen=Chosen(Format.CSV)).unproven == 1
    assert moving.readers() == set()


Undo = Callable[..., undoing.Undone]


@pytest.fixture
def undo(lists: Lists) -> Undo:
    """Undoes an import."""

    def undo_(number: int, *, suppressions_too: bool = False) -> undoing.Undone:
        with lists.database.transaction() as session:
            done, _ = undoing.undo(session, number, suppressions_too=suppressions_too, now=NOW)
        return done

    return undo_


@pytest.mark.usefixtures("water")
def test_a_whole_import_can_be_undone(moving: Moving, undo: Undo) -> None:
    """The wrong file comes in one day: nobody of it may be mailed, nor kept; who must be left alone stays so."""
    moving.lists.bring("email\nmaryam@example.org\n")
    done = moving.bring(exports.mailchimp(moving.folder / "export.zip"))
    undone = undo(done.number)
    assert (undone.ended, undone.interests, undone.forgotten, undone.kept, undone.lifted) == (1, 2, 2, 1, 0)
    assert moving.people() == {"maryam"}
    assert moving.readers() == {"maryam"}
    assert moving.barred() == {"gone": "left", "dead": "dead"}
    assert moving.lists.one("SELECT count(*) FROM consent_event WHERE kind = 'withdrawn'") == 3
    with pytest.raises(undoing.AlreadyUndone):
        undo(done.number)
    with pytest.raises(undoing.UnknownImport):
        undo(12345)


@pytest.mark.usefixtures("water")
def test_what_was_undone_can_come_in_again(moving: Moving, undo: Undo) -> None:
    """That a list was taken back is nobody's wish to leave."""
    moving.lists.bring("email\nmaryam@example.org\n", digest_id=moving.lists.digest("other"))
    path = exports.mailchimp(moving.folder / "export.zip")
    undo(moving.bring(path).number, suppressions_too=True)
    assert moving.barred() == {}
    done = moving.bring(path)
    assert (done.rejected, done.suppressed, done.interests) == (0, 2, 2)
    assert moving.readers() == {"ann", "maryam"}


def test_who_left_us_since_has_left_whatever_is_undone(moving: Moving, undo: Undo) -> None:
    """Undoing a list and bringing it again is no way around somebody's no."""
    path = exports.mailchimp(moving.folder / "export.zip")
    done = moving.bring(path)
    with moving.lists.database.transaction() as session:
        ann = session.execute(text("SELECT subscriber_id FROM subscription ORDER BY id LIMIT 1")).scalar_one()
        unsubscribe.leave(session, ann, None, reason="unsubscribed", now=NOW)
    undone = undo(done.number)
    assert undone.kept == 1
    assert "has unsubscribed" in (moving.bring(path).rejects or Path()).read_text()
    assert moving.readers() == {"maryam"}
