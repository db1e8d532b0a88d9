"""What is wrong with a machine: named by the command that meets it, and by `newsletter doctor` before anybody meets it."""

import pytest

from newsletter.vault import Keyring
from tests.cli.test_commands import program
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


@pytest.mark.parametrize(
    ("canaries", "said"),
    [
        ("", "is not set: set it to two addresses of your own"),
        ("lamp@sarand.example", "name a second one"),
        ("lamp@sarand.example wells@sarand.example", "2 are not in the list yet"),
    ],
)
def test_doctor_says_what_to_do_where_no_addresses_of_our_own_live_in_the_list(program, canaries, said):
    """Without them nobody hears of a stolen list, and no leaked file names its export: silence would say that all is well."""
    asked = Program(program.environment | ({"NEWSLETTER_CANARIES": canaries} if canaries else {}))
    [found] = [one for one in asked.json("doctor", code=1)["checks"] if one["check"] == "canaries"]
    assert found["ok"] is None
    assert said in found["found"]
