"""The spool of wishes to leave: each is kept whole or refused, and no line in it can stop other wishes or mail."""

import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from newsletter.cli import checking
from newsletter.database import DiskFull
from newsletter.issues import digests
from newsletter.journeys import joining, leaving, publish, spooling
from newsletter.subscribers import consent, signup, subscriptions
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.journeys import workers

AWAY = "postgresql+psycopg://nobody:x@127.0.0.1:9/none"
FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE UPDATE ON subscription EXECUTE FUNCTION full_disk();
"""
MUCH = 2**20  # other files of this process stay shorter than the limit meanwhile


@contextmanager
def room_for(octets, path):
    """Let files grow by so much beyond a file's size and no further: a write then ends in its middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def ended(made):
    with made.parts.database.transaction() as session:
        live = "SELECT subscriber_id FROM subscription WHERE ended_at IS NOT NULL ORDER BY 1"
        return list(session.execute(text(live)).scalars())


def test_who_is_told_done_on_a_full_disk_has_left_and_who_is_not_has_not(newsletter, tmp_path):
    """A disk that fills up in the middle of a wish must not answer "done": the reader would believe it, and get mail."""
    house.issue(newsletter, tmp_path, addresses=house.addresses(2))
    away = house.assembly.assemble(
        newsletter.settings.model_copy(update={"database_url": house.settings.SecretStr(AWAY)}), role="web"
    )
    first, second = (newsletter.parts.tokens.leave(number, 1, 1) for number in (1, 2))
    spool = spooling.file(newsletter.settings.home)
    with TestClient(create(away), raise_server_exceptions=False) as pages:
        spool.parent.mkdir(parents=True, exist_ok=True)
        spool.write_bytes(b"\n" * MUCH)  # nobody's wish yet
        with room_for(10, spool):
            refused = pages.post(f"/u/{first}", data={"List-Unsubscribe": "One-Click"})
        assert refused.status_code == 503
        assert "could not be kept" in refused.text
        assert spool.stat().st_size == MUCH, "the torn tail is gone"
        assert pages.post(f"/u/{second}").status_code == 200
    assert leaving.drain(newsletter.parts) == 1
    assert ended(newsletter) == [2]


def test_a_torn_line_stops_neither_wishes_nor_mail(newsletter, sink, tmp_path):
    """A machine lost its power within a wish: the others count, mail goes on, and the operator sees what was torn."""
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(4))
    publish.send(newsletter.parts, composed.issue)
    path = spooling.file(newsletter.settings.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    strange = [
        b'{"subscriber": 1, "dig',
        b"\x00\x00\x00",
        b'{"subscriber": 99999999999999999999, "digest": 1}',
        b'{"subscriber": true, "digest": 1}',
        b"[" * 100_000,
        b"7",
    ]
    whole = b'{"subscriber": 2, "digest": 1}'
    path.write_bytes(b"\n".join([*strange[:3], whole, *strange[3:]]))  # the last without an end
    spooling.keep(newsletter.settings.home, spooling.Wish(3, 1))
    newsletter.sweep()
    newsletter.deliver("bulk")
    assert (ended(newsletter), len(sink.messages)) == ([2, 3], 2)
    assert path.read_bytes() == b""
    assert spooling.aside(newsletter.settings.home).read_bytes().splitlines() == strange
    found = checking.of_the_spool(newsletter.settings)
    assert (found.ok, found.found[:2]) == (False, "6 ")
    assert str(spooling.aside(newsletter.settings.home)) in found.found


def test_what_cannot_be_put_aside_stays_and_stops_nothing(newsletter, tmp_path):
    """The disk is full and a line is torn: wishes are honoured all the same, and the line is still there afterwards."""
    house.issue(newsletter, tmp_path, addresses=house.addresses(2))
    home = newsletter.settings.home
    spooling.aside(home).parent.mkdir(parents=True, exist_ok=True)
    spooling.aside(home).write_bytes(b"\n" * MUCH)
    spooling.file(home).write_bytes(b'{"subscriber": 2, "digest": 1}\n{"subsc')
    with room_for(3, spooling.aside(home)):
        assert leaving.drain(newsletter.parts) == 1
    assert ended(newsletter) == [2]
    assert spooling.file(home).read_bytes().endswith(b'{"subsc')
    assert spooling.unread(home) == 0
    assert leaving.drain(newsletter.parts) == 1
    assert (spooling.unread(home), spooling.waiting(home)) == (1, 0)


def test_a_wish_is_kept_while_the_disk_of_the_database_is_full(newsletter, tmp_path, database_urls):
    """The pages' disk may have room where PostgreSQL's has none: a wish must find whichever takes it."""
    house.issue(newsletter, tmp_path, addresses=house.addresses(1))
    owner = create_engine(database_urls.owner)
    with owner.begin() as admin:
        admin.execute(text(FULL))
    leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(1, 1, 1))
    with pytest.raises(DiskFull):
        leaving.drain(newsletter.parts)
    with TestClient(create(newsletter)) as pages:
        assert pages.get("/healthz").status_code == 200, "pages that are started meanwhile take the next wish"
    with owner.begin() as admin:
        admin.execute(text("DROP FUNCTION full_disk() CASCADE"))
    owner.dispose()
    assert (ended(newsletter), leaving.drain(newsletter.parts), ended(newsletter)) == ([], 1, [1])


