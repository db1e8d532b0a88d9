"""What columns say that nobody reads: whoever said no under any heading must not come in, and never in silence."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from newsletter import languages
from newsletter.subscribers import formats, luggage
from newsletter.subscribers.formats import BadMapping, Format
from newsletter.subscribers.luggage import Chosen
from tests.fakes import exports
from tests.subscribers.conftest import Emptied
from tests.subscribers.test_moving_in import Moving


@pytest.fixture
def moving(emptied: Emptied, tmp_path: Path) -> Iterator[Moving]:
    """A digest, and a folder for what is brought: in the file's one database, emptied after each test."""
    with emptied.lent(tmp_path / "rejects") as lists:
        yield Moving(lists, tmp_path)


def mapped(*texts: str) -> Chosen:
    """Return what an operator says of headings."""
    return Chosen(mapping=formats.parse_mapping(texts))


def refusal(moving: Moving, text: str, chosen: Chosen | None = None, name: str = "people.csv") -> str:
    """Bring a file that must be refused, with nobody in it let in; return the sentence."""
    with pytest.raises(BadMapping) as refused:
        moving.bring(moving.file(name, text), evidence="paper", chosen=chosen)
    assert (moving.people(), moving.barred()) == (set(), {})
    return languages.say(refused.value.message, "en", **refused.value.facts)


@pytest.mark.parametrize(
    "heading",
    ["subscribed", "is_subscribed", "Is subscribed", "consent", "gdpr_consent", "email_opt_in", "opt-in", "Opt in", "OPTIN",
     "email consent", "permission"],
)  # fmt: skip
@pytest.mark.parametrize("sheet", [False, True])
def test_a_heading_that_plainly_means_permission_is_read_as_one(moving: Moving, heading: str, sheet: bool) -> None:
    """Only a yes brings anybody in; a no, an empty cell and what nobody knows are left out and named, and bar nobody for good."""
    said = {"ann": "yes", "tick": "X", "one": "1", "baleh": "بله", "word": "subscribed", "no": "no", "zero": "0",
            "blank": "", "na": "نه", "odd": "maybe", "gone": "unsubscribed"}  # fmt: skip
    rows: list[list[str | float]] = [["email", heading], *([f"{who}@example.org", word] for who, word in said.items())]
    path = moving.folder / ("people.xlsx" if sheet else "people.csv")
    if sheet:
        exports.xlsx(path, rows)
    else:
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    done = moving.bring(path, evidence="paper")
    assert moving.readers() == {"ann", "tick", "one", "baleh", "word"}
    assert moving.barred() == {"gone": "left"}
    assert done.rejects is not None
    assert "7,permission,says no there, or nothing that we know as a yes" in done.rejects.read_text().replace('"', "")
    assert done.rejected == 5


@pytest.mark.parametrize(
    ("heading", "cell"),
    [
        ("active", "no"), ("marketing", "0"), ("do_not_contact", "yes"), ("deleted_at", "2024-01-01"), ("removed", "2024-01-01"),
        ("removed", "by hand"), ("rejected", "x"), ("allow_email", "false"), ("Do not email", "asked by phone"), ("DNC", "Y"),
        ("newsletter", "no"), ("Kontakt erlaubt", "nein"), ("abonné", "non"), ("suscrito", "No"), ("خبرنامه", "نه"),
        ("النشرة", "لا"), ("mail?", "f"), ("ok", "0.0"), ("marketing", "post only"), ("Contact preference", "none"),
        ("Zustand", "inactive"), ("état", "Deleted"),
    ],
)  # fmt: skip
def test_a_no_under_any_other_heading_refuses_the_file(moving: Moving, heading: str, cell: str) -> None:
    """By its name or because nothing but yes and no stands there; the way out is named, and once taken the file comes in."""
    text = f"email,{heading}\nann@example.org,\ngone@example.org,{cell}\n"
    said = refusal(moving, text)
    assert f"“{heading.lower()}”" in said
    assert f'--map "{heading.lower()}=-"' in said
    moving.bring(moving.folder / "people.csv", evidence="paper", chosen=mapped(f"{heading}=-"))
    assert moving.readers() == {"ann", "gone"}


