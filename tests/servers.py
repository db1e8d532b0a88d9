"""The servers under test: one throw-away PostgreSQL and Valkey for a whole run, shared by all of its processes.

They start when the first test asks and end with the run; what a killed run left behind is cleared by the next one.
NEWSLETTER_TEST_ADMIN_URL (a superuser) and NEWSLETTER_TEST_REDIS_URL put other servers in their place.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

import psycopg
import redis
from psycopg import sql
from sqlalchemy.engine import make_url

from newsletter import embedded, migrations

HOME = "NEWSLETTER_TEST_HOME"
ADMIN_URL = "NEWSLETTER_TEST_ADMIN_URL"
REDIS_URL = "NEWSLETTER_TEST_REDIS_URL"
PREFIX = "newsletter-tests-"
ROLES = ("newsletter_owner", "newsletter_worker", "newsletter_web")
MEMORY, ROOM = Path("/dev/shm"), 2 * 2**30
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Urls:
    """One database, by role: `postgresql+psycopg://…`. `admin` is the superuser, for what no role of ours may do."""

    owner: str = field(repr=False)
    worker: str = field(repr=False)
    web: str = field(repr=False)
    admin: str = field(repr=False)


class Servers:
    """What the fixtures draw from. `name` is this process's own: "gw0", or "main" where there is one process.

    admin_url, redis_url   other servers than those of the run
    """

    def __init__(self, home: Path, name: str, *, admin_url: str | None = None, redis_url: str | None = None) -> None:
        self._home = home
        self._name = name
        self._admin_url = admin_url or os.environ.get(ADMIN_URL)
        self._redis_url = redis_url or os.environ.get(REDIS_URL)
        self._open: psycopg.Connection | None = None

    @cached_property
    def _embedded(self) -> embedded.Servers:
        return embedded.start(self._home, durable=False)

    @cached_property
    def _logins(self) -> Urls:
        """The servers' logins, on no database in particular; a foreign server gets the roles from us."""
        foreign = self._admin_url
        if not foreign:
            found = self._embedded
            return Urls(found.owner_url, found.worker_url, found.web_url, found.admin_url)
        with self._lock(), self._admin(foreign) as connection:
            for role in ROLES:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                    connection.execute(f"CREATE ROLE {role}")
                connection.execute(f"ALTER ROLE {role} LOGIN")
            self._hasten(connection, *((role, role) for role in ROLES))
        url = make_url(foreign).set(drivername="postgresql+psycopg")
        owner, worker, web = (_text(url.set(username=role, password=role)) for role in ROLES)
        return Urls(owner, worker, web, _text(url))

    def redis_url(self) -> str:
        """Return this process's own numbered database of the broker, empty."""
        url = make_url(self._redis_url or self._embedded.redis_url)
        number = int("".join(filter(str.isdigit, self._name)) or 0)
        mine = _text(url.set(database=str(1 + number % 15)))
        with redis.Redis.from_url(mine) as client:
            client.flushdb()
        return mine

    @contextmanager
    def database(self, mould: str | None = None) -> Iterator[Urls]:
        """Make a migrated database of its own, or a copy of a mould, and drop it at the end with every connection to it."""
        name = self._copy(mould or self._template)
        try:
            yield self._on(name)
        finally:
            with self._admin() as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def mould(self) -> tuple[str, Urls]:
        """Make a migrated database that stays as long as the run: to be filled, left by everybody, and copied by its name."""
        name = self._copy(self._template)
        return name, self._on(name)

    def _copy(self, template: str) -> str:
        name = f"test_{self._token}_{self._name}_{next(_numbers)}"
        with self._admin() as connection:
            # A copy of files takes 0.04 s; the write-ahead log (the default) three times that.
            connection.execute(f"CREATE DATABASE {name} OWNER {ROLES[0]} TEMPLATE {template} STRATEGY FILE_COPY")
            _close_to_others(connection, name)
        return name

    @contextmanager
    def empty_database(self) -> Iterator[Urls]:
        """Make a database without any table, for tests of migrations, and drop it at the end."""
        with self.database("template0") as urls:
            yield urls

    @cached_property
    def _template(self) -> str:
        """The migrated database that all others are copies of, made by whoever comes first."""
        name, draft = f"template_{self._token}", f"draft_{self._token}"
        logins = self._logins  # those of a foreign server are made under the same lock
        with self._lock(), self._admin() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                if not self._admin_url:
                    found = map(make_url, (logins.admin, logins.owner, logins.worker, logins.web))
                    self._hasten(connection, *((str(one.username), str(one.password)) for one in found))
                connection.execute(f"DROP DATABASE IF EXISTS {draft}")
                connection.execute(f"CREATE DATABASE {draft} OWNER {ROLES[0]} TEMPLATE template0")
                migrations.upgrade(self._on(draft).owner)
                connection.execute(f"ALTER DATABASE {draft} RENAME TO {name}")
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        return name

    def _hasten(self, connection: psycopg.Connection, *logins: tuple[str, str]) -> None:
        """Have these prove their passwords by one round instead of 4096: 3 ms of a client's CPU, some ten times in each test.

        They are random where the servers are ours, and live as long as the run.
        """
        for role, password in logins:
            verifier = sql.Literal(_verifier(password))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), verifier))

    @property
    def _token(self) -> str:
        return self._home.name.removeprefix(PREFIX)

    def _on(self, name: str) -> Urls:
        logins = self._logins
        roles = (logins.owner, logins.worker, logins.web, logins.admin)
        return Urls(*(_text(make_url(url).set(database=name)) for url in roles))

    @contextmanager
    def _admin(self, url: str | None = None) -> Iterator[psycopg.Connection]:
        """Lend the superuser's connection: one for all that this process asks, since a new one costs as much as a database."""
        if self._open is None or not _answers(self._open):
            chosen = make_url(url or self._logins.admin).set(drivername="postgresql", database="postgres")
            self._open = psycopg.connect(_text(chosen), autocommit=True, connect_timeout=10)
        yield self._open

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._home / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def drop_all(self) -> None:
        """Drop what this run left on a foreign server."""
        with self._admin() as connection:
            query = "SELECT datname FROM pg_database WHERE datname ~ %s"
            for (name,) in connection.execute(query, [f"^(test|template|draft)_{self._token}"]).fetchall():
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def root() -> Path:
    """Return where runs have their folders: in memory where there is room, since each test copies a database of a thousand files.

    On a disk that others write to a copy took 0.5 s, in memory 0.015 s.
    """
    with suppress(OSError):
        found = os.statvfs(MEMORY)
        if os.access(MEMORY, os.W_OK) and found.f_bavail * found.f_frsize >= ROOM:
            return MEMORY
    return Path(tempfile.gettempdir())


