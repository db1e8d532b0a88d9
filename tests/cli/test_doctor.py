"""What is wrong with a machine: named by the command that meets it, and by `newsletter doctor` before anybody meets it."""

import pytest
from sqlalchemy import text

from newsletter import database
from newsletter.cli import checking
from newsletter.ledger.mailings import Lane
from newsletter.vault import Keyring
from tests.cli.test_commands import program
from tests.fakes import smtp
from tests.fakes.program import Program

__all__ = ["program"]


def test_doctor_sees_keys_of_another_installation(program, tmp_path):
    """A restored backup with the wrong key file looks well until the first mail."""
    program.json("digests", "add", "weekly", "--name", "The Weekly")
    other = tmp_path / "other" / "keys.json"
    Keyring.create(other)
    wrong = Program(program.environment | {"NEWSLETTER_KEYS": str(other)})
    [found] = [c for c in wrong.json("doctor", code=1)["checks"] if c["check"] == "keys and data"]
    assert found["ok"] is False
    lost = Program(program.environment | {"NEWSLETTER_KEYS": str(tmp_path / "nowhere.json")})
    checks = {c["check"]: c["ok"] for c in lost.json("doctor", code=1)["checks"]}
    assert (checks["keys"], checks["database"], checks["roles"]) == (False, True, True), (
        "the rest is looked at all the same"
    )


def test_missing_servers_and_wrong_keys_are_named(program, tmp_path):
    """The three things that go wrong on a new machine."""
    away = Program(program.environment | {"NEWSLETTER_DATABASE_URL": "postgresql+psycopg://x:y@127.0.0.1:9/none"})
    assert "No PostgreSQL answers" in away.run("digests", "list", code=1)[1]
    program.json("digests", "list")
    other = tmp_path / "other" / "keys.json"
    Keyring.create(other)
    wrong = Program(program.environment | {"NEWSLETTER_KEYS": str(other)})
    assert "key" in wrong.run("digests", "list", code=1)[1]
    none = Program(program.environment | {"NEWSLETTER_KEYS": str(tmp_path / "nowhere" / "keys.json")})
    assert "no key file" in none.run("digests", "list", code=1)[1]


def test_doctor_looks_at_everything(program):
    """Before the first real mail, and whenever something is odd."""
    found = program.json("doctor", code=1)  # no broker is set in this environment
    checks = {check["check"]: check["ok"] for check in found["checks"]}
    assert checks["database"] is True
    assert checks["migrations"] is True
    assert checks["roles"] is True
    assert checks["keys"] is True
    assert checks["broker"] is False
    assert checks["pages' keys"] is None, "no pages are connected"
    assert {f"relay ({lane})" for lane in ("urgent", "transactional", "bulk")} <= set(checks)
    assert "DNS" in checks, "nobody is asked about names for examples"


def test_doctor_says_what_to_do_where_no_addresses_of_our_own_live_in_the_list(program):
    """Without them nobody hears of a stolen list, and no leaked file names its export: silence would say that all is well."""
    for canaries, said in (
        ("", "is not set: set it to two addresses of your own"),
        ("lamp@sarand.example", "name a second one"),
        ("lamp@sarand.example wells@sarand.example", "2 are not in the list yet"),
    ):
        asked = Program(program.environment | ({"NEWSLETTER_CANARIES": canaries} if canaries else {}))
        [found] = [one for one in asked.json("doctor", code=1)["checks"] if one["check"] == "canaries"]
        assert found["ok"] is None, canaries
        assert said in found["found"], canaries


def test_doctor_says_what_a_relay_says_that_answers_and_does_not_greet(program):
    """It was called silent while all of its sessions were in use, and whoever read that looked for a broken wire."""
    for greeting, said in (
        (b"421 4.7.0 too many connections\r\n", "takes nothing from us now: 421 4.7.0 too many connections"),
        (b"554 5.7.1 not you\r\n", "refuses us: 554 5.7.1 not you"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not greet as a mail server"),
    ):
        server = smtp.Scripted(script={"BANNER": greeting})
        with smtp.running(server):
            asked = Program(program.environment | {"NEWSLETTER_RELAY_URL": server.url})
            [found] = [one for one in asked.json("doctor", code=1)["checks"] if one["check"] == "relay (urgent)"]
        assert (found["ok"], found["found"].partition(" answers, and ")[2]) == (False, said)


@pytest.mark.parametrize("whose", ["host", "name", "key"])
def test_doctor_says_which_relay_bears_fewer_sessions_than_we_open(newsletter, whose):
    """An alert waits until others have given one up, which costs a second each time and is nobody's fault but the settings'."""
    relays = newsletter.parts.relays[Lane.URGENT]

    def found():
        return checking.of_sessions(database.ask(newsletter.parts.database, checking.CROWDED), relays)

    assert found().ok is True
    name = getattr(relays[0], whose)
    with newsletter.parts.database.transaction() as session:
        add = text("INSERT INTO relay_state (name, crowded_at) VALUES (:name, now() - make_interval(days => :days))")
        session.execute(add, [{"name": name, "days": 2}, {"name": "long.ago", "days": 9}, {"name": "gone", "days": 0}])
    assert found().ok is None
    assert found().found.startswith(f"{name} last had no session left for an alert or a service mail on 20")
    assert "fewer connections=" in found().found
    assert "gone" not in found().found, "it is in no setting any more"