def test_a_wish_that_was_kept_counts_before_the_next_window(newsletter, sink, tmp_path):
    """Who is told "done" while a digest runs gets no mail of it half a second later, wherever the wish lies."""
    sink.delay_seconds = lambda: 0.02
    composed = house.issue(newsletter, tmp_path, addresses=house.addresses(600))
    publish.send(newsletter.parts, composed.issue)
    sending = threading.Thread(target=newsletter.deliver, args=("bulk",), kwargs={"seconds": 60})
    sending.start()
    while len(sink.messages) < 20:
        time.sleep(0.01)
    spooling.keep(newsletter.settings.home, spooling.Wish(_at(newsletter, 590), None))
    sending.join(60)
    assert ended(newsletter) == [_at(newsletter, 590)]
    assert len(sink.messages) == 599


@contextmanager
def held(made, *readers):
    """Somebody is at what these readers take, as an undoing of their list is for seconds."""
    with made.parts.database.transaction() as other:
        rows = text("SELECT id FROM subscription WHERE subscriber_id = ANY(:readers) FOR UPDATE")
        other.execute(rows, {"readers": list(readers)}).all()
        yield


def test_a_wish_that_must_wait_stops_no_mail_and_no_other_wish(newsletter, sink, tmp_path):
    """The undoing of a list held a reader who had left: every lane stood still for twenty seconds at a time, alerts too."""
    house.add_readers(newsletter, tmp_path, house.addresses(5))
    joining.ask(newsletter.parts, signup.Wish("new@example.org", "en", {house.DIGEST: "weekly"}))
    joining.work(newsletter.parts)
    home = newsletter.settings.home
    for reader in range(1, 5):
        spooling.keep(home, spooling.Wish(reader, None))
    with held(newsletter, 2, 3), capture_logs() as said:
        began = time.monotonic()
        newsletter.deliver("transactional")
        assert (ended(newsletter), len(sink.messages)) == ([1, 4], 1)
        newsletter.sweep()
        assert checking.of_the_spool(newsletter.settings).ok is None
        spooling.keep(home, spooling.Wish(5, None))
        newsletter.deliver("urgent")
        assert ended(newsletter) == [1, 4, 5], "who leaves meanwhile waits for nobody"
        assert time.monotonic() - began < 5
    assert [one["wishes"] for one in said if one["event"] == "leaving waits"] == [2], "it is said once"
    _let_time_pass(home)
    newsletter.sweep()
    assert ended(newsletter) == [1, 2, 3, 4, 5]
    assert spooling.waiting(home) == 0


def test_wishes_that_wait_are_kept_until_the_last_of_them_is_done(newsletter, tmp_path):
    """To write one of two anew could lose both with the power; what is done already is done again, and changes nothing."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    home = newsletter.settings.home
    for reader in (1, 2):
        spooling.keep(home, spooling.Wish(reader, None))
    with held(newsletter, 1, 2):
        assert leaving.drain(newsletter.parts) == 0
    _let_time_pass(home)
    with held(newsletter, 2):
        assert leaving.drain(newsletter.parts) == 1
        assert leaving.drain(newsletter.parts) == 0, "tried again no sooner than the sweep comes"
    assert ended(newsletter) == [1]
    _let_time_pass(home)
    assert (leaving.drain(newsletter.parts), ended(newsletter)) == (2, [1, 2])


def test_who_comes_to_those_that_wait_makes_none_of_them_wait_longer(newsletter, tmp_path):
    """One held reader who pressed every three seconds kept another, free for long, from being done at all."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    home = newsletter.settings.home
    for reader in (1, 2):
        spooling.keep(home, spooling.Wish(reader, None))
        with held(newsletter, reader):
            leaving.drain(newsletter.parts)
            if reader == 1:
                _let_time_pass(home, spooling.AGAIN_SECONDS - 1)
    with held(newsletter, 2):
        time.sleep(1)
        leaving.drain(newsletter.parts)
    assert ended(newsletter) == [1]


