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
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from starlette.testclient import TestClient

from newsletter import assembly, database, embedded, settings
from newsletter.journeys import exporting
from newsletter.operators.roles import Role
from newsletter.web import create
from tests.fakes import answers, exports, hound, returns
from tests.fakes.ports import free_port
from tests.fakes.program import Program
from tests.journeys import traces
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
    "moved": {
        "address": "hephzibah.quillfeather@teapot-moor.example",
        "local part": "hephzibah.quillfeather",
        "own domain": "teapot-moor.example",
        "name": "Hephzibah Quillfeather",
        "network": "203.0.113.78",
    },
    "had left": {
        "address": "thaddeus.crumplehorn@bellows-gate.example",
        "local part": "thaddeus.crumplehorn",
        "own domain": "bellows-gate.example",
        "name": "Crumplehorn",
    },
    "says no": {
        "address": "araminta.puddlewick@thimble-fen.example",
        "local part": "araminta.puddlewick",
        "own domain": "thimble-fen.example",
        "name": "Araminta Puddlewick",
    },
    "silent": {
        "address": "lysander.snodgrove@kettle-heath.example",
        "local part": "lysander.snodgrove",
        "own domain": "kettle-heath.example",
        "name": "Lysander Snodgrove",
    },
    "writes": {"address": "cuthbert.wobblegate@tin-drum.example", "local part": "wobblegate", "name": "Cuthbert Wob"},
}


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
        self.home, self.said = folder / "home", folder / "up.log"
        self.pages = f"http://127.0.0.1:{port}"

    @contextmanager
    def up(self):
        """Run everything, as `newsletter up` does, beside servers whose log can be read; return those."""
        self.run("servers", "start")
        servers = embedded.status(self.home)
        traces.readable(servers)
        command = [sys.executable, "-m", "newsletter", "up", "--port", str(self.port)]
        with self.said.open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(self._answers, seconds=90, every=0.2, what=self.said.read_text())
            yield servers
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            self.run("servers", "stop")

    def _answers(self):
        try:
            return httpx.get(f"{self.pages}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def run(self, *words, stdin=""):
        return Program(self.environment).run(*words, stdin=stdin)[0]

    def mail_to(self, address, part=""):
        """Wait for a mail to somebody, and return it."""
        wait_for(lambda: self._mail(address, part), seconds=45, every=0.1, what=f"a mail with {part}")
        return self._mail(address, part)

    def _mail(self, address, part):
        for one in self.sink.messages:
            mail = email.message_from_bytes(one.content, policy=email.policy.default)
            if one.recipient.lower() == address and part in " ".join(words(mail).split()):
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
    # Without --evidence: who has a time of confirming has a permission. And a second list that names whom the first had barred.
    for name in ("export.zip", "again.zip"):
        ground.run("subscribers", "import", mailchimp(ground.folder / name), "--digest", "weekly")


def mailchimp(path):
    """Write what another system knows of two people: one who takes its mail, and one who had left."""
    moved, left = PEOPLE["moved"], PEOPLE["had left"]
    first, last = moved["name"].split()
    return exports.mailchimp(
        path,
        subscribed=exports.SUBSCRIBED.splitlines()[0]
        + f'\n{moved["address"]},{first},{last},4,,,"2019-04-18 14:00:32",{moved["network"]},,,,,,,,"2021-01-02 03:04:05",1,a,,\n',
        unsubscribed=exports.UNSUBSCRIBED.splitlines()[0]
        + f'\n{left["address"]},Thaddeus,{left["name"]},2,,,"2018-01-01 10:00:00",192.0.2.9,,,,,,,,'
        '"2022-05-06 07:08:09",Spring,c1,NORMAL,,2,b,,\n',
        cleaned=exports.CLEANED.splitlines()[0] + "\n",
    )


ROWS = ("imported", "gone", "refused")


def live(ground, servers):
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
        assert pages.post(preferences, data={"action": "level", "level": "weekly"}).status_code == 200
        leave = path(digest, "u")
        pages.get(leave)
        assert pages.post(leave, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        pages.post("/join", data={"email": f"{PEOPLE['writes']['address']} ", "digest": "none"})
        pages.get(f"/nowhere?email={PEOPLE['writes']['address']}")
        refuse(ground, pages, servers)
        stay_silent(ground)
        alarm(ground)
        vanish(ground, pages, servers)
    ground.run("suppressions", "list")
    ground.run("subscribers", "show", stdin=PEOPLE["imported"]["address"] + "\n")


def refuse(ground, pages, servers):
    """A stranger writes somebody's name and address into a form, who answers that they did not ask for it."""
    person = PEOPLE["says no"]
    pages.post("/join", data={"email": person["address"], "name": person["name"], "digest": "weekly"})
    asked, question = ground.mail_to(person["address"], "/c/")
    said = answers.gmail(asked.content, person["address"], "No")
    returns.hand_over(ground.lmtp, person["address"], str(question["reply-to"]), said)
    wait_for(lambda: lived(servers)["a no"], seconds=30, every=0.2, what="the no to be heard")


def stay_silent(ground):
    """A list brings somebody without evidence, who is asked; then it is taken back."""
    person, path = PEOPLE["silent"], ground.folder / "silent.csv"
    path.write_text(f"email,name,optin_time\n{person['address']},{person['name']},\n", encoding="utf-8")
    brought = json.loads(ground.run("subscribers", "import", path, "--digest", "weekly", "--json"))["import"]
    ground.run("subscribers", "ask", brought)
    ground.mail_to(person["address"], "/c/")
    ground.run("subscribers", "undo", brought, "--yes")


def alarm(ground):
    """An alert goes to everybody."""
    (ground.folder / "alert.md").write_text("# Lorries at Sarand\n\nFourteen lorries stand at the gate.\n")
    ground.run("alerts", "send", ground.folder / "alert.md", "--to", "weekly")
    for who in ("joined", "moved"):
        ground.mail_to(PEOPLE[who]["address"], "Fourteen lorries")


def vanish(ground, pages, servers):
    """Who came from elsewhere takes out what is held of them, and has themselves erased."""
    address = PEOPLE["moved"]["address"]
    _, alert = ground.mail_to(address, "Fourteen lorries")
    assert pages.post(f"{path(alert, 'p')}/link").status_code == 200
    _, proof = ground.mail_to(address, PROVES)
    own = path(proof, "p")
    held = pages.post(f"{own}/export")
    assert PEOPLE["moved"]["name"] in held.text
    assert pages.post(f"{own}/erase").status_code == 200
    wait_for(lambda: lived(servers)["one who was erased"], seconds=30, every=0.2, what="to be erased")


def come_back(ground, bounced, other):
    """A server says that an address is dead, and a person writes by hand."""
    gone, writes = PEOPLE["gone"]["address"], PEOPLE["writes"]
    said = f"550 5.1.1 <{gone}>: no such user {PEOPLE['gone']['name']}"
    returns.hand_over(ground.lmtp, "", bounced.sender, returns.dsn(bounced.content, gone, words=said))
    letter = returns.letter(
        f"{writes['name']} <{writes['address']}>", other.sender, "Please help", "I am Cuthbert Wob."
    )
    returns.hand_over(ground.lmtp, writes["address"], other.sender, letter)


def team(ground, servers):
    """A team member is added, enrols, logs in at the console, and takes the list out."""
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
    number, token = crew.add(Role.SENDER, Role.DATA_OFFICER, name=operator["name"], address=operator["address"])
    member = crew.enrol(token)
    member.address = operator["address"]
    with worker.parts.database.transaction() as session:
        now = database.now(session)
    with TestClient(create(web), base_url=BASE, raise_server_exceptions=False) as client:
        browser = Browser(client)
        browser.log_in(member, step(member, now))
        assert browser.path == "/console", browser.text
    asked = exporting.ask(worker.parts, by=number, reason="a move to another office")
    taken = ground.folder / "taken.csv"
    exporting.take(worker.parts, asked.export, str(taken), by=number, code=step(member, now, 1))
    assert PEOPLE["joined"]["address"] in taken.read_text()
    ground.mail_to(operator["address"], "a move to another office")
    worker.close()
    web.close()


LIVED = {
    "an address that is dead": "SELECT count(*) = 1 FROM suppression WHERE reason = 'dead'",
    "a letter": "SELECT count(*) = 1 FROM reply",
    "a wish, asked and answered": "SELECT count(*) = 1 FROM signup WHERE state = 'settled'",
    "its proof": "SELECT count(*) = 1 FROM consent_detail",
    "one who left": "SELECT count(*) = 1 FROM subscription WHERE end_reason = 'unsubscribed'",
    "names and postcodes": "SELECT count(name_sealed) = 4 AND count(postcode_sealed) = 2 FROM subscriber",
    "a row that was refused": "SELECT count(*) = 1 FROM import_reject",
    "a log-in": "SELECT count(*) = 1 FROM operator_session WHERE stage = 'full' AND device_sealed IS NOT NULL",
    "one who had left elsewhere": "SELECT count(*) = 1 FROM suppression WHERE reason = 'left' AND import_id IS NOT NULL",
    "whom another list names as well": "SELECT count(*) = 1 FROM suppression_naming",
    "a no": "SELECT count(*) = 1 FROM signup WHERE refused_at IS NOT NULL AND inbox IS NOT NULL",
    "one who said nothing": "SELECT count(*) = 1 FROM stayed_silent",
    "an alert": "SELECT count(*) = 1 FROM mailing WHERE kind = 'alert' AND state = 'done'",
    "a list that was taken out": "SELECT count(*) = 1 FROM list_export WHERE taken_at IS NOT NULL",
    "one who was erased": "SELECT count(*) = 1 FROM audit WHERE content LIKE '%person.erased%'",
}
PROVES = "Open my page"


def lived(servers):
    """Return what of the story came about: a clean search of an empty house says nothing."""
    with psycopg.connect(traces.plain(servers.owner_url)) as owner:
        return {what: owner.execute(query).fetchone()[0] for what, query in LIVED.items()}


@pytest.mark.proof
@pytest.mark.short
def test_nothing_of_anybody_is_left_in_clear(ground):
    """Who takes a disk, a backup or a log away must not learn who is on the list; and the search must be able to tell."""
    people = {f"{who}'s {kind}": word for who, facts in PEOPLE.items() for kind, word in facts.items()}
    with ground.up() as servers:
        prepare(ground)
        live(ground, servers)
        team(ground, servers)
        assert lived(servers) == dict.fromkeys(LIVED, True)
        # Of how people live with it one setting is another here.
        assert traces.changed(servers) == {"wal_compression"}
        time.sleep(1)
        where = {"said": ground.said, "temporary": ground.folder / "temporary"}
        began = time.monotonic()
        found = traces.searched(ground.home, servers, hound.scents(people), **where)
        took = time.monotonic() - began
        since = traces.plant(ground.home, servers, **where)
        control = traces.searched(ground.home, servers, hound.scents(traces.PLANTED), since=since, **where)
        page = traces.in_a_page(servers, ground.home, traces.planted("plain"))
    print(found, f"{took:.1f} s, the control {time.monotonic() - began - took:.1f} s")
    missed = {place: set(traces.PLANTED) - set().union(*hits.values()) for place, hits in control.items()}
    assert missed == {place: set() for place in traces.PLACES}
    assert page == set(traces.planted("plain"))
    assert found == {place: {} for place in traces.PLACES}
