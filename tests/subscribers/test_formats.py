"""What others call their columns and tables: whoever left there must not come in because a heading was not understood."""

import csv
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from newsletter import languages
from newsletter.subscribers import formats, listing, luggage, tables
from newsletter.subscribers.formats import Format
from newsletter.subscribers.luggage import Chosen
from tests.fakes import exports
from tests.subscribers.test_unread import Moving, moving

__all__ = ["moving"]

MAILPOET_SHEET: list[list[str | float]] = [
    ["Email", "First name", "List status", "Global status", "List"],
    ["ann@example.org", "Ann", "subscribed", "subscribed", "Weekly"],
    ["gone@example.org", "Gone", "unsubscribed", "unsubscribed", "Weekly"],
    ["dead@example.org", "Dead", "subscribed", "bounced", "Weekly"],
]
LISTMONK_SHEET: list[list[str | float]] = [
    ["uuid", "email", "name", "attributes", "status"],
    ["1", "ann@example.org", "Ann", "{}", "enabled"],
    ["2", "gone@example.org", "Gone", "{}", "blocklisted"],
]
LEFT_SHEET: list[list[str | float]] = [
    ["Email Address", "First Name", "MEMBER_RATING", "UNSUB_TIME", "UNSUB_REASON", "LEID"],
    ["gone@example.org", "Gone", 2, 44687.29733, "NORMAL", 104],
]


@pytest.mark.parametrize(
    ("rows", "chosen", "kind", "readers", "barred"),
    [
        (MAILPOET_SHEET, None, Format.MAILPOET, {"ann"}, {"gone": "left", "dead": "dead"}),
        (MAILPOET_SHEET, Format.MAILPOET, Format.MAILPOET, {"ann"}, {"gone": "left", "dead": "dead"}),
        (LISTMONK_SHEET, None, Format.LISTMONK, {"ann"}, {"gone": "never again"}),
        (LEFT_SHEET, None, Format.MAILCHIMP, set(), {"gone": "left"}),
        (LEFT_SHEET, Format.XLSX, Format.XLSX, set(), {"gone": "left"}),
    ],
)
def test_a_sheet_is_understood_as_the_same_table_would_be_in_csv(
    moving: Moving,
    rows: list[list[str | float]],
    chosen: Format | None,
    kind: Format,
    readers: set[str],
    barred: dict[str, str],
) -> None:
    """MailPoet exports XLSX, and people save anything as such: who left there must not be a reader here."""
    path = exports.xlsx(moving.folder / "people.xlsx", rows)
    assert luggage.open_(path, Chosen(chosen)).kind is kind
    moving.bring(path, evidence="paper", chosen=Chosen(chosen))
    assert (moving.readers(), moving.barred()) == (readers, barred)


@pytest.mark.parametrize(
    ("name", "text", "barred"),
    [
        ("people.csv", "Email Address,First Name,UNSUB_TIME\ngone@example.org,Gone,2022-05-06 07:08:09\n", "left"),
        ("people.csv", "email,CLEAN_TIME\ngone@example.org,2022-05-06 07:08:09\n", "dead"),
        ("people.csv", "email,UNSUB_TIME,UNSUB_REASON\ngone@example.org,,NORMAL\n", "left"),
        ("unsubscribed_members_export.csv", "Email Address,First Name\ngone@example.org,Gone\n", "left"),
        ("cleaned_members_export.csv", "Email Address,First Name\ngone@example.org,Gone\n", "dead"),
    ],
)
@pytest.mark.parametrize("kind", [None, Format.CSV, Format.MAILCHIMP])
def test_a_table_of_those_who_left_is_one_whatever_was_cut_away(
    moving: Moving, kind: Format | None, name: str, text: str, barred: str
) -> None:
    """Somebody deletes the columns with cryptic names before they bring the file; its people have left all the same."""
    moving.bring(moving.file(name, text), evidence="paper", chosen=Chosen(kind))
    assert (moving.readers(), moving.barred()) == (set(), {"gone": barred})


def test_a_status_of_an_audience_s_own_undoes_no_leaving(moving: Moving) -> None:
    """A campaign may have asked its people whether they are members; those of them who left are in this file."""
    text = "Email Address,Status,LEID\ngone@example.org,Member,1\n"
    moving.bring(moving.file("unsubscribed_members_export.csv", text), evidence="paper")
    assert (moving.readers(), moving.barred()) == (set(), {"gone": "left"})