@pytest.mark.parametrize(
    "cell",
    [
        " unsubscribed", "unsubscribed ", "UnSubscribed", "Un-subscribed", "unsubscribed.", "(Unsubscribed)", "left ", " Deleted",
        "Opted Out", "Opted-Out", "opted_out", "Opt out", "Do Not Contact", "Do not e-mail",
        "\u00a0unsubscribed", "opted\u00a0out", "\u200bunsubscribed", "unsub\u00adscribed", "\u200eunsubscribed",
        "un\u2011subscribed", "\uff35\uff4e\uff53\uff55\uff42\uff53\uff43\uff52\uff49\uff42\uff45\uff44",
    ],
)  # fmt: skip
@pytest.mark.parametrize("sheet", [False, True])
def test_a_word_of_leaving_is_known_however_it_is_spelt(moving: Moving, cell: str, sheet: bool) -> None:
    """A blank, a capital, a hyphen or what nobody sees in the cell must not let in who left, whatever stands above it."""
    path = moving.folder / ("people.xlsx" if sheet else "people.csv")
    if sheet:
        exports.xlsx(path, [["email", "state"], ["ann@example.org", "fine"], ["gone@example.org", cell]])
    else:
        path.write_text(f"email,state\nann@example.org,fine\ngone@example.org,{cell}\n", encoding="utf-8-sig")
    with pytest.raises(BadMapping):
        moving.bring(path, evidence="paper")
    assert moving.people() == set()


@pytest.mark.parametrize("cell", ["Un-subscribed", "unsubscribed.", "\u00a0unsubscribed", "\u200bUNSUBSCRIBED"])
@pytest.mark.parametrize("heading", ["status", "permission"])
def test_who_left_is_barred_however_it_is_spelt(moving: Moving, heading: str, cell: str) -> None:
    """Left out alone, they would come in by the next list that says nothing of them."""
    text = f"email,{heading}\nann@example.org,subscribed\ngone@example.org,{cell}\n"
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "left"})


@pytest.mark.parametrize("cell", ["-", ".", "-1", "not subscribed", "?"])
@pytest.mark.parametrize("heading", ["status", "permission"])
def test_no_mark_makes_a_word_one_that_brings_in(moving: Moving, heading: str, cell: str) -> None:
    """Only who left is looked for beneath marks: what was no yes, or no status of ours, must not become one."""
    text = f"email,{heading}\nann@example.org,subscribed\nodd@example.org,{cell}\n"
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert (moving.readers(), moving.barred()) == ({"ann"}, {})


@pytest.mark.parametrize(
    ("yes", "no"),
    [("\u200eyes", "no\u200b"), ("\u2714\ufe0f", "\u274c"), ("\uff59\uff45\uff53", "\uff4e\uff4f"), ("YES", "\u00a0No")],
)  # fmt: skip
def test_yes_and_no_are_read_as_they_look(moving: Moving, yes: str, no: str) -> None:
    """A no that is not seen as one would make its column be about something else, and everybody in it come in."""
    text = f"email,newsletter\nann@example.org,{yes}\ngone@example.org,{no}\n"
    assert "“newsletter”" in refusal(moving, text)
    moving.bring(moving.folder / "people.csv", evidence="paper", chosen=mapped("newsletter=permission"))
    assert (moving.readers(), moving.barred()) == ({"ann"}, {})