def test_who_keeps_a_wish_waits_for_nobody_who_acts_on_others(tmp_path):
    """To act on what is kept may take as long as a database is silent, and a reader stood before a blank page for it."""
    spooling.keep(tmp_path, spooling.Wish(1, None))
    heard = []

    def act(wishes):
        heard.append([wish.subscriber for wish in wishes])
        if len(heard) == 1:
            keeping = threading.Thread(target=spooling.keep, args=(tmp_path, spooling.Wish(2, None)), daemon=True)
            keeping.start()
            keeping.join(5)
            assert not keeping.is_alive()
        return []

    assert (spooling.drain(tmp_path, act), spooling.drain(tmp_path, act), spooling.drain(tmp_path, act)) == (1, 2, 0)
    assert heard == [[1], [1, 2]], "what came meanwhile is lost to nobody"
    assert spooling.waiting(tmp_path) == 0


def test_what_another_process_has_done_meanwhile_is_put_off_by_nobody(tmp_path):
    """Two workers hear the same wishes at once: the second found their reader held by the first."""
    spooling.keep(tmp_path, spooling.Wish(1, None))

    def second(wishes):
        assert spooling.drain(tmp_path, lambda _: []) == 1
        return wishes

    assert spooling.drain(tmp_path, second) == 0
    assert spooling.waiting(tmp_path) == 0


def test_who_leaves_while_somebody_is_at_them_is_told_done_within_seconds(newsletter, tmp_path):
    """Who pressed stood before a blank page for twenty seconds, and thought that leaving does not work."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    link = newsletter.parts.tokens.leave(1, 1, 0)
    with held(newsletter, 1):
        began = time.monotonic()
        leaving.leave(newsletter.parts, link)
        assert time.monotonic() - began < 6
    assert ended(newsletter) == []
    newsletter.sweep()
    assert ended(newsletter) == [1]


def _let_time_pass(home, seconds=spooling.AGAIN_SECONDS):
    ago = time.time() - seconds
    os.utime(spooling.tried(home), (ago, ago))


YES_SINCE = """
    WITH yes AS (INSERT INTO consent_event (subscriber_id, kind, basis, purpose)
        VALUES (1, 'granted', 'consent', 'digest:1') RETURNING id)
    INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by) SELECT 1, 1, 'weekly', id FROM yes
"""


@pytest.fixture
def spooled(newsletter, tmp_path):
    """The reader's two digests, and pages whose database is away."""
    house.add_readers(newsletter, tmp_path, ["ann@example.org"])
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "daily", name="Daily", languages=("en",), rhythm=Rhythm.DAILY)
    house.bring(newsletter, tmp_path / "people.csv", digest="daily")
    away = house.assembly.assemble(
        newsletter.settings.model_copy(update={"database_url": house.settings.SecretStr(AWAY)}), role="web"
    )
    yield away
    away.close()


def come_back(newsletter):
    """She has left by another road meanwhile, and says yes to the first digest again, by her own hand."""
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE digest_id = 1"))
        session.execute(text(YES_SINCE))


def takes(newsletter):
    with newsletter.parts.database.transaction() as session:
        return [one.digest_id for one in subscriptions.of(session, 1)]


@pytest.mark.parametrize(("wished", "kept"), [(1, [1, 2]), (None, [1])], ids=["one click", "everything"])
def test_who_said_yes_after_a_wish_that_was_kept_stays(newsletter, spooled, wished, kept):
    """Pages may keep it for days, or for ever on a disk that failed: drained, it must not end what she asked for since."""
    tokens = newsletter.parts.tokens
    if wished:
        leaving.leave(spooled.parts, tokens.leave(1, wished, 1))
    else:
        leaving.leave_everything(spooled.parts, tokens.preferences(1, now=datetime.now(UTC)))
    come_back(newsletter)
    assert leaving.drain(newsletter.parts) == 1
    assert sorted(takes(newsletter)) == kept
    with newsletter.parts.database.transaction() as session:
        assert not session.execute(
            text(f"SELECT {consent.said_no('1', 'ARRAY[$$digest:1$$, $$everything$$]')}")
        ).scalar_one()