@pytest.mark.parametrize("heading", ["left_time", "dead_time"])
def test_a_time_of_leaving_says_who_left_row_by_row(moving: Moving, heading: str) -> None:
    """In a list of one's own the column is empty for those who stayed."""
    text = f"email,{heading}\nann@example.org,\ngone@example.org,2022-05-06 07:08:09\n"
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert moving.readers() == {"ann"}
    assert moving.barred() == {"gone": heading.partition("_")[0]}


@pytest.mark.parametrize("heading", ["left_time", "dead_time"])
@pytest.mark.parametrize(
    "when", ["0000-00-00 00:00:00", "0000-00-00", "NULL", "0", "1970-01-01", "Never", "0001-01-01T00:00:00Z"]
)
def test_a_time_that_is_none_says_that_nobody_left(moving: Moving, heading: str, when: str) -> None:
    """Databases write zeros for "never": each of these readers would be kept from mail for good, and only they could lift it."""
    text = f"email,{heading}\nann@example.org,{when}\ngone@example.org,yes\n"
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert (moving.readers(), set(moving.barred())) == ({"ann"}, {"gone"})


@pytest.mark.parametrize(
    "heading", ["Member status", "UNSUB_REASON", "Cleaned?", "Bounces", "Opted out", "blocklisted", "وضعیت"]
)
@pytest.mark.parametrize("sheet", [False, True])
def test_a_heading_that_may_say_who_left_must_be_explained(moving: Moving, heading: str, sheet: bool) -> None:
    """Left out in silence it would make readers of those who asked for silence."""
    rows: list[list[str | float]] = [["email", heading], ["ann@example.org", "subscribed"]]
    path = moving.folder / ("people.xlsx" if sheet else "people.csv")
    if sheet:
        exports.xlsx(path, rows)
    else:
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    with pytest.raises(formats.BadMapping) as refusal:
        moving.bring(path, evidence="paper")
    assert f'--map "{heading.lower()}=-"' in languages.say(refusal.value.message, "en", **refusal.value.facts)
    for column in ("-", "status"):
        luggage.open_(path, Chosen(mapping=formats.parse_mapping([f"{heading}={column}"])))


def test_what_a_table_of_those_who_left_tells_of_it_needs_no_explaining(tmp_path: Path) -> None:
    """Mailchimp's own tables say why and by which campaign; none of that can make a reader."""
    luggage.open_(exports.mailchimp(tmp_path / "export.zip"), Chosen())


def account(path: Path, **more: str) -> Path:
    """Write the zip of a whole Mailchimp account: its lists of people, and the rest."""
    exports.mailchimp(path, **more)
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("campaigns.csv", "Title,Subject,Send Date\nSpring,Hello,2024-01-01\n")
        package.writestr("granular_activity/opens/1_spring.csv", "Email,Timestamp\nopened@example.org,2024-01-01\n")
        package.writestr("complaints/1_spring.csv", "Email Address,Date\nangry@example.org,2024-01-01\n")
        package.writestr("segments/vip.csv", "Email Address,MEMBER_RATING,LEID\nvip@example.org,5,9\n")
    return path


def test_of_a_whole_account_only_the_lists_of_people_come_in(moving: Moving) -> None:
    """Whoever opened a mail, or complained of one, has not asked for ours."""
    path = account(moving.folder / "account.zip")
    assert set(luggage.open_(path, Chosen()).left_out) == {
        "campaigns.csv", "granular_activity/opens/1_spring.csv", "complaints/1_spring.csv"
    }  # fmt: skip
    moving.bring(path, evidence="paper")
    assert moving.readers() == {"ann", "maryam", "old", "vip"}
    assert moving.barred() == {"gone": "left", "dead": "dead"}


@pytest.mark.parametrize("empty", ["", "\ufeff", "\n"])
def test_an_empty_table_of_a_zip_is_none(moving: Moving, empty: str) -> None:
    """Nobody ever bounced: that is no reason to refuse everybody else."""
    path = account(moving.folder / "account.zip", cleaned=empty)
    assert not [name for name in luggage.open_(path, Chosen()).left_out if "cleaned" in name]
    moving.bring(path, evidence="paper")
    assert moving.barred() == {"gone": "left"}


def test_a_zip_of_one_table_is_that_table(moving: Moving) -> None:
    """Some mail programs zip what is attached."""
    path = moving.folder / "list.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("people.csv", exports.LISTMONK)
    assert luggage.open_(path, Chosen()).kind is Format.LISTMONK
    moving.bring(path, evidence="paper")
    assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "never again"})


