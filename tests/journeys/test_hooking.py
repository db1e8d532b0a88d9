"""The hook wakes people: told in the act's own transaction, called beside it, again for an hour, never with a name or a text."""

import json
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.journeys import alert, hooking
from newsletter.journeys.hooking import Called, HookFailed
from newsletter.operators import hooks
from newsletter.operators.hooks import PATIENCE, Event
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.operators.crew import Crew

WRITES = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"


@pytest.fixture
def heard(tmp_path):
    """Where the command writes what it is told."""
    path = tmp_path / "heard"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def make(tmp_path, database_urls, sink):
    """Make a product with a hook, or another over the same database."""
    opened = []

    def one(hook=None, **more):
        opened.append(house.build(tmp_path, database_urls, sink.url, **(nights.RULES | {"hook": hook} | more)))
        return opened[-1]

    yield one
    for made in opened:
        made.close()


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "wake.py"
    script.write_text(WRITES)
    return f"{sys.executable} '{script}' '{tmp_path / 'heard'}'"


class Pager(BaseHTTPRequestHandler):
    """Takes what is posted, as an address of the web does; answers with the first status it was told to."""

    heard: list[tuple[str, dict]] = []  # noqa: RUF012 (one for all is what is wanted)
    answers: list[int] = []  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Pager.heard.append((self.path, json.loads(body)))
        self.send_response(Pager.answers.pop(0) if Pager.answers else 204)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_words):
        pass


@pytest.fixture
def pager():
    Pager.heard, Pager.answers = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pager)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/wake/secret"
    server.shutdown()
    server.server_close()


def later(made, minutes):
    """Let time pass for the calls that wait."""
    with made.parts.database.transaction() as session:
        session.execute(
            hooks.update(hooks.HookCall).values(
                due_at=hooks.HookCall.due_at - timedelta(minutes=minutes),
                made_at=hooks.HookCall.made_at - timedelta(minutes=minutes),
            )
        )


def add(made, event=Event.REFUSED, **facts):
    with made.parts.database.transaction() as session:
        hooks.add(session, event, **({"alert": 7, "why": "bytes"} | facts))


def test_a_command_hears_the_whole_of_a_night(make, command, heard, tmp_path, web_crew):
    """Wanted, approved, released, stopped: each with ids, counts, the code and where to look; nobody's name, address or words."""
    made = make(command)
    author, approver = web_crew.member(Role.SENDER), web_crew.member(Role.APPROVER, name="Noor Holm")
    number = nights.locked(made, tmp_path, author, 3)
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    alert.release(made.parts, number, by=author.id)
    alert.stop(made.parts, number, by=author.id)
    assert heard() == []
    assert hooking.run_due(made.parts, most=9) == Called(4, 0)
    told = heard()
    assert [one["event"] for one in told] == ["approval-wanted", "approved", "released", "stopped"]
    assert {one["console"] for one in told} == {f"{nights.SITE.origin}/console/alerts/{number}"}
    assert (told[0]["alert"], told[0]["count"]) == (number, 3)
    assert told[0]["code"] == alert.standing(made.parts, number).locked.code
    written = json.dumps(told)
    for secret in ("Lorries", "Fourteen", "Mina", "Noor", "@", "reader0"):
        assert secret not in written
    assert hooking.run_due(made.parts, most=9) == Called(0, 0)


@pytest.fixture
def web_crew(make):
    worker = make()
    return Crew(worker.parts.database, make(web=True).parts.database)


def test_a_worker_that_refuses_says_so(make, command, heard, tmp_path, database_urls, web_crew):
    """Somebody changed an alert after its approval: that is worth waking people for."""
    from tests.journeys.test_forging import EDITED, forced

    made = make(command)
    author, approver = web_crew.member(Role.SENDER), web_crew.member(Role.APPROVER)
    number = nights.locked(made, tmp_path, author, 3)
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    alert.release(made.parts, number, by=author.id)
    forced(made, database_urls, number, EDITED["template"])
    hooking.run_due(made.parts, most=9)
    assert heard()[-1] | {"event": "refused", "alert": number, "why": "bytes"} == heard()[-1]


def test_what_is_rolled_back_is_told_to_nobody(make, command, heard):
    """A release that failed must wake no one."""
    made = make(command)

    def fails():
        with made.parts.database.transaction() as session:
            hooks.add(session, Event.RELEASED, alert=7)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert hooking.run_due(made.parts) == Called(0, 0)


def test_a_command_sees_none_of_our_secrets(tmp_path):
    """It is another's program: the database's password is not for it."""
    ours = {"NEWSLETTER_DATABASE_URL": "secret", "PATH": "/bin", "HOME": "/home/visitor"}
    assert hooking.bare(ours) == {"PATH": "/bin", "HOME": "/home/visitor"}
    hooking.run(
        f"{sys.executable} -c 'import os, sys; sys.exit(any(n[:10] == \"NEWSLETTER\" for n in os.environ))'", {}
    )


def test_no_shell_reads_the_command(tmp_path):
    """A semicolon in a setting is a semicolon."""
    hooking.run(f"echo ; touch {tmp_path / 'made'} $(touch {tmp_path / 'made'})", {})
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("hook", "why"),
    [("/no/such/program", "not-started"), ("false", "ended-badly"), ("sh -c 'sleep 60 & sleep 60'", "too-slow")],
)
def test_a_command_that_fails_is_a_sentence(hook, why):
    """And one that hangs is ended, with whatever it began, so that the next call is made."""
    began = time.monotonic()
    with pytest.raises(HookFailed) as failed:
        hooking.run(hook, {}, seconds=0.5)
    assert failed.value.message == f"hook.{why}"
    assert time.monotonic() - began < 5


