"""Moving in by the command line: what is guessed is said, what is asked is answered, what is undone is counted first."""

import json
import zipfile
from pathlib import Path

import pytest

from newsletter.vault import Keyring
from tests.cli.test_commands import FEED
from tests.fakes import exports
from tests.fakes.program import Program


@pytest.fixture
def program(tmp_path, database_urls, sink):
    keys = tmp_path / "keys" / "keys.json"
    Keyring.create(keys)
    made = Program(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "NEWSLETTER_HOME": str(tmp_path / "home"),
            "NEWSLETTER_KEYS": str(keys),
            "NEWSLETTER_DATABASE_URL": database_urls.worker,
            "NEWSLETTER_RELAY_URL": sink.url,
            "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
            "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        }
    )
    made.json("digests", "add", "weekly", "--name", "The Weekly")
    return made


def test_a_move_from_the_first_look_to_taking_it_back(program, tmp_path):
    """The whole afternoon of whoever moves a campaign, as a script reads it."""
    path = exports.mailchimp(tmp_path / "export.zip")
    _, said = program.run("subscribers", "import", path, "--digest", "weekly", "--dry-run")
    assert "Taken for: mailchimp, UTF-8" in said
    assert "“email address” → email" in said
    assert "Water (2), Press freedom (1)" in said
    assert "May be mailed: weekly 2 · alerts 2; 1 person without evidence: re-permission prepared." in said
    assert "a digest to all of them leaves" in said
    assert program.json("subscribers", "imports") == []

    program.json("topics", "add", "water", "--name", "Water")
    assert program.json("topics", "list") == [{"key": "water", "name": "Water"}]
    done = program.json("subscribers", "import", path, "--digest", "weekly")
    assert (done["read"], done["added"], done["suppressed"], done["unproven"], done["interests"]) == (5, 3, 2, 1, 2)
    assert done["reach"] == {"digests": {"weekly": 2}, "alerts": 2, "unproven": 1}
    again = program.json("subscribers", "import", path, "--digest", "weekly")
    assert (again["added"], again["changed"], again["suppressed"]) == (0, 0, 0)

    made = program.json("segments", "add", "water", "--digest", "weekly", "--topic", "water", "--not-language", "fa")
    assert made == {"segment": "water", "readers": 2}
    program.json("segments", "add", "old", "--joined-before", "2020-01-01", "--in", "water")
    assert program.json("segments", "count", "old")["readers"] == 1
    assert program.json("segments", "list")[0] == {
        "key": "old",
        "conditions": [{"in": "water"}, {"joined": {"before": "2020-01-01"}}],
    }
    (tmp_path / "mail.md").write_text("# What we did\n\nThank you.\n")
    program.json("mailings", "draft", tmp_path / "mail.md", "--to", "weekly", "--segment", "old")
    assert program.json("segments", "remove", "water", code=1)["error"] == "segment.named"
    assert program.json("segments", "remove", "old") == {"segment": "old", "removed": True}
    assert program.json("mailings", "send", 1, "--dry-run")["would_send"] == 1, "it keeps the conditions"

    number = done["import"]
    assert program.json("subscribers", "ask", number, "--dry-run")["asked"] == 1
    assert again["also"] == 2
    assert program.json("subscribers", "undo", number, "--dry-run")["handed"] == 2, "the second shows them as well"
    assert program.json("subscribers", "undo", again["import"], "--yes")["ended"] == 0
    _, said = program.run("subscribers", "undo", number, stdin="n\n", code=1)
    assert "2 subscriptions and 2 topics end, 3 people are forgotten, 0 subscriptions go on" in said
    counted = program.json("subscribers", "undo", number, "--dry-run")
    assert program.json("subscribers", "undo", number, "--yes") == counted | {"dry_run": False}
    assert program.json("subscribers", "list") == []
    assert len(program.json("suppressions", "list")) == 2
    assert program.json("subscribers", "undo", number, "--yes", code=1)["error"] == "import.undone"


def test_a_slip_is_answered_before_anything_is_read(program, tmp_path):
    """Whoever moves a list does so once, and knows none of our words."""
    path = Path(tmp_path / "list.csv")
    path.write_text("email,name\nann@example.org,Ann\n")
    for words, error in (
        (("--map", "Mail"), "mapping.form"),
        (("--map", "Mail=telephone"), "mapping.column"),
        (("--map", "Mail=email"), "mapping.heading"),
        (("--encoding", "ebcdic"), "table.bad-encoding"),
        ((), "import.no-evidence"),
    ):
        said = program.json("subscribers", "import", path, "--digest", "weekly", *words, code=1)
        assert said["error"] == error, words
    assert program.json("subscribers", "list") == []


