"""Nothing of a person is left in clear anywhere: not in the database, its files and logs, not in the broker's, not in ours.

One machine lives through everything that touches people, with names that nobody else has. Then every place is searched, decoded
(`tests.fakes.hound`); the same search must find what was planted there in clear.
"""

import email
import email.policy
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import psycopg
import pytest
import redis
from sqlalchemy import make_url
from starlette.testclient import TestClient

from newsletter import assembly, database, embedded, settings
from newsletter.operators.roles import Role
from newsletter.web import create
from tests.fakes import hound, returns
from tests.operators.crew import Crew
from tests.reliability.machine import wait_for
from tests.web.visiting import BASE, Browser, step

BACK = "back.sarand.example"
PEOPLE = {
    "imported": {
        "address": "zebulon.quaifeworthy@wombat-glade.example",
        "local part": "zebulon.quaifeworthy",
        "own domain": "wombat-glade.example",
        "name": "Zébulon Quaifeworthy",
        "postcode": "ZQ97 4XJ",
    },
    "joined": {
        "address": "ottoline.fizzlebrook@marzipan-tarn.example",
        "local part": "ottoline.fizzlebrook",
        "own domain": "marzipan-tarn.example",
        "name": "Ottoline Fizzlebrook",
    },
    "gone": {
        "address": "barnabas.thwackeray@gone-larder.example",
        "local part": "barnabas.thwackeray",
        "own domain": "gone-larder.example",
        "name": "Barnabas Thwackeray",
        "postcode": "ZQ98 5XK",
    },
    "refused": {"address": "peregrine oddsocket@pigeon-loft", "local part": "oddsocket", "name": "Peregrine Oddsocket"},
    "operator": {
        "address": "wilhelmina.sprocket@brass-kettle.example",
        "local part": "wilhelmina.sprocket",
        "own domain": "brass-kettle.example",
        "name": "Wilhelmina Sprocketbury",
    },
    "writes": {"address": "cuthbert.wobblegate@tin-drum.example", "local part": "wobblegate", "name": "Cuthbert Wob"},
}
PLANTED = {
    "address": "leopold.canaryfield@planted-yard.example",
    "local part": "leopold.canaryfield",
    "own domain": "planted-yard.example",
    "name": "Leopold Canaryfield",
    "postcode": "ZQ99 6XL",
}
PLACES = ("dump", "data files", "write-ahead log", "broker's files", "logs", "temporary folder", "home")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def ground(tmp_path, sink):
    """A machine with folders, keys and an environment of its own."""
    for name in ("home", "temporary", "keys"):
        (tmp_path / name).mkdir(mode=0o700)
    port, lmtp = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEWSLETTER_")} | {
        "TMPDIR": str(tmp_path / "temporary"),
        "HOME": str(tmp_path),
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_RELAY_URL": sink.url,
        "NEWSLETTER_BASE_URL": f"http://127.0.0.1:{port}",
        "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
        "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        "NEWSLETTER_BOUNCE_DOMAIN": BACK,
        "NEWSLETTER_LMTP": f"127.0.0.1:{lmtp}",
    }
    return Ground(tmp_path, environment, port, lmtp, sink)