def test_a_command_that_reads_nothing_is_no_failure():
    """Many a pager needs no more than to be started."""
    hooking.run("true", {"facts": "x" * 200_000})


def test_an_address_on_this_machine_is_told(make, pager):
    """A pager beside us is a good one: what feeds may not, the operator's own setting may."""
    made = make(pager)
    add(made)
    assert hooking.run_due(made.parts) == Called(1, 0)
    [(path, told)] = Pager.heard
    assert path == "/wake/secret"
    assert (told["event"], told["alert"], told["why"]) == ("refused", 7, "bytes")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_an_address_does_not_take_is_tried_again(make, pager, status, capsys):
    """One answer of 500 must not cost the night; and no log says where the secret address is."""
    made = make(pager)
    add(made)
    Pager.answers = [status]
    assert hooking.run_due(made.parts) == Called(0, 1)
    assert hooking.run_due(made.parts) == Called(0, 0)  # not yet
    assert hooking.health(made.parts).waiting == 1
    later(made, 1)
    assert hooking.run_due(made.parts) == Called(1, 0)
    assert [path for path, _ in Pager.heard] == ["/wake/secret"] * 2
    found = hooking.health(made.parts)
    assert (found.fault, found.waiting) == ("hook.not-taken", 0)
    assert "secret" not in capsys.readouterr().out


def test_after_an_hour_it_is_given_up(make):
    """Whoever is woken at noon by what was asked at two in the morning learns nothing from it."""
    made = make("false")
    add(made)
    tries = 0
    while hooking.health(made.parts).waiting:
        tries += hooking.run_due(made.parts).failed
        later(made, 5)
        assert tries < 20
    assert tries >= 5


@given(st.integers(1, 30), st.floats(0, 7200))
def test_pauses_grow_and_end_within_the_hour(tries, after):
    """Not every second, and not for ever."""
    made_at = datetime(2026, 3, 1, 2, 10, tzinfo=UTC)
    now = made_at + timedelta(seconds=after)
    found = hooks.next_try(tries, made_at=made_at, now=now)
    if found is not None:
        assert timedelta(seconds=15) <= found - now <= timedelta(minutes=15)
        assert found <= made_at + PATIENCE
    else:
        assert after > (PATIENCE - timedelta(minutes=15)).total_seconds()


def test_where_no_hook_is_set_nothing_piles_up(make):
    """A house without a pager has no queue that waits for one."""
    made = make()
    add(made)
    assert hooking.run_due(made.parts) == Called(1, 0)
    assert hooking.health(made.parts).waiting == 0


def test_one_who_dies_over_a_call_is_followed_by_another(make, command, heard):
    """Claimed and never answered: it is due again after fifteen seconds."""
    made = make(command)
    add(made)
    with made.parts.database.transaction() as session:
        assert hooks.claim(session, now=nights.database.now(session)) is not None
    assert hooking.run_due(made.parts) == Called(0, 0)
    later(made, 1)
    assert hooking.run_due(made.parts) == Called(1, 0)
    assert len(heard()) == 1


def test_the_sweep_nudges_what_lies_and_the_lifeboat_calls(make, command, heard, redis_url):
    """Neither a lost nudge nor a dead Redis keeps anybody asleep."""
    import redis

    made = make(command, redis_url=redis_url)
    add(made)
    made.sweep()
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("newsletter:outside") == 1
    alone = make(command)
    ends = time.monotonic() + 10
    alone.lifeboat(["urgent"], until=lambda: bool(heard()) or time.monotonic() > ends, pause_seconds=0.05)
    assert [one["event"] for one in heard()] == ["refused"]


def test_a_hook_that_hangs_keeps_no_alert_waiting(make, tmp_path, sink):
    """The lifeboat calls beside the mail, never before it."""
    made = make("sleep 8")
    house.add_readers(made, tmp_path, house.addresses(2))
    began = time.monotonic()
    alert.send(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST)
    made.lifeboat(["urgent"], until=lambda: len(sink.messages) == 2 or time.monotonic() - began > 7, pause_seconds=0.05)
    assert len(sink.messages) == 2
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("wrong", ["wake 'up", "ftp://pager.example/x", "smtp://pager.example"])
def test_a_setting_that_is_no_hook_is_refused(wrong):
    """At the start, not at night."""
    from newsletter.settings import BadSettings, read

    with pytest.raises(BadSettings) as refused:
        read(hook=wrong)
    assert wrong not in str(refused.value.facts)


def test_doctor_says_whether_and_how_but_not_where(make, pager):
    """The address may be a secret; whether anyone would wake is what the evening's look is for."""
    from newsletter.cli import checking

    made = make(pager)
    assert checking._hook(made.settings).ok is True
    add(made)
    Pager.answers = [500]
    hooking.run_due(made.parts)
    found = checking._hook(made.settings)
    assert found.ok is False
    assert "1 calls wait" in found.found
    assert "wake" not in found.found
    assert checking._hook(make().settings).ok is None
    assert os.environ.get("NEWSLETTER_HOOK") is None