@pytest.mark.parametrize("heading", ["Opt\u00a0out", "Don’t contact", "\u200bDo not e\u00admail", "UN\u00adSUB"])
def test_a_heading_is_read_as_it_looks(moving: Moving, heading: str) -> None:
    """What a spreadsheet put between its letters hides no column that may say who wants no mail."""
    refusal(moving, f"email,{heading}\nann@example.org,\ngone@example.org,by phone\n")


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["yes", "no"], True),
        (["yes", "", "NULL", "n/a", "no"], True),
        (["1", "1", "1"], True),
        (["", "", ""], False),
        (["", "NULL", "n/a"], False),
        (["yes", "no", "vegan"], False),
        (["0", "1", "2"], False),
        (["f", "m", "f"], False),
    ],
)
def test_a_column_of_nothing_but_yes_and_no_must_be_explained(moving: Moving, words: list[str], refused: bool) -> None:
    """A cell of anything else shows that it is about something else; “vip” costs an option, and nobody who said no comes in."""
    rows = "".join(f"r{number}@example.org,{word}\n" for number, word in enumerate(words))
    text = f"email,vip\n{rows}"
    if refused:
        assert "“vip”" in refusal(moving, text)
    moving.bring(moving.file("people.csv", text), evidence="paper", chosen=mapped("vip=-") if refused else None)
    assert len(moving.readers()) == len(words)


def test_all_columns_that_must_be_explained_are_named_at_once(moving: Moving) -> None:
    """A club's table has ten of them: ten refusals would be ten runs."""
    assert "“vip”, “volunteer”:" in refusal(moving, "email,vip,city,volunteer\nann@example.org,yes,Ely,no\n")
    assert "“active”, “deleted_at”:" in refusal(moving, "email,active,deleted_at\nann@example.org,2,\n")


@pytest.mark.parametrize("text", ["email,\nann@example.org,no\n", "email,name\nann@example.org,Ann,no\n"])
def test_a_no_without_a_heading_refuses_the_file(moving: Moving, text: str) -> None:
    """A heading got lost and what stood below it did not; no option can name such a column."""
    assert "has no heading" in refusal(moving, text)


def test_what_says_who_wants_no_mail_can_be_read_as_that(moving: Moving) -> None:
    """“left_time” where yes means no: whoever is ticked has left, and “no” or “false” is no time of leaving."""
    text = "email,do_not_contact\n" + "".join(
        f"{who}@example.org,{word}\n"
        for who, word in (
            ("ann", "no"),
            ("bo", ""),
            ("cy", "FALSE"),
            ("gone", "yes"),
            ("tick", "t"),
            ("day", "2024-01-01"),
        )
    )
    moving.bring(moving.file("people.csv", text), evidence="paper", chosen=mapped("do_not_contact=left_time"))
    assert (moving.readers(), set(moving.barred())) == ({"ann", "bo", "cy"}, {"gone", "tick", "day"})


def test_who_left_stays_barred_whatever_else_is_said_of_them(moving: Moving) -> None:
    """Two columns disagree or one is not understood: a leaving is kept in any case."""
    text = (
        "email,status,subscribed,left_time\na@example.org,unsubscribed,no,\nb@example.org,archived,yes,2024-01-01\n"
        "c@example.org,unsubscribed,yes,\nd@example.org,subscribed,no,\ne@example.org,subscribed,yes,\n"
    )
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert (moving.readers(), set(moving.barred())) == ({"e"}, {"a", "b", "c"})


def test_two_headings_mapped_to_one_column_are_refused(moving: Moving) -> None:
    """The second would not be read, and be taken for read: a no there would come in."""
    chosen = mapped("newsletter=permission", "subscribed=permission")
    assert "“newsletter” and “subscribed”" in refusal(
        moving, "email,newsletter,subscribed\na@example.org,yes,no\n", chosen
    )
    text = "email,consent,subscribed\na@example.org,yes,no\n"
    assert "“subscribed”" in refusal(moving, text)


