"""newsletter privacy, subscribers find and subscribers export, as a data officer types them."""

import csv
import json
import os
import re

import pytest

from newsletter import database
from newsletter.database import Database
from newsletter.operators.roles import Role
from newsletter.vault import Keyring, Vault
from tests.fakes.program import Program
from tests.operators.crew import Crew

ANN = "ann@example.org"


@pytest.fixture
def environment(tmp_path, database_urls):
    Keyring.create(tmp_path / "keys" / "keys.json")
    return {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")} | {
        "NEWSLETTER_DATABASE_URL": database_urls.worker,
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
        "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        "NEWSLETTER_CANARIES": "lamp@sarand.example",
    }


@pytest.fixture
def run(environment, tmp_path):
    """Run a command; return its document, or what it printed for people."""
    program = Program(environment)

    def call(*words, stdin="", code=0, plain=False):
        out, err = program.run(*words, *([] if plain else ["--json"]), stdin=stdin, code=code)
        return out + err if plain else json.loads(out)

    call("digests", "add", "weekly", "--name", "The Weekly", "--language", "en", "--rhythm", "weekly")
    path = tmp_path / "people.csv"
    path.write_text(f"email,name\n{ANN},Ann Moradi\nben@example.org,Ben\n")
    call("subscribers", "import", path, "--digest", "weekly", "--basis", "imported", "--evidence", "paper forms")
    return call


def test_a_person_is_found_reported_exported_and_erased(run, tmp_path):
    """From a telephone call to the end, without an address in the list of processes or in the shell's history."""
    found = run("subscribers", "find", "--address", stdin=f"{ANN}\n")
    assert (found["found"], found["people"][0]["address"]) == (1, "a…@e…")
    assert run("subscribers", "find", "--name", stdin="moradi\n")["people"] == found["people"]
    assert run("subscribers", "find", code=1)["error"] == "people.nothing-asked"
    assert run("subscribers", "find", "--digest", "weekly", "--until", "2020-01-01")["found"] == 0
    reference = found["people"][0]["reference"]

    report = run("privacy", "report", reference)
    assert report["entries"][0]["what"] == "permission given"
    said = run("privacy", "report", stdin=f"{ANN}\n", plain=True)
    assert re.search(
        r"permission given\n.*purpose: digest weekly\n.*basis: imported\n.*evidence: paper forms", said, re.DOTALL
    )
    assert json.loads(run("privacy", "export", reference, plain=True))["name"] == "Ann Moradi"

    assert run("privacy", "erase", reference, "--dry-run")["dry_run"]
    assert run("privacy", "erase", reference, "--may-come-back", "--dry-run")["may_come_back"]
    assert run("subscribers", "find", "--address", stdin=f"{ANN}\n")["found"] == 1
    assert run("privacy", "erase", stdin=f"{ANN}\n") == {
        "reference": reference,
        "may_come_back": False,
        "team": False,
        "dry_run": False,
    }
    assert run("subscribers", "find", "--name", stdin="moradi\n")["found"] == 0
    assert run("privacy", "erase", reference, code=1)["error"] == "person.unknown"
    again = ("privacy", "erase", "--may-come-back", "--dry-run")
    assert "a fingerprint stays" in run(*again, stdin=f"{ANN}\n", plain=True)
    assert not run(*again, stdin=f"{ANN}\n")["may_come_back"], "nobody but they may take it back"
    assert run("privacy", "reapply") == {"erased_again": 0, "journal": str(tmp_path / "home" / "erasures.jsonl")}
    kept = {row["category"]: row for row in run("privacy", "retention")}
    assert kept["sign-ups"]["days"] == 31
    assert all(row["ok"] for row in kept.values())
    acts = [entry["act"] for entry in run("audit", "list")]
    assert acts.count("people.searched") == 5
    assert {"person.erased", "person.reported", "person.exported"} <= set(acts)
    assert ANN not in json.dumps(run("audit", "list"))