def test_a_zip_of_tables_that_nobody_knows_is_refused_in_words(moving: Moving) -> None:
    """Which of them is the list can be told by nobody but whoever brings it."""
    path = moving.folder / "lists.zip"
    with zipfile.ZipFile(path, "w") as package:
        for name in ("a.csv", "b.csv"):
            package.writestr(name, "email\nann@example.org\n")
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="paper")
    assert refusal.value.message == "table.no-people"
    assert moving.people() == set()


def test_mailpoet_s_own_headings_are_evidence(moving: Moving) -> None:
    """Its export shows when and whence somebody asked; a name of a heading that we invented would lose that."""
    path = moving.file("MailPoet_export_a1b2.csv", exports.MAILPOET)
    assert luggage.open_(path, Chosen()).proven
    assert moving.bring(path).unproven == 0
    assert moving.details("ann") == {
        "source": "mailpoet",
        "asked_at": "2019-04-18T13:51:14+00:00",
        "asked_from": "203.0.113.0/24",
        "confirmed_at": "2019-04-18T14:00:32+00:00",
        "confirmed_from": "203.0.113.0/24",
    }


FRENCH = exports.MAILPOET
for _english, _french in (
    ("Email", "E-mail"), ("First name", "Prénom"), ("Last name", "Nom"), ("Subscription IP", "IP d’abonnement"),
    ("Subscription time", "Heure d’abonnement"), ("Confirmation time", "Heure de confirmation"),
    ("Confirmation IP", "IP de confirmation"), ("List status", "Statut de la liste"), ("Global status", "Statut global"),
    ('"List"', '"Liste"'),
):  # fmt: skip
    FRENCH = FRENCH.replace(_english, _french, 1)


@pytest.mark.parametrize("name", ["MailPoet_export_a1b2.csv", "abonnes.csv", "abonnes.xlsx"])
def test_a_status_under_a_heading_of_another_language_lets_nobody_in_who_left(moving: Moving, name: str) -> None:
    """MailPoet translates its headings and not what stands below; read by the English alone, five who left were readers."""
    path = moving.file(name, FRENCH)
    if name.endswith("xlsx"):
        exports.xlsx(path, [list(row) for row in csv.reader(FRENCH.lstrip("\ufeff").splitlines())])
    with pytest.raises(formats.BadMapping) as refusal:
        moving.bring(path, evidence="paper")
    said = languages.say(refusal.value.message, "en", **refusal.value.facts)
    assert "Row 3 says “unsubscribed” under the heading “statut de la liste”" in said
    assert '--map "statut de la liste=status"' in said
    assert (moving.people(), moving.barred()) == (set(), {})
    maps = ["Statut de la liste=list_status"]
    with pytest.raises(formats.BadMapping):
        moving.bring(path, evidence="paper", chosen=Chosen(mapping=formats.parse_mapping(maps)))
    maps.append("Statut global=status")
    moving.bring(path, evidence="paper", chosen=Chosen(mapping=formats.parse_mapping(maps)))
    assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "left", "full": "dead"})


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("email,Estado\na@example.org,subscribed\n", False),
        ("email,Estado\na@example.org,Unsubscribed\n", True),
        ("email,Estado\na@example.org,BOUNCED\n", True),
        ("email,status,Estado\na@example.org,subscribed,unsubscribed\n", True),
        ("email,status,status\na@example.org,subscribed,unsubscribed\n", True),
        ("email,\na@example.org,unsubscribed\n", True),
        ("email,name\na@example.org,Ann,unsubscribed\n", True),
        ("email,Note\na@example.org,she unsubscribed us from theirs\n", False),
        ("email,name,status\na@example.org,Left,subscribed\n", False),
        ("email,Note,UNSUB_TIME\na@example.org,bounced,2022-05-06\n", False),
    ],
)
def test_a_word_of_leaving_where_nobody_reads_is_refused(moving: Moving, text: str, refused: bool) -> None:
    """Whatever the heading, and where there is none: what would keep a person out under “status” is not passed over."""
    path = moving.file("people.csv", text)
    if not refused:
        moving.bring(path, evidence="paper")
        return
    with pytest.raises(formats.BadMapping) as refusal:
        moving.bring(path, evidence="paper")
    assert languages.say(refusal.value.message, "en", **refusal.value.facts).startswith("Row 2 says “")
    assert moving.people() == set()


