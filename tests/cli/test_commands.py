"""The program as people and scripts use it: one document, exit codes, sentences, and nothing done under --dry-run."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from newsletter import assembly, settings
from newsletter.issues import digests
from newsletter.journeys import moving_in, publish
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring
from tests.campaigns.samples import real
from tests.fakes.program import Program

FEED = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "Sarand",
    "items": [
        {
            "id": "well",
            "url": "https://sarand.example/well",
            "title": "The well runs dry",
            "content_text": "No water.",
            "date_published": "2026-06-01T08:00:00Z",
        }
    ],
}


@pytest.fixture
def program(tmp_path, database_urls, sink):
    keys = tmp_path / "keys" / "keys.json"
    Keyring.create(keys)
    return Program(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "NEWSLETTER_HOME": str(tmp_path / "home"),
            "NEWSLETTER_KEYS": str(keys),
            "NEWSLETTER_DATABASE_URL": database_urls.worker,
            "NEWSLETTER_MIGRATE_URL": database_urls.owner,
            "NEWSLETTER_RELAY_URL": sink.url,
            "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
            "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        }
    )


@pytest.fixture
def files(tmp_path):
    """A list of people, a feed, a mailing and an alert."""
    (tmp_path / "people.csv").write_text("email,name\nann@example.org,Ann\nben@example.org,Ben\nnot an address,Eve\n")
    (tmp_path / "feed.json").write_text(json.dumps(FEED))
    (tmp_path / "mailing.md").write_text("# What we did\n\nDear {{ name }}, thank you.\n")
    (tmp_path / "alert.md").write_text("# Soldiers at the gate\n\nPlease call.\n")
    return tmp_path


def rows(database_urls):
    """Return how many rows each table has."""
    engine = create_engine(database_urls.owner)
    with engine.connect() as connection:
        names = connection.execute(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        )
        found = {
            name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for (name,) in names.all()
        }
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("digests", "list", "--json"), 0),
        (("digests", "add", "Not A Key", "--name", "Weekly"), 1),
        (("nonsense",), 2),
        (("--help",), 0),
    ],
)
def test_the_program_itself_says_what_it_says_here(program, words, code):
    """The other tests run commands in forks of a loaded program: that must be the program."""
    command = [Path(sys.executable).with_name("newsletter"), *words]
    ran = subprocess.run(command, env=program.environment, capture_output=True, text=True, timeout=90)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, *program.run(*words, code=code))
    assert words != ("--help",) or "alerts" in ran.stdout, "the README's first command: what everybody tries first"


IMPORT = ("--digest", "weekly", "--basis", "imported", "--evidence", "forms in box 3")
COUNTS = {"read", "added", "changed", "unchanged", "rejected"}


def prepare(program, files):
    """Make a digest with two readers and an article: what the commands of the first evening make, by the same stories."""
    facts = {name: program.environment[f"NEWSLETTER_{name.upper()}"] for name in ("home", "keys", "database_url")}
    with closing(assembly.assemble(settings.read(**facts))) as made:
        with made.parts.database.transaction() as session:
            digests.add(session, "weekly", name="The Weekly", languages=("en",), rhythm=Rhythm.WEEKLY)
        permission = moving_in.Permission(Basis.IMPORTED, "forms in box 3")
        moving_in.import_subscribers(made.parts, str(files / "people.csv"), digest_key="weekly", permission=permission)
        publish.import_articles(made.parts, str(files / "feed.json"), as_news=True)


def deliver(program):
    return program.json("deliver", "--lane", "urgent", "--lane", "transactional", "--lane", "bulk", "--once")


@pytest.mark.timeout(240)
def test_a_campaign_s_first_evening(program, files, sink, tmp_path):
    """The commands of the README in their order, as a script reads them."""
    assert program.json("db", "upgrade")["ran"] == []
    assert program.json("digests", "add", "weekly", "--name", "The Weekly", "--rhythm", "weekly")["digest"] == "weekly"
    assert [d["key"] for d in program.json("digests", "list")] == ["weekly"]

    done = program.json("subscribers", "import", files / "people.csv", *IMPORT)
    assert {name: done[name] for name in COUNTS} == {"read": 3, "added": 2, "changed": 0, "unchanged": 0, "rejected": 1}
    again = program.json("subscribers", "import", files / "people.csv", *IMPORT)
    assert (again["added"], again["unchanged"]) == (0, 2)
    person = program.json("subscribers", "show", stdin="ann@example.org\n")
    assert (person["name"], person["subscriptions"]) == ("Ann", ["weekly weekly"])
    assert "ann@" not in json.dumps(person)
    assert program.json("subscribers", "show", person["reference"])["name"] == "Ann"
    assert len(program.json("subscribers", "list")) == 2

    assert program.json("articles", "import", files / "feed.json", "--as-news")["added"] == 1
    assert program.json("articles", "import", files / "feed.json", "--as-news")["unchanged"] == 1
    assert program.json("articles", "list")[0]["title"] == "The well runs dry"

    composed = program.json("issues", "compose", "weekly", "--now", "2026-06-18T07:00:00")
    assert {"issue", "digest", "articles", "variants", "mailing"} <= set(composed)
    program.json("issues", "preview", composed["issue"], "-o", tmp_path / "out", "--as", person["reference"])
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".eml", ".html", ".txt"}

    assert program.json("issues", "send", composed["issue"])["mailing"] == composed["mailing"]
    assert deliver(program)["begun"] == 2
    status = program.json("mailings", "status", composed["mailing"])
    expected = {
        "state",
        "audience",
        "planned",
        "accepted",
        "deferred",
        "rejected",
        "cancelled",
        "expired",
        "uncertain",
        "due",
    }
    assert expected | {"excluded", "started_at", "finished_at", "messages_per_second"} <= set(status)
    assert (status["state"], status["accepted"]) == ("done", 2)
    assert sorted(message.recipient for message in sink.messages) == ["ann@example.org", "ben@example.org"]
    _, sentence = program.run("issues", "compose", "weekly", code=1)
    assert "Nothing has come in" in sentence


@pytest.mark.timeout(240)
def test_mailings_and_alerts_from_draft_to_end(program, files, sink):
    """Draft, try, schedule, cancel, send, stop: the four verbs and what they leave behind."""
    prepare(program, files)
    first = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    tested = program.json("mailings", "test", first, stdin="me@example.org\n")["mailing"]
    deliver(program)
    assert program.json("mailings", "status", tested)["accepted"] == 1
    assert [message.recipient for message in sink.messages] == ["me@example.org"]

    program.json("mailings", "schedule", first, "--at", "2036-01-01T07:00:00")
    assert program.json("mailings", "status", first)["state"] == "approved"
    assert program.json("mailings", "cancel", first)["state"] == "cancelled"
    _, sentence = program.run("mailings", "send", first, code=1)
    assert "cancelled" in sentence

    second = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    program.json("mailings", "send", second)
    assert program.json("mailings", "pause", second)["state"] == "paused"
    assert program.json("mailings", "resume", second)["state"] == "sending"
    stopped = program.json("mailings", "stop", second)
    assert (stopped["state"], stopped["cancelled"]) == ("stopped", 2)

    alert = program.json("alerts", "send", files / "alert.md", "--to", "weekly")["mailing"]
    deliver(program)
    assert program.json("mailings", "status", alert)["accepted"] == 2
    assert {m["state"] for m in program.json("mailings", "list")} == {"done", "cancelled", "stopped"}


@pytest.mark.timeout(240)
def test_an_alert_is_updated_given_longer_and_taken_back(program, files, sink):
    """The commands of a night on which the first word was wrong."""
    prepare(program, files)
    (files / "update.md").write_text("# The soldiers have left\n\nPlease rest.\n")
    first = program.json("alerts", "send", files / "alert.md", "--to", "weekly")["mailing"]
    given = program.json("alerts", "extend", first, "--hours", 5)
    assert (given["mailing"], given["shortened"]) == (first, False)
    _, sentence = program.run("alerts", "extend", first, "--hours", 900)
    assert "no longer than its lock allows" in sentence
    assert "may be sent until" in program.run("alerts", "extend", first, "--hours", 1, code=1)[1]
    second = program.json("alerts", "send", files / "update.md", "--to", "weekly", "--updates", first)["mailing"]
    shown = program.json("alerts", "status", first)
    assert (shown["state"], shown["updated_by"], shown["cancelled"]) == ("stopped", second, 2)
    assert program.json("alerts", "status", second)["updates"] == first
    deliver(program)
    assert program.json("alerts", "retract", second, "--dry-run") == {
        "mailing": second,
        "dry_run": True,
        "would_send": 2,
    }
    assert program.json("alerts", "status", second)["state"] == "done"
    back = program.json("alerts", "retract", second)
    assert (back["kind"], back["state"], back["planned"]) == ("retraction", "sending", 2)
    deliver(program)
    shown = program.json("alerts", "status", second)
    assert (shown["state"], shown["retraction"]) == ("retracted", back["mailing"])
    assert len(sink.messages) == 4
    again = program.run("alerts", "send", files / "alert.md", "--to", "weekly", "--updates", second, code=1)
    assert "was taken back" in again[1]
    assert "cannot be retracted" in program.run("alerts", "retract", second, "--dry-run", code=1)[1]


def test_whoever_composes_hears_who_waits_for_an_issue_in_their_own_rhythm(program, files):
    """A reader who chose “weekly instead” of a daily digest has nothing until somebody knows that, and by what it is mended."""
    program.json("digests", "add", "news", "--name", "The News", "--rhythm", "daily")
    evidence = ("--digest", "news", "--basis", "imported", "--evidence", "forms in box 3")
    _, said = program.run("subscribers", "import", files / "people.csv", *evidence, "--rhythm", "weekly")
    cuts = "“newsletter issues compose news --rhythm weekly” cuts one for 2"
    waits = f"2 readers want “news” more seldom than it is cut, and no issue was cut for them lately: {cuts}."
    assert "May be mailed: news 2 · alerts 2." in said
    assert waits in said
    program.json("articles", "import", files / "feed.json", "--as-news")
    out, said = program.run("issues", "compose", "news", "--json")
    assert json.loads(out)["waiting"] == {"weekly": 2}
    assert waits in said
    out, said = program.run("issues", "compose", "news", "--rhythm", "weekly", "--json")
    assert (json.loads(out)["waiting"], "more seldom" in said) == ({}, False)


def test_dry_runs_change_nothing(program, files, database_urls):
    """Whoever asks first may ask on the night itself."""
    prepare(program, files)
    composed = program.json("issues", "compose", "weekly")
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    before = rows(database_urls)
    assert program.json("issues", "send", composed["issue"], "--dry-run")["would_send"] == 2
    assert program.json("mailings", "send", mailing, "--dry-run")["would_send"] == 2
    assert program.json("alerts", "send", files / "alert.md", "--to", "weekly", "--dry-run")["would_send"] == 2
    (files / "broken.md").write_text("# Gate\n\nDear {{ nobody }}.\n")
    program.run("alerts", "send", files / "broken.md", "--to", "weekly", "--dry-run", code=1)
    program.json("mailings", "test", mailing, "--to", "me@example.org", "--dry-run")
    program.json("mailings", "cancel", mailing, "--dry-run")
    assert program.json("deliver", "--lane", "bulk", "--dry-run")["would_send"] == 0
    program.json("suppressions", "import", files / "people.csv", "--dry-run")
    program.json("subscribers", "import", files / "people.csv", *IMPORT, "--dry-run")
    assert rows(database_urls) == before


def test_lanes_are_paused_resumed_and_stopped(program, files, sink):
    """On the night itself nobody looks up SQL: one command for everything, and one to go on."""
    prepare(program, files)
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    program.json("lanes", "pause", "bulk")
    program.json("mailings", "send", mailing)
    deliver(program)
    assert sink.messages == []
    assert [one["paused_since"] is not None for one in program.json("lanes", "list")] == [False, False, True]
    program.run("lanes", "stop", code=1)
    rehearsed = program.json("lanes", "stop", "--all", "--dry-run")
    assert rehearsed == {"stopped": [mailing], "cancelled": 2, "dry_run": True}
    assert program.json("lanes", "stop", "--all") == {"stopped": [mailing], "cancelled": 2, "dry_run": False}
    program.json("lanes", "resume", "--all")
    assert program.json("mailings", "uncertain", mailing) == []
    assert "in doubt" in program.run("mailings", "uncertain", mailing)[0]


def test_what_a_dry_run_allows_the_real_one_allows(program, files):
    """A rehearsal that says yes to what will be refused is worse than none."""
    prepare(program, files)
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    for verb in ("resume", "stop"):
        program.run("mailings", verb, mailing, "--dry-run", code=1)
    assert program.json("mailings", "cancel", mailing, "--dry-run")["dry_run"] is True
    program.json("mailings", "send", mailing)
    deliver(program)
    for verb in ("send", "cancel", "resume", "stop"):
        program.run("mailings", verb, mailing, "--dry-run", code=1)


def test_a_rehearsal_counts_those_who_would_get_it(program, files, sink):
    """Whoever had the alert has read all there is: an issue of that alone goes to nobody, and --dry-run must say so."""
    prepare(program, files)
    first = program.json("issues", "compose", "weekly")
    program.json("issues", "send", first["issue"])
    assert program.json("deliver", "--lane", "bulk", "--dry-run")["would_send"] == 2
    deliver(program)
    program.json("alerts", "send", files / "alert.md", "--to", "weekly")
    deliver(program)
    second = program.json("issues", "compose", "weekly")["issue"]
    assert program.json("issues", "send", second, "--dry-run")["would_send"] == 0
    assert program.json("issues", "send", second)["planned"] == 0


def test_a_rehearsal_refuses_what_will_be_refused(program, files):
    """A mailing that is not there, a year that has passed, a sender that is not set."""
    prepare(program, files)
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    program.run("mailings", "test", 4711, "--to", "me@example.org", "--dry-run", code=1)
    program.run("mailings", "test", mailing, "--to", "nobody", "--dry-run", code=1)
    program.run("mailings", "schedule", mailing, "--at", "2020-01-01T10:00", "--dry-run", code=1)
    nobody = Program(program.environment | {"NEWSLETTER_SENDER": ""})
    for more in ((), ("--dry-run",)):
        assert "NEWSLETTER_SENDER" in nobody.run("mailings", "send", mailing, *more, code=1)[1]
    assert program.json("mailings", "status", mailing)["state"] == "draft"


def test_a_mistyped_year_sends_nothing(program, files, sink):
    """Whoever schedules for 2020 means 2030."""
    prepare(program, files)
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    _, sentence = program.run("mailings", "schedule", mailing, "--at", "2020-01-01T10:00", code=1)
    assert "has passed" in sentence
    assert program.json("mailings", "status", mailing)["state"] == "draft"


def test_a_relay_that_is_away_is_named_to_whoever_waits(program, files):
    """Silence at night is the worst answer: which relay, and what happens next."""
    prepare(program, files)
    away = Program(program.environment | {"NEWSLETTER_RELAY_URL": "smtp://127.0.0.1:9"})
    mailing = away.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    away.json("mailings", "send", mailing)
    away.run("deliver", "--lane", "bulk", "--once", code=1)
    found = away.json("mailings", "status", mailing)
    assert found["relays_away"] == ["127.0.0.1:9"]
    assert found["started_at"] is None, "nothing was on the wire"
    assert "127.0.0.1:9" in away.run("mailings", "status", mailing)[1]


def test_odd_settings_and_places_are_refused_in_sentences(program, files, tmp_path):
    """A stack of Python lines tells an operator nothing."""
    prepare(program, files)
    for url in ("mysql://x", "garbage", "postgres://a:b@127.0.0.1:nine/x"):
        broken = Program(program.environment | {"NEWSLETTER_DATABASE_URL": url})
        assert "DATABASE_URL" in broken.json("digests", "list", code=1)["sentence"]
    short = program.environment["NEWSLETTER_DATABASE_URL"].replace("postgresql+psycopg://", "postgres://")
    assert Program(program.environment | {"NEWSLETTER_DATABASE_URL": short}).json("digests", "list")
    issue = program.json("issues", "compose", "weekly")["issue"]
    program.json("issues", "preview", issue, "-o", files / "feed.json", code=1)
    assert "https" in program.json("articles", "import", "ftp://example.org/feed", code=1)["sentence"]
    program.run("up", "--port", "8097", code=1)


def test_a_broken_feed_ends_with_one(program, files):
    """A nightly job must notice; what stood before the break is kept."""
    whole = json.dumps(FEED)
    (files / "broken.json").write_text(whole[:-2])
    program.run("articles", "import", files / "broken.json", "--json", code=1)
    (files / "latin.csv").write_bytes("email,name\nann@example.org,مریم\n".encode() + b"bob@example.org,J\xfcrgen\n")
    program.json("digests", "add", "weekly", "--name", "The Weekly")
    counts = program.json("subscribers", "import", files / "latin.csv", *IMPORT)
    assert "UTF-8" in Path(counts["rejects"]).read_text()


def test_relays_tell_what_they_have_left(program):
    """Before a release one looks whether the relay is there and has room."""
    rows = program.json("relays", "list")
    assert {row["lane"] for row in rows} == {"urgent", "transactional", "bulk"}
    assert all(row["left"] is None and row["away_since"] is None for row in rows)
    program.run("relays", "warm", "nowhere:25", code=1)
    assert program.json("relays", "warm", rows[0]["relay"])["warm"] is True


def test_a_mailing_that_clients_would_cut_warns_whoever_drafts_it(program, files):
    """Gmail cuts near 102 kB, and with it the unsubscribe link; the writer can still shorten, the reader cannot."""
    program.json("digests", "add", "weekly", "--name", "The Weekly")
    (files / "long.md").write_text("# Long\n\n" + "The well has run dry again. " * 3000)
    out, sentence = program.run("mailings", "draft", files / "long.md", "--to", "weekly", "--json")
    assert json.loads(out)["warnings"] == ["mail.nearly-too-large"]
    assert "cut it off" in sentence


def test_the_do_not_mail_list(program, files):
    """An address on it stays on it until somebody says why not."""
    prepare(program, files)
    (files / "never.csv").write_text("email\nann@example.org\nstranger@example.org\nmistyped at example.org\n")
    out, sentence = program.run("suppressions", "import", files / "never.csv", "--json")
    assert (json.loads(out)["added"], json.loads(out)["rejected_rows"]) == (2, [4])
    assert "rows" in sentence, "whoever stands there can still be written to"
    assert "mistyped" not in out + sentence
    listed = program.json("suppressions", "list")
    assert len(listed) == 2
    assert "ann@" not in json.dumps(listed)
    mailing = program.json("mailings", "draft", files / "mailing.md", "--to", "weekly")["mailing"]
    assert program.json("mailings", "send", mailing)["excluded"] == {"suppressed": 1}
    lift = ("suppressions", "lift", "--why", "she phoned")
    assert "nobody but the person" in program.run(*lift, stdin="ann@example.org\n", code=1)[1]
    assert program.run("suppressions", "lift", stdin="ann@example.org\n", code=2), "a reason must be given"
    assert len(program.json("suppressions", "list")) == 2
    assert program.json(*lift, stdin="nobody@example.org\n")["lifted"] == 0


SLIPS = [
    (("subscribers", "import", "people.csv"), 2),
    (("subscribers", "import", "people.csv", "--digest", "weekly", "--basis", "hope"), 2),
    (("subscribers", "import", "nowhere.csv", *IMPORT), 1),
    (("articles", "import", "nowhere.json"), 1),
    (("articles", "import", "mailing.md"), 1),
    (("articles", "import", "http://127.0.0.1:9/feed"), 1),
    (("issues", "compose", "nothing"), 1),
    (("issues", "send", "4711"), 1),
    (("mailings", "status", "4711"), 1),
    (("mailings", "status", "one"), 2),
    (("mailings", "status", "99999999999999999999"), 2),
    (("issues", "send", "0"), 2),
    (("subscribers", "list", "--limit", "-1"), 2),
    (("replies", "show", "99999999999999999999"), 2),
    (("replies", "list", "--limit", "-1"), 2),
    (("operators", "disable", "99999999999999999999"), 2),
    (("signups", "held", "--since", "99999999999"), 2),
    (("digests", "add", "monthly", "--name", "two\nlines"), 1),
    (("digests", "add", "monthly", "--name", "x", "--language", "English please"), 1),
    (("subscribers", "show", "ABCDEFGH"), 1),
    (("digests", "add", "Not A Key", "--name", "x"), 1),
    (("nonsense",), 2),
]


def test_what_cannot_be_is_a_sentence_and_a_code(program, files):
    """A person gets a sentence, a script a code; nobody gets a traceback."""
    for case, code in SLIPS:
        words = [str(files / word) if Path(word).suffix in (".csv", ".json", ".md") else word for word in case]
        out, sentence = program.run(*words, code=code)
        assert out == "", case
        assert len(sentence.strip()) > 20, case
        if code == 1:
            assert set(program.json(*words, code=1)) == {"error", "sentence"}, case


def test_the_embedded_servers_alone(program, tmp_path):
    """For those who want the database and nothing else."""
    own = {k: v for k, v in program.environment.items() if not k.endswith(("_DATABASE_URL", "_MIGRATE_URL"))}
    alone = Program(own | {"NEWSLETTER_HOME": str(tmp_path / "servers")})
    try:
        started = alone.json("servers", "start")
        assert {"database_url", "migrate_url", "redis_url"} <= set(started)
        assert alone.json("servers", "status")["running"] is True
        Path(alone.environment["NEWSLETTER_KEYS"]).unlink()
        assert alone.json("db", "upgrade")["ran"][0] == "0001", "and new keys, since nothing was sealed yet"
        assert alone.json("digests", "list") == []
        Path(alone.environment["NEWSLETTER_KEYS"]).unlink()
        alone.json("db", "upgrade")
        alone.run("digests", "list", code=1)  # its own keys must be put back; no others are made
    finally:
        assert alone.json("servers", "stop")["running"] is False
    assert alone.json("servers", "status")["running"] is False


def test_what_an_authority_says_is_taken_in_held_and_given_out(program, files):
    """A draft for people to look at; a cancel that names nothing waits in a list; a released alert is a message again."""
    prepare(program, files)
    feeds = real("cap-wainfleet.xml")
    taken = program.json("alerts", "import", feeds, "--to", "weekly")
    assert (taken["state"], program.json("alerts", "status", taken["mailing"])["state"]) == ("applied", "draft")
    assert program.json("alerts", "import", feeds, "--to", "weekly")["why"] == "duplicate"
    assert program.json("alerts", "import", real("cap-wainfleet_cancel.xml"), "--to", "weekly")["state"] == "held"
    [waiting] = program.json("alerts", "held")
    assert "without naming a message" in waiting["why"]
    program.run("alerts", "cap", taken["mailing"], code=1)
    sent = program.json("alerts", "send", files / "alert.md", "--to", "weekly")["mailing"]
    assert "<alert xmlns=" in program.run("alerts", "cap", sent)[0]
