"""newsletter operators and audit, as whoever runs the machine types them."""

import json
import os
import re

import psycopg
import pytest
from sqlalchemy import make_url

from newsletter.vault import Keyring
from tests.fakes.program import Program


@pytest.fixture
def run(tmp_path, database_urls):
    """Run a command; return its one document (or what it said), after a check of its exit code."""
    Keyring.create(tmp_path / "keys" / "keys.json")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")} | {
        "NEWSLETTER_DATABASE_URL": database_urls.worker,
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_BASE_URL": "https://news.sarand.example",
    }

    program = Program(environment)

    def call(*words, stdin="", code=0, plain=False):
        out, err = program.run(*words, *([] if plain else ["--json"]), stdin=stdin, code=code)
        return out + err if plain else json.loads(out)

    return call


def test_an_operator_from_add_to_disable(run):
    """Address and name never stand in the list of processes or in the shell's history; the answer shows a link once."""
    made = run("operators", "add", "--role", "sender", "--role", "approver", stdin="mina@sarand.example\nMina Moradi\n")
    assert re.fullmatch(r"https://news\.sarand\.example/e/[\w-]{43}", made["url"])
    [listed] = run("operators", "list")
    assert listed == {
        "number": made["operator"],
        "name": "Mina Moradi",
        "address": "m…@s…",
        "roles": ["approver", "sender"],
        "state": "invited",
        "phone_lost_say": [],
    }
    refused = run("operators", "add", "--role", "sender", stdin="MINA@sarand.example\nMina\n", code=1)
    assert refused["error"] == "operator.known-already"
    assert "mina" not in refused["sentence"].lower()
    assert run("operators", "invite", made["operator"])["url"] != made["url"]
    assert run("operators", "roles", made["operator"], "--role", "writer")["roles"] == ["writer"]
    assert run("operators", "disable", made["operator"])["disabled"]
    assert run("operators", "list")[0]["state"] == "disabled"
    assert run("operators", "invite", made["operator"])["url"]
    assert run("operators", "list")[0]["state"] == "invited"
    assert run("operators", "disable", made["operator"])["disabled"]
    assert run("operators", "disable", 4711, code=1)["error"] == "operator.unknown"
    assert run("operators", "tokens", "list") == []
    words = ("operators", "tokens", "add", made["operator"], "--scope", "stop", "--label", "bot")
    assert run(*words, code=1)["error"] == "operator.disabled"
    run(*words, "--days", 10_000_000, code=2, plain=True)
    assert run("operators", "tokens", "revoke", 7, code=1)["error"] == "operator.unknown-token"
    run("operators", "add", "--role", "sender", "mina@sarand.example", code=2, plain=True)


def test_the_audit_is_checked_and_a_forged_row_is_named(run, database_urls):
    """With the line from a mail in hand, at a desk, years later."""
    assert run("audit", "verify")["sound"]
    for number in range(3):
        run("operators", "add", "--role", "sender", stdin=f"op{number}@sarand.example\nMina\n")
    verdict = run("audit", "verify")
    assert (verdict["sound"], verdict["rows"]) == (True, 6)
    assert run("audit", "verify", "--against", verdict["head"])["sound"]
    assert [entry["act"] for entry in run("audit", "list", "--limit", "2")] == ["operator.invited", "operator.added"]
    assert "6 rows, each fits the one before" in run("audit", "verify", plain=True)
    assert run("audit", "verify", "--against", "nonsense", code=1)["error"] == "audit.bad-head"
    later = run("audit", "verify", "--against", "9:" + "a" * 64, code=1)
    assert (later["fault"], later["row"]) == ("cut", 9)
    url = make_url(database_urls.owner).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("ALTER TABLE audit DISABLE TRIGGER ALL")
        owner.execute("UPDATE audit SET content = replace(content, 'shell', '1') WHERE number = 4")
    verdict = run("audit", "verify", code=1)
    assert (verdict["fault"], verdict["row"]) == ("changed", 4)
    assert "Row 4 is not what was written" in run("audit", "verify", code=1, plain=True)