@pytest.mark.parametrize(
    "columns", ["Email", "Email,List status", "Email,Global status", "Email,List status,Global status"]
)
def test_mailpoet_without_both_its_statuses_is_warned_of(moving: Moving, columns: str) -> None:
    """It lets whoever exports choose the columns: without these, nothing tells who left."""
    path = moving.file("MailPoet_export_a1b2.csv", f"{columns}\nann@example.org,subscribed,subscribed\n")
    whole = columns.count("status") == 2
    assert luggage.open_(path, Chosen()).doubts == (() if whole else ("import.mailpoet-table",))


def test_a_quotation_mark_in_a_name_of_mailpoet_moves_no_status(moving: Moving) -> None:
    """It writes a backslash before one, as no other does: with a comma behind, everything stood a column further."""
    rows = '"%s@example.org","Ann \\"Nan\\", Esq.","","subscribed","%s","Weekly"\n'
    text = '"Email","First name","Last name","List status","Global status","List"\n'
    path = moving.file("export.csv", text + rows % ("ann", "subscribed") + rows % ("gone", "unsubscribed"))
    moving.bring(path, evidence="paper")
    assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "left"})


def test_who_left_one_list_of_mailpoet_and_takes_another_is_a_reader(moving: Moving) -> None:
    """It writes one row for each list: leaving the events bars nobody from the weekly, leaving everything does."""
    done = moving.bring(moving.file("MailPoet_export_a1b2.csv", exports.MAILPOET))
    assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "left", "full": "dead"})
    assert moving.people() == {"ann"}
    assert "3,status,had left this list there" in (done.rejects or Path()).read_text()


def test_the_status_of_a_list_alone_still_keeps_its_row_out(moving: Moving) -> None:
    """Somebody exports without the other column: who left must not come in for that."""
    text = "Email,List status\nann@example.org,subscribed\naway@example.org,unsubscribed\nodd@example.org,???\n"
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert (moving.readers(), moving.barred()) == ({"ann"}, {})


NO_TIMES = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1970-01-01 00:00:00", "1899-12-31", "00000", "32873.9",
    "9999-12-31T23:59:59-14:00", "99999.9",
]  # fmt: skip


@pytest.mark.parametrize("when", NO_TIMES)
def test_a_time_that_nobody_filled_in_proves_nothing(moving: Moving, when: str) -> None:
    """A database writes something where it knows nothing: that is no day on which somebody asked for mail."""
    text = f"Email Address,MEMBER_RATING,LEID,OPTIN_TIME\nann@example.org,4,1,{when}\n"
    assert moving.bring(moving.file("people.csv", text)).unproven == 1
    assert moving.readers() == set()


BRITISH = ["18/04/2019 13:51", "18/04/2019", "18.04.2019", "April 2019", "yes", "no", "t", "2019"]


@pytest.mark.parametrize("when", BRITISH)
@pytest.mark.parametrize("column", formats.PROOF)
@pytest.mark.parametrize("evidence", ["", "paper"])
def test_a_time_of_asking_that_cannot_be_read_refuses_its_row_of_an_own_list(
    moving: Moving, when: str, column: str, evidence: str
) -> None:
    """Charities write dates as their country does: passed over, they would be no evidence, and nobody would know why."""
    text = f"email,optin_time,confirm_time\nann@example.org,2019-04-18,2019-04-18T13:51\nbo@example.org,{when},{when}\n"
    text = text if column == "optin_time" else text.replace(f",{when},", ",,")
    done = moving.bring(moving.file("people.csv", text), evidence=evidence)
    assert (done.added, done.unproven, done.rejected) == (1, 0, 1)
    assert done.rejects is not None
    assert f'3,{column},"is no time as we read it: write 2019-04-18' in done.rejects.read_text()


@pytest.mark.parametrize("when", BRITISH)
def test_a_sheet_s_text_that_looks_like_a_date_refuses_its_row(moving: Moving, when: str) -> None:
    """A cell that a spreadsheet took for text is none of its days."""
    rows: list[list[str | float]] = [["email", "Opt-in time"], ["ann@example.org", 43573.5], ["bo@example.org", when]]
    done = moving.bring(exports.xlsx(moving.folder / "people.xlsx", rows))
    assert (done.added, done.unproven, done.rejected) == (1, 0, 1)


