"""People as JSON: which of their lists moves must be known, and a no among their own fields must be seen."""

import json
from typing import Any

import pytest

from newsletter import languages
from newsletter.errors import NewsletterError
from newsletter.subscribers import documents, formats, luggage
from newsletter.subscribers.formats import Format
from newsletter.subscribers.luggage import Chosen
from tests.fakes import exports
from tests.subscribers.test_moving_in import Moving, moving

__all__ = ["moving"]


def listmonk(people: dict[str, dict[str, str]], *, optin: str = "double", attribs: Any = None, **more: Any) -> str:
    """Return listmonk's JSON of people by their local parts. people: what they are on each list, by its name."""
    return json.dumps({"data": {"results": [
        {"email": f"{who}@example.org", "name": who, "status": "enabled", "attribs": attribs or {}, **more, "lists": [
            {"name": name, "optin": optin, "subscription_status": said} for name, said in lists.items()
        ]}
        for who, lists in people.items()
    ]}})  # fmt: skip


PEOPLE = {
    "ann": {"Weekly": "confirmed", "Events": "confirmed"},
    "left": {"Weekly": "unsubscribed", "Events": "confirmed"},
    "mute": {"Weekly": "confirmed", "Events": "unsubscribed"},
    "gone": {"Weekly": "unsubscribed", "Events": "unsubscribed"},
    "slow": {"Weekly": "unconfirmed", "Events": "confirmed"},
    "half": {"Weekly": "unconfirmed", "Events": "unsubscribed"},
    "else": {"Events": "confirmed"},
    "none": {},
}


def mapped(moved: str = "", **mapping: str) -> Chosen:
    """Return what an operator says of a file."""
    return Chosen(moved=moved, mapping=mapping)


def refusal(moving: Moving, data: str, chosen: Chosen | None = None, name: str = "people.json") -> str:
    """Bring a file that must be refused, with nobody in it let in; return the sentence."""
    with pytest.raises(NewsletterError) as refused:
        moving.bring(moving.file(name, data), evidence="paper", chosen=chosen)
    assert (moving.people(), moving.barred()) == (set(), {})
    return languages.say(refused.value.message, "en", **refused.value.facts)


@pytest.mark.parametrize(
    ("moved", "readers", "reasons"),
    [
        ("Weekly", {"ann", "mute"}, {
            2: "had left this list there", 5: "never confirmed it there", 6: "never confirmed it there",
            7: "does not take this list there", 8: "does not take this list there",
        }),
        ("events ", {"ann", "left", "slow", "else"}, {
            3: "had left this list there", 6: "had left this list there", 8: "does not take this list there",
        }),
        ("", {"ann", "slow", "else", "none"}, dict.fromkeys(
            (2, 3, 6), "had left one of several lists there: --list says which of them moves"
        )),
    ],
)  # fmt: skip
def test_who_left_the_list_that_moves_does_not_come_in(
    moving: Moving, moved: str, readers: set[str], reasons: dict[int, str]
) -> None:
    """They left the weekly and kept the events: mailed weekly again, they had said no for nothing. Leaving all of them bars."""
    done = moving.bring(moving.file("people.json", listmonk(PEOPLE)), evidence="paper", chosen=mapped(moved))
    assert (moving.readers(), moving.barred()) == (readers, {"gone": "left"})
    assert done.rejects is not None
    lines = [line.split(",", 2) for line in done.rejects.read_text().splitlines()[1:]]
    assert {int(row): reason for row, _, reason in lines} == reasons


def test_who_takes_a_list_without_confirming_takes_it_where_nothing_is_to_be_confirmed(moving: Moving) -> None:
    """A list of listmonk with one step leaves its people “unconfirmed” for good."""
    data = listmonk(
        {"ann": {"Weekly": "unconfirmed"}, "left": {"Weekly": "unsubscribed", "Events": "x"}}, optin="single"
    )
    moving.bring(moving.file("people.json", data), evidence="paper", chosen=mapped("Weekly"))
    assert (moving.readers(), moving.barred()) == ({"ann"}, {})


def test_two_lists_of_one_name_are_left_by_leaving_either(moving: Moving) -> None:
    """listmonk lets two be called alike; in doubt the no counts."""
    lists = [
        {"name": "Weekly", "optin": "single", "subscription_status": said} for said in ("confirmed", "unsubscribed")
    ]
    data = json.dumps([{"email": "ann@example.org", "status": "enabled", "lists": lists}])
    moving.bring(moving.file("people.json", data), evidence="paper", chosen=mapped("Weekly"))
    assert moving.people() == set()


@pytest.mark.parametrize(("moved", "warned"), [("", True), ("Weekly", False)])
def test_that_a_list_must_be_named_is_said_before_anything_is_read(moving: Moving, moved: str, warned: bool) -> None:
    """The dry run says it, and not a file of a thousand rows."""
    path = moving.file("people.json", listmonk(PEOPLE))
    doubts = luggage.open_(path, mapped(moved)).doubts
    assert doubts == (("import.listmonk-lists",) if warned else ())
    assert all('--list "Weekly"' in languages.say(doubt, "en") for doubt in doubts)