def test_the_list_is_taken_by_a_data_officer_alone(run, environment, database_urls, tmp_path):
    """Once there are operators, nobody looks at people without saying who they are."""
    opened = Database(database_urls.worker, Vault(Keyring.load(tmp_path / "keys" / "keys.json")))
    crew = Crew(opened, opened)
    officer, sender = crew.member(Role.DATA_OFFICER), crew.member(Role.SENDER)
    assert run("subscribers", "find", "--language", "en", code=1)["error"] == "operator.nobody-named"
    assert run("privacy", "report", stdin=f"{ANN}\n", code=1)["error"] == "operator.nobody-named"
    for words in (("list",), ("show",)):
        looking = ("subscribers", *words)
        assert run(*looking, stdin=f"{ANN}\n", code=1)["error"] == "operator.nobody-named"
        assert run(*looking, "--operator", sender.id, stdin=f"{ANN}\n", code=1)["error"] == "operator.not-allowed"
    assert run("subscribers", "show", "--operator", officer.id, stdin=f"{ANN}\n")["name"] == "Ann Moradi"
    assert len(run("subscribers", "list", "--operator", officer.id)) == 2
    assert run("privacy", "erase", "--operator", sender.id, stdin=f"{ANN}\n", code=1)["error"] == "operator.not-allowed"
    reason = ("--reason", "a move")
    refused = run("subscribers", "export", "ask", "--operator", sender.id, *reason, code=1)
    assert refused["error"] == "operator.not-allowed"
    asked = run("subscribers", "export", "ask", "--operator", officer.id, *reason)
    assert asked == {"export": 1, "people": 2, "alone": True, "marked": True}
    path = tmp_path / "list.csv"
    words = ("subscribers", "export", "take", asked["export"], path, "--operator", officer.id)
    assert run(*words, stdin="000000\n", code=1)["error"] == "operator.wrong-factor"
    with opened.transaction() as session:
        shown = officer.code(database.now(session))
    assert run(*words, stdin=f"{shown}\n")["people"] == 2
    opened.close()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    [marked] = [row["email"] for row in rows if row["email"].startswith("lamp+")]
    found = run("privacy", "whose", "--operator", officer.id, stdin=f"{marked}\n")
    assert (found["export"], found["asked_by"], found["reason"]) == (1, officer.id, "a move")
    assert (
        run("subscribers", "export", "approve", 9, "--operator", officer.id, stdin="1\n", code=1)["error"]
        == "export.unknown"
    )


def test_an_unmarked_export_is_said_to_be_one(run, environment, database_urls, tmp_path):
    """Whoever takes the list reads it where they type, and may set the addresses first."""
    environment.pop("NEWSLETTER_CANARIES")
    opened = Database(database_urls.worker, Vault(Keyring.load(tmp_path / "keys" / "keys.json")))
    officer = Crew(opened, opened).member(Role.DATA_OFFICER)
    opened.close()
    said = run("subscribers", "export", "ask", "--operator", officer.id, "--reason", "a move", plain=True)
    assert "This export is unmarked: NEWSLETTER_CANARIES is not set" in " ".join(said.split())


def test_a_long_list_without_addresses_of_our_own_is_a_fault(run, environment):
    """A question on the first day, with the README's two readers; of a list that takes two people a copy must name its export."""
    environment.pop("NEWSLETTER_CANARIES")
    for alone, ok in ((2, None), (1, False)):
        environment["NEWSLETTER_EXPORT_ALONE_UP_TO"] = str(alone)
        [found] = [one for one in run("doctor", code=1)["checks"] if one["check"] == "canaries"]
        assert (found["ok"], "is not set" in found["found"]) == (ok, True), alone


def test_a_form_is_printed_with_the_version_of_its_words(run):
    """What programs give back, so that the proof says what people read on their page."""
    said = run("digests", "form", "weekly", plain=True)
    version = re.search(r'name="wording" value="([0-9a-f]{12})"', said)[1]
    assert f"version {version}" in " ".join(said.split())
    told = run("digests", "form", "weekly")
    assert told["wording_version"] == version
    assert version in told["form"]
    assert told["words"]