@pytest.mark.parametrize("when", ["", "NULL", "0000-00-00", "n/a", "-", "never", *NO_TIMES])
def test_a_time_that_never_was_refuses_no_row(moving: Moving, when: str) -> None:
    """Their person comes in and waits to be asked, as whoever has an empty cell."""
    done = moving.bring(moving.file("people.csv", f"email,optin_time\nann@example.org,{when}\n"))
    assert (done.added, done.unproven, done.rejected) == (1, 1, 0)


def test_a_time_that_cannot_be_read_refuses_no_row_of_another_system_s_export(moving: Moving) -> None:
    """Nobody can mend those: their person comes in without evidence, and is asked."""
    text = "Email Address,MEMBER_RATING,LEID,OPTIN_TIME\nann@example.org,4,1,18/04/2019 13:51\n"
    done = moving.bring(moving.file("people.csv", text))
    assert (done.added, done.unproven, done.rejected) == (1, 1, 0)


def test_the_first_and_the_last_time_that_can_be_one() -> None:
    """The bounds are wide: mail is older than the web."""
    assert formats.moment("1990-01-01 00:00:00") == datetime(1990, 1, 1, tzinfo=UTC)
    assert formats.moment("32874") == datetime(1990, 1, 1, tzinfo=UTC)
    assert formats.moment("2100-12-31") == datetime(2100, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize("column", ["optin_time", "confirm_time", "left_time", "dead_time"])
@pytest.mark.parametrize("when", NO_TIMES)
def test_what_came_in_with_any_time_can_be_read_again(moving: Moving, column: str, when: str) -> None:
    """PostgreSQL keeps years that Python cannot read: one such row would break every page and export that meets it."""
    moving.bring(moving.file("people.csv", f"email,{column}\nann@example.org,{when}\n"), evidence="paper")
    assert moving.state()
    with moving.lists.database.transaction() as session:
        left = column not in formats.PROOF and not formats.is_never(when)
        assert bool(list(listing.lines(session, None))) is not left


@pytest.mark.parametrize("from_1904", [False, True])
def test_the_days_of_a_sheet_are_counted_as_its_book_says(moving: Moving, from_1904: bool) -> None:
    """Excel on old Macs counted from 1904: four years too early would be a consent that nobody gave."""
    rows: list[list[str | float]] = [
        ["email", "optin_time", "left_time"],
        ["ann@example.org", 43573.5774 - 1462 * from_1904, ""],
        ["gone@example.org", "", 44687.25 - 1462 * from_1904],
    ]
    moving.bring(exports.xlsx(moving.folder / "people.xlsx", rows, from_1904=from_1904))
    assert moving.details("ann")["asked_at"].startswith("2019-04-18T13:51")
    assert moving.lists.one("SELECT at FROM suppression") == datetime(2022, 5, 6, 6, tzinfo=UTC)


def test_sheets_after_the_first_are_named(moving: Moving) -> None:
    """MailPoet writes a sheet for each list; whoever brings all of them must know that one is read."""
    path = exports.xlsx(moving.folder / "people.xlsx", MAILPOET_SHEET, others=["Events", "Friends"])
    assert luggage.open_(path, Chosen()).left_out == ("Events", "Friends")


@pytest.mark.parametrize(
    "said", ["5", '"x"', '{"a": 1}', "[7]", '[{"subscription_status": "unconfirmed", "optin": "double"}, 7]']
)
def test_lists_that_are_none_are_refused_in_words(moving: Moving, said: str) -> None:
    """What cannot be read there may say that somebody left; it must end neither in a traceback nor in a reader."""
    path = moving.file("people.json", f'[{{"email": "ann@example.org", "status": "enabled", "lists": {said}}}]')
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="paper")
    assert refusal.value.message == "table.bad-json"


@pytest.mark.parametrize("number", ["99999999999999999999", "16777217", "0", "-7", "x"])
def test_a_row_that_no_sheet_has_is_refused_in_words(moving: Moving, number: str) -> None:
    """The number of a row goes into the list of those not taken, whose column ends somewhere."""
    sheet = (
        '<worksheet><sheetData><row r="1"><c t="inlineStr"><is><t>email</t></is></c></row>'
        f'<row r="{number}"><c t="inlineStr"><is><t>nobody</t></is></c></row></sheetData></worksheet>'
    )
    path = exports.xlsx(moving.folder / "people.xlsx", [], parts={"xl/worksheets/sheet1.xml": sheet})
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="paper")
    assert refusal.value.message == "table.bad-sheet"


