"""The night by the command line: a mandate written, signed and used, and a doctor who says whether anybody would wake."""

import json
import os
from datetime import UTC, timedelta

import pytest

from newsletter.journeys import alert, drafting
from newsletter.operators.roles import Role
from tests import house
from tests.fakes.program import Program
from tests.issues.feeds.samples import SEED
from tests.journeys import nights
from tests.journeys.test_mandates import words
from tests.operators.crew import Crew


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, **nights.RULES)
    yield made
    made.close()


@pytest.fixture
def program(made, tmp_path, database_urls, sink):
    ours = {
        "NEWSLETTER_DATABASE_URL": database_urls.worker,
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
        "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        "NEWSLETTER_RELAY_URL": sink.url,
        "NEWSLETTER_HOOK": "/usr/bin/pager --key secret",
        "TZ": "UTC",
    } | {f"NEWSLETTER_{name.upper()}": str(value) for name, value in nights.RULES.items()}
    return Program({name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")} | ours)


@pytest.fixture
def crew(made, tmp_path, database_urls, sink):
    web = house.build(tmp_path, database_urls, sink.url, web=True, **nights.RULES)
    yield Crew(made.parts.database, web.parts.database)
    web.close()


def test_an_evening_and_a_night(program, made, crew, tmp_path, sink):
    """Four commands in the evening, three at night; codes come by stdin and stand in no list of processes."""
    holder = crew.member(Role.SENDER)
    signers = [crew.member(Role.APPROVER, name="Noor Holm"), crew.member(Role.APPROVER, name="Omid Keller")]
    terms = (
        "--until",
        f"{nights.now(made).astimezone(UTC) + timedelta(hours=6):%H:%M}",  # an hour of the day is over for a test that runs then
        "--digest",
        "weekly",
        "--cause",
        "Sarand camp",
        "--frame",
        "raid",
        "--frame",
        "transport",
    )
    add = ("alerts", "mandate", "add", "--operator", holder.id, *terms, "--most-readers", 5)
    mandate = program.json(*add)
    assert (mandate["most_alerts"], mandate["frames"], mandate["holds"]) == (3, ["raid", "transport"], False)
    number = mandate["mandate"]
    for one in signers:
        signed = program.json(
            "alerts", "mandate", "sign", number, "--operator", one.id, stdin=one.code(nights.now(made))
        )
    assert (signed["holds"], signed["code"]) == (True, mandate["code"])
    house.add_readers(made, tmp_path, house.addresses(4))
    [path] = nights.write(tmp_path, words(made))
    alert = program.json("alerts", "send", path, "--to", "weekly", "--operator", holder.id)
    assert alert["state"] == "locked"
    assert alert["plan"][-1] == "No digest is going out now."
    assert alert["plan"][-1] in program.run("alerts", "status", alert["mailing"])[0]
    release = ("alerts", "release", alert["mailing"], "--mandate", number)
    program.run(*release, code=2)
    program.run(*release, "--operator", holder.id, "--alone", code=2)
    assert program.json(*release, "--operator", holder.id, "--dry-run")["would_send"] == 4
    wrong = program.json(*release, "--operator", signers[0].id, stdin="000000", code=1)
    assert wrong["error"] == "operator.not-allowed"
    assert program.json(*release, "--operator", holder.id, stdin=holder.code(nights.now(made)))["state"] == "sending"
    assert program.json("alerts", "status", alert["mailing"])["plan"] == []
    [listed] = program.json("alerts", "mandate", "list")
    assert (listed["used"], listed["signed_by"]) == (1, [one.id for one in signers])
    assert program.json("alerts", "mandate", "end", number)["holds"] is False
    assert program.json("alerts", "mandate", "end", 4711, code=1)["error"] == "mandate.unknown"
    table, _ = program.run("alerts", "mandate", "list")
    assert "Sarand camp" in table


def test_what_is_no_frame_or_hour_is_a_sentence(program, made, crew):
    """In the evening, when there is time."""
    holder = crew.member(Role.SENDER)
    add = (
        "alerts",
        "mandate",
        "add",
        "--operator",
        holder.id,
        "--digest",
        "weekly",
        "--cause",
        "x",
        "--most-readers",
        5,
    )
    for until, frame, error in (
        ("08:00", "none", "template.missing"),
        ("08:00", "../raid", "frame.bad-name"),
        ("8 o'clock", "raid", "mandate.bad-time"),
        ("2020-01-01T08:00", "raid", "mandate.not-tonight"),
    ):
        assert program.json(*add, "--until", until, "--frame", frame, code=1)["error"] == error


def test_doctor_names_the_hook_and_not_what_it_holds(program):
    """Part of the evening's look: would anybody wake?"""
    out, err = Program.run(program, "doctor", "--json", code=1)
    [hook] = [one for one in json.loads(out)["checks"] if one["check"] == "hook"]
    assert hook["ok"] is True
    assert "a command is set" in hook["found"]
    assert "secret" not in out + err


def test_a_mandate_ends_by_a_clock_that_is_named(program, made, crew):
    """The command line reads its hour by the machine, the pages by UTC: whoever compares both must see it."""
    holder, abroad = crew.member(Role.SENDER), Program(program.environment | {"TZ": "Etc/GMT-3"})
    terms = ("--digest", "weekly", "--cause", "x", "--frame", "raid", "--most-readers", 5)
    said, _ = abroad.run("alerts", "mandate", "add", "--operator", holder.id, "--until", "08:00", *terms)
    assert "08:00 (UTC+0300), 05:00 UTC" in said


def test_no_mailing_s_cancel_gives_up_an_alert_or_what_takes_it_back(program, made, crew, tmp_path):
    """One number beside it lies its retraction, a draft like any: once that is lost, the wrong page stays for good."""
    author = crew.member(Role.SENDER)
    crew.member(Role.APPROVER, name="Noor Holm")
    house.add_readers(made, tmp_path, house.addresses(4))
    for stage in ("draft", "locked", "alone"):
        number = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=author.id)
        if stage != "draft":
            alert.lock(made.parts, number, by=author.id)
        if stage == "alone":
            nights.alone(made, number, author)
        for one, why in ((number, "alert.ended-by-stop"), (number + 1, "alert.retraction-stays")):
            for rehearsed in ((), ("--dry-run",)):
                refused = program.json("mailings", "cancel", one, *rehearsed, code=1)
                assert refused["error"] == why, stage
                assert f"newsletter alerts stop {number}" in refused["sentence"], stage
        before = len(nights.acts(made))
        program.json("alerts", "stop", number)
        assert len(nights.acts(made)) > before, stage
        assert '"act":"alert.stopped"' in nights.acts(made)[-1], stage


def test_a_paused_lane_is_said_by_whatever_is_asked_where_an_alert_is(program, made, crew, tmp_path):
    """ "sending, 4 due" all night: the one sentence that matters is that somebody paused the lane, and since when."""
    author = crew.member(Role.SENDER)
    house.add_readers(made, tmp_path, house.addresses(2))
    program.json("lanes", "pause", "urgent")
    number = drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    document = program.json("alerts", "release", number, "--operator", author.id)
    assert document["state"] == "sending"
    assert "The urgent lane has been paused since" in " ".join(program.json("alerts", "status", number)["promise"])
    found, said = program.run("mailings", "status", number)
    assert "newsletter lanes resume urgent" in said
    assert "lane paused since" in found
    status = program.json("mailings", "status", number)
    assert status["lane_paused_since"] is not None
    assert status["ends_at"] is None
    assert {one["lane"]: one["paused_since"] is not None for one in program.json("relays", "list")}["urgent"] is True
    [lanes] = [one for one in program.json("doctor", code=1)["checks"] if one["check"] == "lanes"]
    assert lanes["ok"] is False
    assert "newsletter lanes resume urgent" in lanes["found"]
    program.json("lanes", "resume", "urgent")
    assert program.json("mailings", "status", number)["lane_paused_since"] is None


def test_a_number_that_no_column_holds_is_a_slip_of_the_hand(program, tmp_path):
    """A digit held down too long ended in a traceback."""
    [path] = nights.write(tmp_path, nights.TEXT)
    big = 2**63
    for typed in (
        ("alerts", "send", path, "--to", "weekly", "--updates", big),
        ("alerts", "send", path, "--translates", big),
        ("alerts", "lock", 1, "--operator", big),
        ("alerts", "release", 1, "--operator", 1, "--mandate", big),
        ("mailings", "pause", 1, "--operator", big),
        ("lanes", "pause", "urgent", "--operator", big),
        ("alerts", "mandate", "sign", 1, "--operator", big),
    ):
        program.run(*typed, code=2)


def test_what_is_too_old_to_become_a_draft_is_said_where_it_is_taken_in(program, made):
    """An open letter of last month is taken in with "added 1", and whoever waits for its draft waits for good."""
    _, said = program.run("articles", "import", SEED, "--alerts-to", "weekly")
    assert "older than 14 days, and became no draft" in said
    assert "newsletter alerts article NUMBER --to DIGEST" in said
    assert "14 days" in program.run("articles", "import", "--help")[0]
