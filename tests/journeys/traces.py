"""Where a machine leaves traces of what went through it, and how to look there; `plant` leaves some, so that the search is judged.

Two things are set otherwise than where people live, because no hound of ours reads what a server compresses its own way: PostgreSQL
writes whole pages into its log as they are (`readable`), and the broker its file. Neither changes what is written.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import redis
from sqlalchemy import make_url

from newsletter.embedded import Servers
from newsletter.embedded.postgresql import POSTGRESQL_SETTINGS
from tests.fakes import hiding, hound
from tests.fakes.hound import Scent

PLACES = (
    "dump",
    "data files",
    "write-ahead log",
    "broker's files",
    "logs",
    "what up says",
    "temporary folder",
    "home",
)
# XLOG_BLCKSZ, and the shorter of its two heads (access/xlog_internal.h).
_PAGE, _HEAD = 8192, 24
Found = dict[str, dict[object, set[str]]]


def planted(way: str) -> dict[str, str]:
    """Return words that nobody else has, of every kind; each way of hiding has its own, so that each must be found by itself."""
    mark = chr(97 + list(hiding.WAYS).index(way))
    return {
        "address": f"leopold.canary{mark}field@planted-{mark}-yard.example",
        "local part": f"leopold.canary{mark}field",
        "own domain": f"planted-{mark}-yard.example",
        "name": f"Léopold Canary{mark}field",
        "postcode": f"ZQ9{mark.upper()} 6XL",
    }


PLANTED = {f"{kind}, {way}": word for way in hiding.WAYS for kind, word in planted(way).items()}


def _hidden(way: str) -> bytes:
    return b"\n--\n".join(hiding.hidden(way, word) for word in planted(way).values())


def readable(servers: Servers) -> None:
    """Have PostgreSQL write whole pages into its log as they are, in every session that is opened from now on."""
    with psycopg.connect(plain(servers.admin_url), autocommit=True) as admin:
        admin.execute("ALTER ROLE ALL SET wal_compression = off")


def changed(servers: Servers) -> set[str]:
    """Return which of the settings people live with are others here, for whoever writes."""
    with psycopg.connect(plain(servers.worker_url)) as worker:
        told = "SELECT name FROM pg_settings WHERE lower(name) = ANY(%s) AND source <> 'command line'"
        return {name for (name,) in worker.execute(told, [list(POSTGRESQL_SETTINGS)])}


def plant(home: Path, servers: Servers, *, said: Path, temporary: Path) -> float:
    """Leave one of each kind in each place in each way; return since when what is written is looked at. said: what `up` says."""
    began = time.time() - 1
    whole = [_hidden(way) for way in hiding.WAYS]
    with psycopg.connect(plain(servers.admin_url), autocommit=True) as admin:
        # What was written before lies in other files of the log.
        admin.execute("SELECT pg_switch_wal()")
    with psycopg.connect(plain(servers.owner_url), autocommit=True) as owner:
        owner.execute("CREATE TABLE planted (words bytea, said text)")
        # A long value would be compressed.
        owner.execute("ALTER TABLE planted ALTER words SET STORAGE EXTERNAL, ALTER said SET STORAGE EXTERNAL")
        for row in whole:
            text = row.decode("utf-8", "replace")
            owner.execute("INSERT INTO planted VALUES (%s, %s)", [row, text if "\0" not in text else None])
    with redis.Redis.from_url(servers.redis_url) as broker:
        broker.set("planted", b"\n".join(whole))
    for path in (home / "logs" / "web.log", home / "planted.txt", temporary / "planted.txt", said):
        with path.open("ab") as file:
            file.write(b"\n".join(whole))
    return began


def in_a_page(servers: Servers, home: Path, words: Mapping[str, str]) -> set[str]:
    """Return what is found of a row that nobody touches, in the page of it that the log keeps when its neighbour is changed."""
    with psycopg.connect(plain(servers.admin_url), autocommit=True) as admin:
        neighbour = "INSERT INTO page VALUES (1, %s), (2, '')"
        admin.execute("CREATE TABLE page (id int, words text)")
        admin.execute(neighbour, ["\n".join(words.values())])
        admin.execute("SELECT pg_switch_wal()")
        admin.execute("CHECKPOINT")
        [[begun]] = admin.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").fetchall()
        admin.execute("UPDATE page SET words = 'x' WHERE id = 2")
        admin.execute("DROP TABLE page")
    return hound.in_file(home / "postgresql" / "pg_wal" / begun, hound.scents(words))


def plain(url: str) -> str:
    """Return a server's address as psycopg reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def dump(servers: Servers) -> bytes:
    """Return every row of every table, as a dump writes it."""
    parts = []
    with psycopg.connect(plain(servers.owner_url)) as owner:
        tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        for (name,) in owner.execute(tables).fetchall():
            with owner.cursor() as cursor, cursor.copy(f'COPY "{name}" TO STDOUT') as copy:
                parts.extend(bytes(one) for one in copy)
    return b"".join(parts)


def searched(
    home: Path, servers: Servers, scents: Mapping[str, Scent], *, said: Path, temporary: Path, since: float = 0
) -> Found:
    """Return what is found in which place. The servers still run; what they hold is written out first."""
    found: Found = {"dump": {"the tables": kinds} if (kinds := hound.found(dump(servers), scents)) else {}}
    with psycopg.connect(plain(servers.admin_url), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
    with redis.Redis.from_url(servers.redis_url) as broker:
        broker.config_set("rdbcompression", "no")
        broker.save()
    data, log, logs = home / "postgresql", home / "postgresql" / "pg_wal", home / "logs"
    brokers = list(home.glob("redis-*"))
    own = [one for one in home.iterdir() if one not in (data, logs, *brokers) and one.suffix != ".log"]
    places = {
        "data files": [one for one in data.iterdir() if one != log],
        "broker's files": brokers,
        "logs": [logs, *home.glob("*.log")],
        "what up says": [said],
        "temporary folder": [temporary],
        "home": own,
    }
    with hound.pack() as pack:
        found["write-ahead log"] = dict(hound.in_files([log], scents, pack=pack, since=since, read=_in_log))
        for name, folders in places.items():
            found[name] = dict(hound.in_files(folders, scents, pack=pack, since=since))
    return found


def _in_log(path: Path, scents: Mapping[str, Scent]) -> set[str]:
    """Search a file of the write-ahead log without the heads of its pages, which stand within what is written across two."""
    data = path.read_bytes() if path.is_file() else b""
    pages = b"".join(data[place + _HEAD : place + _PAGE] for place in range(0, len(data), _PAGE))
    return hound.found(hound.used(pages), scents)