@pytest.mark.parametrize(
    ("name", "data", "moved", "sentence"),
    [
        ("a.json", listmonk(PEOPLE), "Wekly", "Nobody in the file is on a list called “Wekly”. Its lists are: “Weekly”, “Events”."),
        ("a.json", exports.MAILMAN_JSON, "Weekly", "--list names one of several lists of listmonk's JSON"),
        ("a.json", '[{"email": "ann@example.org"}]', "Weekly", "--list names one of several lists of listmonk's JSON"),
        ("a.csv", exports.LISTMONK, "Weekly", "--list names one of several lists of listmonk's JSON"),
        ("a.txt", exports.MAILMAN, "Weekly", "--list names one of several lists of listmonk's JSON"),
    ],
)  # fmt: skip
def test_a_list_that_is_not_there_is_refused_in_words(
    moving: Moving, name: str, data: str, moved: str, sentence: str
) -> None:
    """Passed over, it would let in who left that list; taken for one nobody is on, the import would bring nobody."""
    assert refusal(moving, data, mapped(moved), name).startswith(sentence)


@pytest.mark.parametrize(
    ("attribs", "heading"),
    [
        ({"consent": "no"}, "attribs.consent"),
        ({"Consent": False}, "attribs.consent"),
        ({"gdpr": {"mail": 0}}, "attribs.gdpr.mail"),
        ({"marketing": ["No"]}, "attribs.marketing"),
        ({"consent": [True, False]}, "attribs.consent"),
        ({"consents": [{"newsletter": False}]}, "attribs.consents.newsletter"),
        ({"asked": [[{"weekly": {"mail": "نه"}}], "by phone"]}, "attribs.asked.weekly.mail"),
        ({"tags": ["vegan"], "brief": [{"ok": True}, {"ok": False}]}, "attribs.brief.ok"),
        ({"wants_email_consent": "نه"}, "attribs.wants_email_consent"),
    ],
)
def test_a_no_among_the_fields_of_listmonk_s_people_refuses_the_file(
    moving: Moving, attribs: dict[str, Any], heading: str
) -> None:
    """It has one place for what a team asks of its own: a no there counts as one in any other export."""
    data = listmonk({"gone": {"Weekly": "confirmed"}}, attribs=attribs)
    said = refusal(moving, data)
    assert f"“{heading}”" in said
    assert f'--map "{heading}=-"' in said
    path = moving.file("people.json", data)
    moving.bring(path, evidence="paper", chosen=mapped(**{heading: "permission"}))
    assert moving.people() == set()
    moving.bring(path, evidence="paper", chosen=mapped(**{heading: "-"}))
    assert moving.readers() == {"gone"}


def test_a_field_of_listmonk_s_people_may_be_the_permission(moving: Moving) -> None:
    """Whoever lacks the field has given none."""
    people = [
        {"email": f"{who}@example.org", "status": "enabled", "lists": [], "attribs": attribs}
        for who, attribs in (("ann", {"consent": True}), ("bo", {"consent": "no"}), ("cy", {}))
    ]
    moving.bring(
        moving.file("people.json", json.dumps(people)),
        evidence="paper",
        chosen=mapped(**{"attribs.consent": "permission"}),
    )
    assert (moving.readers(), moving.barred()) == ({"ann"}, {})


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("name", ["dnc", "no_mail", "blocked", "gone", "vip"])
def test_a_bare_tick_among_the_fields_of_listmonk_s_people_must_be_explained(
    moving: Moving, name: str, table: bool
) -> None:
    """Nobody can tell from “blocked: true” whether that is a yes to mail: in a list of one's own it has refused the file."""
    words = {"ann": False, "gone": True}
    data = json.dumps([
        {"email": f"{who}@example.org", "status": "enabled", "lists": [], "attribs": {name: word, "city": "Ely"}}
        for who, word in words.items()
    ])  # fmt: skip
    cells = [json.dumps({name: word}).replace('"', '""') for word in words.values()]
    if table:
        lines = [f'1,{who}@example.org,"{cell}",enabled' for who, cell in zip(words, cells, strict=True)]
        data = "\n".join(["uuid,email,attributes,status", *lines])
    said = refusal(moving, data, name=f"people.{'csv' if table else 'json'}")
    assert said.startswith(f"“attribs.{name}”: ")
    if not table:
        meant = mapped(**{f"attribs.{name}": "left_time"})
        moving.bring(moving.folder / "people.json", evidence="paper", chosen=meant)
        assert (moving.readers(), moving.barred()) == ({"ann"}, {"gone": "left"})