@pytest.mark.parametrize("said", ["", ', "said": "yesterday"', ', "said": 7', ', "said": "2020-01-01T00:00:00"'])
def test_a_wish_without_an_hour_is_heard_whole(newsletter, spooled, said):
    """Files of an older version hold none; in doubt somebody wanted to leave."""
    come_back(newsletter)
    path = spooling.file(newsletter.settings.home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"subscriber": 1, "digest": null{said}}}\n')
    assert leaving.drain(newsletter.parts) == 1
    assert takes(newsletter) == []


def test_a_list_says_no_yes_for_whoever_wished_to_leave(newsletter, spooled, tmp_path):
    """Somebody imports while the wish waits: that is nobody's word, and she has left."""
    leaving.leave_everything(spooled.parts, newsletter.parts.tokens.preferences(1, now=datetime.now(UTC)))
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "third", name="Third", languages=("en",), rhythm=Rhythm.DAILY)
    house.bring(newsletter, tmp_path / "people.csv", digest="third")
    assert leaving.drain(newsletter.parts) == 1
    assert takes(newsletter) == []


def _at(newsletter, position):
    with newsletter.parts.database.transaction() as session:
        found = session.execute(text("SELECT subscriber_id FROM delivery WHERE position = :it"), {"it": position})
        return found.scalar_one()


APART = ("unshare", "--user", "--map-root-user", "--mount", "--")
ON_A_DISK_THAT_FAILED = """
import subprocess, sys
from pathlib import Path
from newsletter.journeys import spooling
home, heard = Path(sys.argv[1]), []
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(home)], check=True)
spooling.keep(home, spooling.Wish(7, None))
subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
def act(wishes):
    heard.extend(wishes)
    return []
assert [spooling.drain(home, act), spooling.drain(home, act)] == [1, 1]
print([wish.subscriber for wish in heard])
"""


def test_wishes_on_a_disk_that_failed_are_heard_and_stop_no_mail(tmp_path):
    """The kernel mounts it read-only, with wishes on it: they count, done twice they change nothing, and alerts go on."""
    if subprocess.run([*APART, "true"], capture_output=True).returncode:
        pytest.skip("no disk of our own can be mounted here")
    command = [*APART, sys.executable, "-c", ON_A_DISK_THAT_FAILED, str(tmp_path)]
    ran = subprocess.run(command, cwd=workers.ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines()[-1:] == ["[7, 7]"], ran.stderr


def test_pages_with_a_folder_of_their_own_act_on_what_they_kept(newsletter, tmp_path, database_urls, sink):
    """No worker sees their spool, and they looked into it at their start alone: who was told "done" had mail for weeks."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    web = house.build(tmp_path, database_urls, sink.url, web=True, home=tmp_path / "home-of-the-pages")
    spool = spooling.file(web.settings.home)
    spool.mkdir(parents=True)
    with TestClient(create(web)):
        # It could not be opened, as where a process has no descriptor left: that is no reason to look no more.
        spool.rmdir()
        spooling.keep(web.settings.home, spooling.Wish(1, 1))
        deadline = time.monotonic() + 4 * spooling.AGAIN_SECONDS
        while not ended(newsletter) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert ended(newsletter) == [1]


def test_however_many_left_meanwhile_mail_goes_on(newsletter, sink, tmp_path):
    """A database away for a day, or a backup that is restored: more wishes than a statement takes parameters stopped every lane."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    joining.ask(newsletter.parts, signup.Wish("new@example.org", "en", {house.DIGEST: "weekly"}))
    joining.work(newsletter.parts)
    spool = spooling.file(newsletter.settings.home)
    spool.parent.mkdir(parents=True, exist_ok=True)
    spool.write_text("".join(f'{{"subscriber": {one}, "digest": 1}}\n' for one in range(1, 66_001)))
    newsletter.deliver("transactional", seconds=3)
    assert len(sink.messages) == 1
    assert ended(newsletter) == [1]