class Ground:
    """The machine: its commands, its pages and what its relay was given."""

    def __init__(self, folder, environment, port, lmtp, sink):
        self.folder, self.environment, self.port, self.lmtp, self.sink = folder, environment, port, lmtp, sink
        self.home = folder / "home"
        self.pages = f"http://127.0.0.1:{port}"

    @contextmanager
    def up(self):
        """Run everything, as `newsletter up` does."""
        command = [sys.executable, "-m", "newsletter", "up", "--port", str(self.port)]
        with (self.folder / "up.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(self._answers, seconds=90, every=0.2, what=(self.folder / "up.log").read_text())
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def _answers(self):
        try:
            return httpx.get(f"{self.pages}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def run(self, *words, stdin=""):
        ran = subprocess.run(
            [sys.executable, "-m", "newsletter", *map(str, words)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def mail_to(self, address, part=""):
        """Wait for a mail to somebody, and return it."""
        wait_for(lambda: self._mail(address, part), seconds=45, every=0.1, what=f"a mail with {part}")
        return self._mail(address, part)

    def _mail(self, address, part):
        for one in self.sink.messages:
            mail = email.message_from_bytes(one.content, policy=email.policy.default)
            if one.recipient.lower() == address and part in words(mail):
                return one, mail
        return None


def words(mail):
    return mail.get_body(("plain",)).get_content()


def path(mail, kind):
    return re.search(rf"http://127\.0\.0\.1:\d+(/{kind}/[\w-]+)", words(mail))[1]


def prepare(ground):
    """Import people and articles by the command line, one of them with an address that is none."""
    rows = [
        ",".join(PEOPLE[who].get(key, "") for key in ("address", "name", "postcode")) for who in PEOPLE if who in ROWS
    ]
    (ground.folder / "people.csv").write_text("\n".join(("email,name,postcode", *rows)) + "\n", encoding="utf-8")
    item = {
        "id": "well",
        "url": "https://sarand.example/well",
        "title": "The well runs dry",
        "content_text": "No water.",
        "date_published": "2026-06-01T08:00:00Z",
    }
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Sarand", "items": [item]}
    (ground.folder / "feed.json").write_text(json.dumps(feed))
    ground.run("digests", "add", "weekly", "--name", "The Weekly")
    imported = ("--digest", "weekly", "--basis", "imported", "--evidence", "forms in box 3")
    ground.run("subscribers", "import", ground.folder / "people.csv", *imported)
    ground.run("articles", "import", ground.folder / "feed.json", "--as-news")


ROWS = ("imported", "gone", "refused")


def live(ground):
    """Do everything that touches people."""
    with httpx.Client(base_url=ground.pages, timeout=20) as pages:
        joined = PEOPLE["joined"]
        pages.post("/join", data={"email": joined["address"], "name": joined["name"], "digest": "weekly"})
        _, question = ground.mail_to(joined["address"], "/c/")
        assert pages.post(path(question, "c")).status_code == 200
        ground.mail_to(joined["address"], "/p/")
        issue = re.search(r'"issue": (\d+)', ground.run("issues", "compose", "weekly", "--json"))[1]
        ground.run("issues", "send", issue)
        one, digest = ground.mail_to(PEOPLE["imported"]["address"], "The well runs dry")
        bounced, _ = ground.mail_to(PEOPLE["gone"]["address"], "The well runs dry")
        come_back(ground, bounced, one)
        preferences = path(digest, "p")
        assert pages.get(preferences).status_code == 200
        pages.post(preferences, data={"digest": "weekly", "rhythm": "monthly"})
        leave = path(digest, "u")
        pages.get(leave)
        assert pages.post(leave, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        pages.post("/join", data={"email": f"{PEOPLE['writes']['address']} ", "digest": "none"})
        pages.get(f"/nowhere?email={PEOPLE['writes']['address']}")
    ground.run("suppressions", "list")
    ground.run("subscribers", "show", stdin=PEOPLE["imported"]["address"] + "\n")


def come_back(ground, bounced, other):
    """A server says that an address is dead, and a person writes by hand."""
    gone, writes = PEOPLE["gone"]["address"], PEOPLE["writes"]
    said = f"550 5.1.1 <{gone}>: no such user {PEOPLE['gone']['name']}"
    returns.hand_over(ground.lmtp, "", bounced.sender, returns.dsn(bounced.content, gone, words=said))
    letter = returns.letter(
        f"{writes['name']} <{writes['address']}>", other.sender, "Please help", "I am Cuthbert Wob."
    )
    returns.hand_over(ground.lmtp, writes["address"], other.sender, letter)


def log_in(ground):
    """A team member is added, enrols, and logs in at the console."""
    servers = embedded.status(ground.home)
    told = {
        name.removeprefix("NEWSLETTER_").lower(): value
        for name, value in ground.environment.items()
        if "NEWSLETTER" in name
    }
    chosen = settings.read(**told | {"base_url": BASE})
    worker = assembly.assemble(chosen)
    web = assembly.assemble(chosen, role="web")
    operator = PEOPLE["operator"]
    crew = Crew(worker.parts.database, web.parts.database)
    _, token = crew.add(Role.SENDER, name=operator["name"], address=operator["address"])
    member = crew.enrol(token)
    member.address = operator["address"]
    with worker.parts.database.transaction() as session:
        now = database.now(session)
    with TestClient(create(web), base_url=BASE, raise_server_exceptions=False) as client:
        browser = Browser(client)
        browser.log_in(member, step(member, now))
        assert browser.path == "/console", browser.text
    worker.close()
    web.close()
    return servers


LIVED = {
    "an address that is dead": "SELECT count(*) = 1 FROM suppression WHERE reason = 'dead'",
    "a letter": "SELECT count(*) = 1 FROM reply",
    "a wish, asked and answered": "SELECT count(*) = 1 FROM signup WHERE state = 'settled'",
    "its proof": "SELECT count(*) = 1 FROM consent_detail",
    "one who left": "SELECT count(*) = 1 FROM subscription WHERE end_reason = 'unsubscribed'",
    "names and postcodes": "SELECT count(name_sealed) = 3 AND count(postcode_sealed) = 2 FROM subscriber",
    "a row that was refused": "SELECT count(*) = 1 FROM import_reject",
    "a log-in": "SELECT count(*) = 1 FROM operator_session WHERE stage = 'full' AND device_sealed IS NOT NULL",
}


def lived(servers):
    """Return what of the story came about: a clean search of an empty house says nothing."""
    with psycopg.connect(plain(servers.owner_url)) as owner:
        return {what: owner.execute(query).fetchone()[0] for what, query in LIVED.items()}


def plant(ground, servers):
    """Leave one of each kind in clear in each place."""
    whole = "\n".join(PLANTED.values())
    with psycopg.connect(plain(servers.owner_url), autocommit=True) as owner:
        owner.execute("CREATE TABLE planted (id int, words text)")
        owner.execute("INSERT INTO planted VALUES (1, %s)", [whole])
    with redis.Redis.from_url(servers.redis_url) as broker:
        broker.set("planted", whole)
    for place in ("logs/web.log", "planted.txt", "../temporary/planted.txt"):
        with (ground.home / place).open("a", encoding="utf-8") as file:
            file.write(whole)


def plain(url):
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def dump(servers):
    """Return every row of every table, as a dump writes it."""
    parts = []
    with psycopg.connect(plain(servers.owner_url)) as owner:
        tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        for (name,) in owner.execute(tables).fetchall():
            with owner.cursor() as cursor, cursor.copy(f'COPY "{name}" TO STDOUT') as copy:
                parts.extend(bytes(one) for one in copy)
    return b"".join(parts)


def searched(ground, servers, scents):
    """Return what is found in which place. The servers still run; what they hold is written out first."""
    found = {"dump": {"the tables": kinds} if (kinds := hound.found(dump(servers), scents)) else {}}
    with psycopg.connect(plain(servers.admin_url), autocommit=True) as admin:
        admin.execute("CHECKPOINT")
    with redis.Redis.from_url(servers.redis_url) as broker:
        # What is compressed the server's own way no hound of ours could read.
        broker.config_set("rdbcompression", "no")
        broker.save()
    data, apart = ground.home / "postgresql", ground.home / "postgresql" / "pg_wal"
    brokers = list(ground.home.glob("redis-*"))
    home = [one for one in ground.home.iterdir() if one.name not in ("postgresql", "logs") and one not in brokers]
    places = {
        "data files": [one for one in data.iterdir() if one != apart and one.is_dir()],
        "write-ahead log": [apart],
        "broker's files": brokers,
        "logs": [ground.home / "logs"],
        "temporary folder": [ground.folder / "temporary"],
    }
    found |= {name: hound.in_files(folders, scents) for name, folders in places.items()}
    loose = {one: kinds for one in home if one.is_file() and (kinds := hound.found(one.read_bytes(), scents))}
    found["home"] = hound.in_files([one for one in home if one.is_dir()], scents) | loose
    for log in ground.home.glob("*.log"):
        found["logs"] |= {log: kinds} if (kinds := hound.found(log.read_bytes(), scents)) else {}
    return found


@pytest.mark.proof
@pytest.mark.short
def test_nothing_of_anybody_is_left_in_clear(ground):
    """Who takes a disk, a backup or a log away must not learn who is on the list; and the search must be able to tell."""
    people = {f"{who}'s {kind}": word for who, facts in PEOPLE.items() for kind, word in facts.items()}
    with ground.up():
        prepare(ground)
        live(ground)
        servers = log_in(ground)
        assert lived(servers) == dict.fromkeys(LIVED, True)
        time.sleep(1)
        began = time.monotonic()
        found = searched(ground, servers, hound.scents(people))
        took = time.monotonic() - began
        plant(ground, servers)
        control = searched(ground, servers, hound.scents(PLANTED))
    print({place: len(hits) for place, hits in found.items()}, f"{took:.1f} s")
    assert {place: set.union(set(), *hits.values()) for place, hits in control.items()} == {
        place: set(PLANTED) for place in PLACES
    }
    assert found == {place: {} for place in PLACES}
