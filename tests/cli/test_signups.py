"""`newsletter signups` as an operator types it at night: how many first, then all at once, and nothing by a slip."""

import pytest

from newsletter.journeys import joining
from newsletter.subscribers.forms import Arrival
from newsletter.subscribers.signup import Wish
from tests import house
from tests.fakes.program import Program


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url)
    yield made
    made.close()


@pytest.fixture
def program(made, tmp_path, database_urls, sink):
    """The program, after 25 forms from two networks, of which 20 have been asked about."""
    for one in range(25):
        client = f"203.0.113.{one % 2}" if one < 13 else "198.51.100.9"
        wish = Wish(f"victim{one}@example.org", "en", {"weekly": "weekly"}, form="page")
        joining.ask(made.parts, wish, Arrival(client, f"{client.rpartition('.')[0]}.0/24"))
    joining.work(made.parts)
    return Program(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "NEWSLETTER_HOME": str(tmp_path / "home"),
            "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
            "NEWSLETTER_DATABASE_URL": database_urls.worker,
            "NEWSLETTER_RELAY_URL": sink.url,
            "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
            "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        }
    )


def test_a_wave_is_looked_at_counted_and_dealt_with(program, made):
    """The whole evening of an operator, by conditions, with the count before anything is done."""
    assert program.json("signups", "list") == {"asked": 23, "held (client)": 2}
    seen = program.json("signups", "held")
    assert (seen["held"], seen["wave_since"], len(seen["groups"])) == (2, None, 1)
    code = seen["groups"][0]["net"]
    assert "victim" not in program.run("signups", "held")[0]

    undo = ("signups", "undo", "--net", "198.51.100.0/24", "--since", "10", "--all")
    assert program.json(*undo, "--dry-run") == {"undone": 12, "dry_run": True}
    _, said = program.run(*undo, stdin="n\n", code=1)
    assert "12 sign-ups (10 asked, 2 held)" in said
    assert program.json("signups", "list")["asked"] == 23

    assert program.json("signups", "release", "--net", code, "--yes") == {"released": 2, "dry_run": False}
    joining.work(made.parts)
    assert program.json("signups", "list") == {"asked": 25}
    assert program.json(*undo, "--yes") == {"undone": 12, "dry_run": False}
    assert program.json("signups", "list") == {"asked": 13, "undone": 12}


def test_what_cannot_be_meant_is_refused_in_a_sentence(program):
    """A slip at night would take back everybody who joined within a month."""
    for words, sentence in (
        (("undo", "--all", "--yes"), "Say which"),
        (("held", "--net", "somewhere"), "neither an address"),
        (("release", "--digest", "daily", "--yes"), "daily"),
    ):
        assert sentence in program.run("signups", *words, code=1)[1], words
        assert program.json("signups", "list") == {"asked": 23, "held (client)": 2}, words