def test_what_a_list_says_otherwise_of_who_is_known_is_said_and_taken_where_asked(program, tmp_path):
    """The dry run must show that readers' own words stay, and how to take the list's instead."""
    path = tmp_path / "people.csv"
    brings = ("subscribers", "import", path, "--digest", "weekly", "--evidence", "paper forms")
    path.write_text("email,name\nann@example.org,Ann\n")
    program.json(*brings)
    path.write_text("email,name\nann@example.org,Annette\n")
    _, said = program.run(*brings, "--dry-run")
    assert "Of 1 person known before the list says another name" in said
    assert "--overwrite takes the list's word" in said
    done = program.json(*brings)
    assert (done["changed"], done["altered"], done["kept"]) == (0, 0, 1)
    _, said = program.run(*brings, "--overwrite", "--dry-run")
    assert "1 person known before is written over by the list" in said
    done = program.json(*brings, "--overwrite")
    assert (done["changed"], done["altered"], done["kept"]) == (1, 1, 0)
    assert program.json("subscribers", "list")[0]["name"] == "Annette"


def test_what_is_left_out_of_a_zip_is_said_each_time(program, tmp_path):
    """A dry run is not always made, and nobody misses a table that was never named."""
    path = exports.mailchimp(tmp_path / "export.zip")
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("complaints/1_spring.csv", "Email Address,Date\nangry@example.org,2024-01-01\n")
    brings = ("subscribers", "import", path, "--digest", "weekly", "--evidence", "paper")
    for words in (("--dry-run",), ()):
        _, said = program.run(*brings, *words)
        assert "Left out: complaints/1_spring.csv. Of a zip only lists are read" in said
    assert program.json(*brings)["left_out"] == ["complaints/1_spring.csv"]


HINTS = ("mailman members --nomail enabled LIST", "/api/subscribers?per_page=all")


EXPORTS = [
    ("members.txt", exports.MAILMAN, "mailman members --nomail enabled LIST"),
    ("old.json", exports.MAILMAN_JSON.replace("delivery_status", "x"), "mailman members --nomail enabled LIST"),
    ("old.json", exports.LISTMONK_JSON.replace('"lists"', '"x"'), "/api/subscribers?per_page=all"),
    ("members.json", exports.MAILMAN_JSON, None),
    ("subscribers.csv", exports.LISTMONK, "/api/subscribers?per_page=all"),
    ("subscribers.json", exports.LISTMONK_JSON, None),
    ("people.csv", exports.MAILPOET, None),
]


def test_what_an_export_cannot_say_of_its_people_is_said(program, tmp_path):
    """Some exports print who left like everyone else: whoever brings one must hear of it, and of the one that tells."""
    for number, (name, text, hint) in enumerate(EXPORTS):
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        path.write_text(text)
        brings = ("subscribers", "import", path, "--digest", "weekly", "--evidence", "paper")
        for words in (("--dry-run",), ()):
            _, said = program.run(*brings, *words)
            assert [one for one in HINTS if one in said] == ([hint] if hint else []), (number, name, words)


def test_a_topic_is_taken_away_again(program, tmp_path):
    """Whoever gave --tags all sees another system's tags on every reader's page; how many would miss one is said first."""
    path = exports.mailchimp(tmp_path / "export.zip")
    program.json("subscribers", "import", path, "--digest", "weekly", "--tags", "all")
    refused = program.json("topics", "remove", "water", code=1)
    assert refused["error"] == "topic.chosen"
    _, said = program.run("topics", "remove", "water", code=1)
    assert "2 readers chose it, and 0 segments name it" in said
    assert program.json("topics", "remove", "water", "--yes") == {"topic": "water", "readers": 2, "segments": 0}
    assert [one["key"] for one in program.json("topics", "list")] == ["press-freedom"]
    assert program.json("topics", "remove", "water", "--yes", code=1)["error"] == "topic.unknown"