def on_disk(home: Path) -> Path:
    """Return the folder of a run for servers that are to be as durable as those of an operator."""
    return Path(tempfile.gettempdir()) / home.name


def open_run() -> Path:
    """Make this run's folder and say where it is to the processes that follow; clear away what dead runs left."""
    for left in root().glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(left / "run.lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _clear(left)
            finally:
                os.close(lock)
    home = root() / f"{PREFIX}{secrets.token_hex(4)}"
    home.mkdir(mode=0o700)
    # Held open until this process ends, however it ends: a free lock is a dead run.
    fcntl.flock(os.open(home / "run.lock", os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    os.environ[HOME] = str(home)
    return home


def close_run(home: Path) -> None:
    """End this run's servers and remove their data."""
    if os.environ.get(ADMIN_URL):
        Servers(home, "main").drop_all()
    _clear(home)
    os.environ.pop(HOME, None)


def of_this_run(name: str) -> Servers:
    """Return the servers of the run this process belongs to."""
    return Servers(Path(os.environ[HOME]), name)


def _clear(home: Path) -> None:
    # Those that scenarios break are servers of their own, in folders below.
    for one in (home, *on_disk(home).glob("own*")):
        embedded.stop(one)
    shutil.rmtree(on_disk(home), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _close_to_others(connection: psycopg.Connection, name: str) -> None:
    connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    connection.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {ROLES[1]}, {ROLES[2]}")


def _answers(connection: psycopg.Connection) -> bool:
    """Return whether its server is still the one it was opened to: some tests kill theirs."""
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT 1")
    return not connection.closed


def _verifier(password: str) -> str:
    """Return what PostgreSQL keeps of a password, made in one round (RFC 5803; src/common/scram-common.c)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    kept = (base64.b64encode(one).decode() for one in (salt, stored, hmac.digest(salted, b"Server Key", "sha256")))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*kept)


def _text(url: object) -> str:
    return url.render_as_string(hide_password=False)  # type: ignore[attr-defined,no-any-return]