@pytest.mark.parametrize(
    ("name", "text", "kind", "readers"),
    [
        ("people.csv", "email,status\na@example.org,inactive\n", Format.CSV, set()),
        ("people.csv", "uuid,email,attributes,status\n1,a@example.org,{},inactive\n", Format.LISTMONK, set()),
        (
            "MailPoet_export_1.csv",
            "Email,List status,Global status\na@example.org,subscribed,inactive\n",
            Format.MAILPOET,
            {"a"},
        ),
    ],
)
def test_inactive_reads_seldom_in_mailpoet_and_nowhere_else(
    moving: Moving, name: str, text: str, kind: Format, readers: set[str]
) -> None:
    """MailPoet calls so who opened nothing lately; a list of one's own, who was switched off."""
    path = moving.file(name, text)
    assert luggage.open_(path, Chosen()).kind is kind
    moving.bring(path, evidence="paper")
    assert (moving.readers(), moving.barred()) == (readers, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("people.csv", "Email Address,LEID,VIP,Consent\na@example.org,1,no,yes\nb@example.org,2,no,\n"),
        ("people.csv", "uuid,email,attributes,status,tick\n1,a@example.org,{},enabled,false\n"),
        ("MailPoet_export_1.csv", "Email,List status,Global status,Terms\na@example.org,subscribed,subscribed,0\n"),
    ],
)
def test_exports_that_say_who_left_in_columns_of_their_own_go_on_as_before(
    moving: Moving, name: str, text: str
) -> None:
    """There a system says who takes mail, and a ticked field beside it is a question of somebody's form."""
    moving.bring(moving.file(name, text), evidence="paper")
    assert moving.readers() - {"b"} == {"a"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("people.csv", "Email Address,LEID,Consent,GDPR mail\na@example.org,1,yes,1\ngone@example.org,2,No ,0\n"),
        ("people.csv", "uuid,email,attributes,status,Consent\n1,a@example.org,{},enabled,declined\n"),
        ("MailPoet_export_1.csv", "Email,List status,Global status,Consent\na@example.org,subscribed,subscribed,نه\n"),
    ],
)
def test_a_no_to_what_an_export_s_own_field_asks_refuses_it(moving: Moving, name: str, text: str) -> None:
    """A team that asked for consent in a field of its own was told no there, whatever the system says beside it."""
    assert "“consent”" in refusal(moving, text, name=name)
    moving.bring(moving.folder / name, evidence="paper", chosen=Chosen(mapping={"consent": "permission"} | (
        {"gdpr mail": "-"} if "GDPR" in text else {}
    )))  # fmt: skip
    assert (moving.readers(), moving.barred()) == ({"a"} if "yes" in text else set(), {})


def test_a_whole_zip_whose_field_says_no_is_refused_until_it_is_explained(moving: Moving) -> None:
    """The field stands in each of its tables; who left there stays barred and who agreed comes in."""
    path = moving.folder / "audience.zip"
    with ZipFile(path, "w") as package:
        package.writestr("subscribed.csv", "Email Address,Consent,LEID\na@example.org,yes,1\nb@example.org,no,2\n")
        package.writestr("unsubscribed.csv", "Email Address,Consent,UNSUB_TIME,LEID\nc@example.org,no,2024-01-01,3\n")
    with pytest.raises(BadMapping):
        moving.bring(path, evidence="paper")
    moving.bring(path, evidence="paper", chosen=mapped("Consent=permission"))
    assert (moving.readers(), moving.barred()) == ({"a"}, {"c": "left"})


def test_usual_columns_need_no_explaining(moving: Moving) -> None:
    """Whoever brings a list of names, towns and notes is asked nothing."""
    text = (
        "email,subscriber_id,city,contact name,last activity,subscription date,notes,preferred name,gift,phone\n"
        "a@example.org,17,Ely,Bo,2024-01-01,2019-01-01,no,Ann,10,1\nb@example.org,18,Ely,Cy,,,met at the fair,,0,01223 1\n"
    )
    moving.bring(moving.file("people.csv", text), evidence="paper")
    assert moving.readers() == {"a", "b"}