def test_every_condition_can_be_written_on_the_command_line(program, tmp_path):
    """A condition that only data can say is none for whoever sits at the keyboard."""
    path = tmp_path / "people.csv"
    path.write_text("email,language\nann@example.org,fa\nbob@example.org,en\n")
    program.json("subscribers", "import", path, "--digest", "weekly", "--evidence", "paper")
    program.json("digests", "add", "daily", "--name", "The Daily")
    for key in ("water", "press"):
        program.json("topics", "add", key, "--name", key)
    (tmp_path / "mail.md").write_text("# What we did\n\nThank you.\n")
    (tmp_path / "feed.json").write_text(json.dumps(FEED))
    program.json("mailings", "draft", tmp_path / "mail.md", "--to", "weekly")
    program.json("articles", "import", tmp_path / "feed.json", "--as-news")
    issue = program.json("issues", "compose", "weekly")
    program.json("segments", "add", "persian", "--language", "fa")
    program.json("segments", "add", "english", "--language", "en")
    words = (
        "--digest weekly --not-digest daily --topic water --not-topic press --language fa --not-language ar --had 1 --not-had 1"
        " --had-issue 1 --not-had-issue 1 --in persian --not-in english --joined-from 2020-01-01 --joined-before 2030-01-01"
    )
    assert program.json("segments", "add", "all", *words.split())["readers"] == 0
    number = issue["mailing"]
    assert number != issue["issue"]
    assert program.json("segments", "list")[0]["conditions"] == [
        {"digest": "weekly"}, {"not": {"digest": "daily"}}, {"topic": "water"}, {"not": {"topic": "press"}},
        {"language": "fa"}, {"not": {"language": "ar"}}, {"had": 1}, {"had": number}, {"not": {"had": 1}}, {"not": {"had": number}},
        {"in": "persian"}, {"not": {"in": "english"}}, {"joined": {"from": "2020-01-01", "before": "2030-01-01"}},
    ]  # fmt: skip
    assert program.json("segments", "add", "unread", "--not-had-issue", "1", "--in", "persian")["readers"] == 1


def test_a_list_that_comes_again_names_the_import_by_which_its_people_are_asked(program, tmp_path):
    """Whoever came without evidence stays with the list that brought them: a command that asks nobody was printed here."""
    path = tmp_path / "people.csv"
    path.write_text("email,optin_time\nann@example.org,\nbob@example.org,2024-01-02\n")
    brings = ("subscribers", "import", path, "--digest", "weekly")
    first = program.json(*brings)["import"]
    out, said = program.run(*brings)
    assert f"1 person without evidence: re-permission prepared (“newsletter subscribers ask {first}” asks 1)." in said
    assert "weekly 1 · alerts 1 · without evidence 1" in out, "the reach stands there in words"
    assert program.json("subscribers", "ask", first)["asked"] == 1
    _, said = program.run(*brings)
    assert "1 person without evidence, asked already and not answered yet." in said
    program.json("subscribers", "undo", first, "--yes")
    out, _ = program.run("subscribers", "imports")
    lines = out.splitlines()
    assert lines[-3].startswith(f"{first} · ")
    assert lines[-3].endswith(" UTC · csv → weekly"), "a column that is ours is not Mailchimp's"
    assert lines[-2] == "   added 2, unproven 1"
    assert lines[-1].startswith("   undone 20")
    program.json("segments", "add", "some", "--digest", "weekly", "--not-language", "fa")
    assert "digest: weekly; not language: fa" in program.run("segments", "list")[0]


def test_the_list_that_moves_is_named_and_its_columns_are_shown(program, tmp_path):
    """Who moves one of listmonk's lists sees in the dry run that others are left behind, and why."""
    people = [
        {"email": f"{who}@example.org", "status": "enabled", "lists": [
            {"name": "Weekly", "subscription_status": said}, {"name": "Events", "subscription_status": "confirmed"}
        ]}
        for who, said in (("ann", "confirmed"), ("bob", "unsubscribed"))
    ]  # fmt: skip
    path = tmp_path / "people.json"
    path.write_text(json.dumps(people))
    brings = ("subscribers", "import", path, "--digest", "weekly", "--evidence", "paper", "--dry-run")
    _, said = program.run(*brings)
    assert 'name it, for example --list "Weekly"' in said
    out, said = program.run(*brings, "--list", "Events", "--json")
    assert "“list_status” → list_status" in said
    assert 'for example --list "Weekly"' not in said
    assert json.loads(out)["added"] == 2
    assert json.loads(program.run(*brings, "--list", "Weekly", "--json")[0])["added"] == 1