@pytest.mark.parametrize(
    "words", [[True, "perhaps"], [[True, "by phone"]], [{"since": True}, {"since": "2019"}], [None, ""], [[], {}]]
)
def test_a_field_that_also_holds_other_words_is_about_something_else(moving: Moving, words: list[Any]) -> None:
    """A tick is doubted where it stands alone, in a person's list as well: else every field would have to be explained."""
    people = [
        {"email": f"r{number}@example.org", "status": "enabled", "lists": [], "attribs": {"told": word}}
        for number, word in enumerate(words)
    ]
    moving.bring(moving.file("people.json", json.dumps(people)), evidence="paper")
    assert moving.readers() == {f"r{number}" for number in range(len(words))}


def test_topics_in_a_list_of_listmonk_s_are_read_as_tags(moving: Moving) -> None:
    """Each is looked at by itself, and mapped they are one cell, in their order."""
    told = documents.said({"email": "a@example.org", "attribs": {"likes": ["water", "law"]}}, Format.LISTMONK, "")
    assert documents.row(told)["attribs.likes"] == "water, law"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", "[" * 100_000),
        ("a.json", '[{"email": "a@example.org", "attribs": ' + '{"a": ' * 30 + "false" + "}" * 31 + "]"),
        ("a.json", '[{"email": "a@example.org", "attribs": ' + "[" * 30 + "false" + "]" * 30 + "}]"),
        ("a.csv", f"uuid,email,attributes,status\n1,a@example.org,{'[' * 100_000},enabled\n"),
        ("a.csv", f"uuid,email,attributes,status\n1,a@example.org,{'[' * 30}{']' * 30},enabled\n"),
    ],
)
def test_what_is_nested_deeper_than_people_nest_it_is_refused_in_words(moving: Moving, name: str, data: str) -> None:
    """A no can be hidden there, or a program be brought down: neither comes in, and it ends in no traceback."""
    assert refusal(moving, data, name=name).startswith("This file is nested deeper than a list of people can be.")


@pytest.mark.parametrize(
    ("attribs", "word"),
    [
        ({"state": "Unsubscribed"}, "Row 1 says “Unsubscribed” under the heading “attribs.state”"),
        ({"state": ["2019", "Unsubscribed"]}, "Row 1 says “Unsubscribed” under the heading “attribs.state”"),
        ({"state": "do not mail"}, "Row 1 says “do not mail” under the heading “attribs.state”"),
        ({"unsub_reason": "x"}, "“attribs.unsub_reason”"),
        ({"do_not_mail": "by phone"}, "“attribs.do_not_mail”"),
    ],
)
def test_what_says_that_somebody_left_must_be_explained(moving: Moving, attribs: dict[str, Any], word: str) -> None:
    """By the word or by the heading, as in every table."""
    assert word in refusal(moving, listmonk({"gone": {"Weekly": "confirmed"}}, attribs=attribs))


@pytest.mark.parametrize(
    "attribs", [{}, {"city": "Ely", "since": 2019, "age": None}, ["Ely"], "Ely", {"a": {"b": [{}]}}]
)
def test_other_fields_of_listmonk_s_people_are_nobody_s_business(moving: Moving, attribs: Any) -> None:
    """Where somebody lives, and since when they read, says nothing of whether they want mail."""
    moving.bring(
        moving.file("people.json", listmonk({"ann": {"Weekly": "confirmed"}}, attribs=attribs)), evidence="paper"
    )
    assert moving.readers() == {"ann"}


@pytest.mark.parametrize("sheet", [False, True])
def test_a_no_among_the_attributes_of_a_table_refuses_it(moving: Moving, sheet: bool) -> None:
    """There all of them stand in one cell, which no mapping takes apart: its way out is the JSON, or to leave them all out."""
    rows: list[list[str | float]] = [
        ["uuid", "email", "attributes", "status"],
        ["1", "ann@example.org", '{"consent": "no"}', "enabled"],
    ]
    path = exports.xlsx(moving.folder / "people.xlsx", rows)
    if not sheet:
        path = moving.file("people.csv", exports.LISTMONK.replace('""city"": ""Sarand""', '""consent"": false'))
    with pytest.raises(formats.BadMapping) as refused:
        moving.bring(path, evidence="paper")
    said = languages.say(refused.value.message, "en", **refused.value.facts)
    assert said.startswith("“attribs.consent”: ")
    assert '--map "attributes=-"' in said
    moving.bring(path, evidence="paper", chosen=mapped(attributes="-"))
    assert moving.readers() == {"ann"}


@pytest.mark.parametrize("cell", ["", "{}", "no", "{", '""consent: no""', "null"])
def test_attributes_that_cannot_be_read_say_nothing(moving: Moving, cell: str) -> None:
    """They are listmonk's own, and whatever else stands there ends in no traceback."""
    moving.bring(
        moving.file("people.csv", f"uuid,email,attributes,status\n1,ann@example.org,{cell},enabled\n"), evidence="paper"
    )
    assert moving.readers() == {"ann"}