@pytest.mark.parametrize("place", [100, 1000, 3000, 7000])
def test_a_zip_that_was_damaged_on_its_way_is_refused_in_words(moving: Moving, place: int) -> None:
    """A download breaks off or a stick fails: whoever brings it should fetch it once more, and read that here."""
    path = moving.folder / "export.zip"
    people = "".join(f"r{number}@example.org,{number % 5}\n" for number in range(3_000))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("subscribed_members_export.csv", "Email Address,MEMBER_RATING\n" + people)
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(byte ^ 0xFF for byte in data[place : place + 40])
    path.write_bytes(data)
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="paper")
    assert refusal.value.message == "table.bad-zip"
    assert moving.people() == set()


def test_a_zip_packed_in_another_way_is_refused_in_words(moving: Moving) -> None:
    """No export is; each further way of packing has failures of its own."""
    path = moving.folder / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as package:
        package.writestr("subscribed_members_export.csv", exports.SUBSCRIBED)
    with pytest.raises(tables.BadTable) as refusal:
        moving.bring(path, evidence="paper")
    assert refusal.value.message == "table.bad-zip"


@pytest.mark.parametrize(
    ("line", "email", "name"),
    [
        ("ann@example.org", "ann@example.org", ""),
        ("  ann@example.org\t", "ann@example.org", ""),
        ("Ann Castle <ann@example.org>", "ann@example.org", "Ann Castle"),
        ('"Castle, Ann" <ann@example.org>', "ann@example.org", "Castle, Ann"),
        ("<ann@example.org>", "ann@example.org", ""),
        ("مریم <ann@example.org>", "ann@example.org", "مریم"),
        ("nobody here", "nobody here", ""),
        ("Ann <ann@example.org> and <bob@example.org>", "Ann <ann@example.org> and <bob@example.org>", ""),
        ("Ann <>", "Ann <>", ""),
        ("@", "@", ""),
        ("x" * 2_000 + " <ann@example.org>", "x" * 400, ""),
    ],
)
def test_a_line_of_a_roll_is_an_address_with_or_without_a_name(
    moving: Moving, line: str, email: str, name: str
) -> None:
    """What is neither is refused as it stands, so that whoever brings it finds the line."""
    path = moving.file("members.txt", f"# weekly\nfirst@example.org\n{line}\n")
    rows = dict(luggage.open_(path, Chosen()).parts[0].open())
    assert rows[3] == {"email": email, "name": name}


HOSTILE = [" " * 99 + "<", "a" * 99 + "<", '"' * 99 + "<", "<" * 99, "@" * 99, "a@" * 49 + "<", "x <" + " " * 97]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_roll_is_read_in_a_time_that_grows_as_its_length_does(moving: Moving, pattern: str) -> None:
    """A file of some kilobytes must not hold the machine for minutes: long lines cost no more for a letter than short ones."""

    def seconds(lines: int, times: int) -> float:
        line = pattern[:1] * (len(pattern) * (times - 1)) + pattern
        path = moving.file("members.txt", "first@example.org\n" + (line + "\n") * lines)
        part = luggage.open_(path, Chosen(Format.MAILMAN)).parts[0]
        began = time.process_time()
        assert sum(1 for _ in part.open()) == lines + 1
        return time.process_time() - began

    short, long = seconds(4_000, 1), seconds(40, 100)
    assert long < 2 * short + 0.1


@pytest.mark.parametrize("note", ["———", "€€€€", "“…”", "–––––", "•••", "£££ ‰‰‰"])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("cp1252", "Jörg Böll"),
        ("cp1252", "Zoë"),
        ("cp1256", "علي"),
        ("cp1256", "فاطمة الزهراء"),
        ("cp1256", "مي\u200cرود"),
    ],
)
def test_signs_between_words_tell_no_alphabet(moving: Moving, encoding: str, name: str, note: str) -> None:
    """One cell of dashes turned "Jörg" into half an Arabic word, and the greeting of everybody with it."""
    path = moving.file("people.csv", f"email,name,notes\nann@example.org,{name},{note}\n".encode(encoding))
    part = luggage.open_(path, Chosen()).parts[0]
    assert [values["name"] for _, values in part.open()] == [name]


def test_one_odd_cell_does_not_outweigh_the_names(moving: Moving) -> None:
    """A letter that would be a mark in the other alphabet counts like any other."""
    path = moving.file(
        "people.csv", "email,name\nann@example.org,ÀÉÈ\n".encode("cp1252") + "x@example.org,Jörg\n".encode("cp1252") * 9
    )
    assert luggage.open_(path, Chosen()).parts[0].encoding == "cp1252"
