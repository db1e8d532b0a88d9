"""Keys change while mail goes out and people join: nobody is left out, nothing is lost, and a killed turn goes on."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import languages, mailboxes, resealing
from newsletter.addresses import EmailAddress
from newsletter.database import Database
from newsletter.errors import NewsletterError
from newsletter.journeys import joining, publish, rekeying
from newsletter.keyring import Keyring, KeysExist, OfThePages
from newsletter.models.base import Base
from newsletter.operators import people
from newsletter.operators.roles import Role
from newsletter.subscribers.signup import Wish
from newsletter.vault import Vault
from newsletter.web import create
from tests import house
from tests.fakes.program import Program
from tests.operators.crew import Crew

KILLED = """
import os, sys
from pathlib import Path
from newsletter.database import Database
from newsletter.journeys import rekeying
from newsletter.vault import Keyring, Vault
path, url, what = sys.argv[1:]
end = lambda done: os.kill(os.getpid(), 9)
getattr(rekeying, what)(Database(url, Vault(Keyring.load(Path(path)))), told=end)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "keys.json"


@pytest.fixture
def make(tmp_path, database_urls, sink):
    """Start the product, as often as a story restarts it."""
    opened = []

    def one(**more):
        opened.append(house.build(tmp_path, database_urls, f"{sink.url}?connections=4", **more))
        return opened[-1]

    def end(made):
        opened.remove(made)
        made.close()

    one.end = end
    yield one
    for made in opened:
        made.close()


@pytest.fixture
def owner(path, database_urls):
    """The database with the keys as they are now, as the commands open it."""
    opened = []

    def now():
        opened.append(Database(database_urls.owner, Vault(Keyring.load(path))))
        return opened[-1]

    yield now
    for one in opened:
        one.close()


def change(path, urls, purpose):
    """Change a key with nothing running, and return its number."""
    done = rekeying.rotate(path, urls.owner, purpose)
    assert done.live, done
    return done.key


def test_a_key_is_live_only_once_everybody_knows_it(make, path, database_urls):
    """A worker that met an address it cannot open would leave its reader out of the issue."""
    made, web = make(), make(web=True)
    for one in (made, web):
        with one.parts.database.transaction() as session:
            session.execute(text("SELECT 1"))
    first = rekeying.rotate(path, database_urls.owner, "seal")
    assert (first.key, first.live, first.waits_for) == (2, False, {"newsletter_worker": 1})
    assert Keyring.load(path).seal.live == 1
    make.end(made)
    again = make()
    second = rekeying.rotate(path, database_urls.owner, "seal")
    assert (second.key, second.live, second.waits_for) == (2, True, {})
    with pytest.raises(rekeying.KeyLives):
        rekeying.drop(path, database_urls.owner, "seal:2")
    # It knows the new one and writes under the old.
    with pytest.raises(rekeying.StillWritten):
        rekeying.drop(path, database_urls.owner, "seal:1")
    make.end(again)
    assert rekeying.rotate(path, database_urls.owner, "token").waits_for == {"newsletter_web": 1}


def test_everything_is_sealed_anew_while_an_issue_goes_out_and_somebody_joins(
    make, path, database_urls, tmp_path, owner, sink
):
    """Nobody stops the newsletter to change a key: each reader gets the issue once, and who joins meanwhile is in."""
    addresses = [f"reader{number}@example.org" for number in range(600)]
    before = make()
    composed = house.issue(before, tmp_path, addresses=addresses)
    publish.send(before.parts, composed.issue)
    make.end(before)
    change(path, database_urls, "seal")
    change(path, database_urls, "index")
    made = make()
    sending = threading.Thread(target=lambda: made.deliver("bulk", seconds=60))
    sending.start()
    with TestClient(create(make(web=True))) as pages:
        pages.post("/join", data={"email": "late@example.org", "digest": "weekly", "name": "Late"})
        done = rekeying.reseal(owner())
        joining.work(made.parts)
        pages.post("/join", data={"email": "later@example.org", "digest": "weekly"})
    assert rekeying.reindex(owner()).left == 0
    joining.work(made.parts)
    sending.join(60)
    # Name and address of each, and the evidence of the import.
    assert done.changed >= 2 * len(addresses) + 1
    assert (done.left, done.damaged) == (0, 0)
    assert sorted(one.recipient for one in sink.messages) == sorted(addresses)
    make.end(made)
    with owner().transaction() as session:
        assert resealing.using(session, 1) == {}
        for address in (*addresses[:3], "late@example.org", "later@example.org"):
            assert mailboxes.find(session, EmailAddress.parse(address)) is not None
    kept = rekeying.drop(path, database_urls.owner, "seal:1")
    assert "retired-seal-1" in kept.name
    rekeying.drop(path, database_urls.owner, "index:1")
    after = make()
    with after.parts.database.transaction() as session:
        assert [key for key, _ in after.parts.database.vault.index("a@example.org")] == [2]
        assert mailboxes.indexed(session, 1) == 0
        found = mailboxes.find(session, EmailAddress.parse(addresses[0]))
        assert mailboxes.open(session, found).wire == addresses[0]


def test_a_new_key_gives_nobody_who_is_flooded_a_new_budget(make, path, database_urls):
    """Questions are counted by a keyed digest of the inbox: those from under the old key count under the new one."""

    def flood(made, tag):
        joining.ask(made.parts, Wish(f"victim+{tag}@example.org", "en", {house.DIGEST: "weekly"}))
        joining.work(made.parts)
        house.by_owner(database_urls, "UPDATE signup SET asked_at = asked_at - interval '16 minutes'")
        make.end(made)

    flood(make(), "a")
    change(path, database_urls, "index")
    for tag in "bcd":
        flood(make(), tag)
    with make().parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM signup WHERE state = 'asked'")).scalar_one() == 2


@pytest.mark.parametrize(("what", "purpose"), [("reseal", "seal"), ("reindex", "index")])
def test_a_killed_turn_goes_on_where_it_was(make, path, database_urls, tmp_path, owner, what, purpose):
    """Machines lose power: what was done stays done, what was not is still open under the old key."""
    made = make()
    house.add_readers(made, tmp_path, [f"reader{number}@example.org" for number in range(520)])
    make.end(made)
    change(path, database_urls, purpose)
    left = {"reseal": rekeying.to_reseal, "reindex": rekeying.to_reindex}[what]
    whole = left(owner())
    ended = subprocess.run([sys.executable, "-c", KILLED, path, database_urls.owner, what], env=os.environ, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    rest = left(owner())
    assert 0 < rest < whole
    done = getattr(rekeying, what)(owner())
    assert done.changed == rest
    assert left(owner()) == 0
    with owner().transaction() as session:
        assert len(mailboxes.open_all(session, range(1, 521))) == 520


def test_no_sealed_column_is_forgotten(owner, make):
    """A column that a change of keys passes by would be lost with the old one; its seal must be bound to the place we think."""
    make()
    mapped = {
        (table.name, column.name, key.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_sealed")
        for key in table.primary_key
    }
    with owner().transaction() as session:
        assert {(one.table, one.name, one.key) for one in resealing.columns(session)} == mapped


def test_a_key_that_something_rests_on_stays(make, path, database_urls, tmp_path):
    """Dropping it would lose those people for ever."""
    made = make()
    house.add_readers(made, tmp_path, ["ann@example.org"])
    make.end(made)
    change(path, database_urls, "seal")
    change(path, database_urls, "index")
    whole = path.read_bytes()
    with pytest.raises(rekeying.StillUsed) as refused:
        rekeying.drop(path, database_urls.owner, "seal:1")
    assert "mailbox.address" in languages.say(refused.value.message, **refused.value.facts)
    with pytest.raises(rekeying.StillUsed):
        rekeying.drop(path, database_urls.owner, "index:1")
    with pytest.raises(rekeying.OneAtATime):
        rekeying.rotate(path, database_urls.owner, "index")
    change(path, database_urls, "token")
    with pytest.raises(rekeying.ForEver):
        rekeying.drop(path, database_urls.owner, "token:1")
    with pytest.raises(rekeying.NoSuchKey):
        rekeying.drop(path, database_urls.owner, "seal:9")
    assert whole != path.read_bytes()
    assert set(Keyring.load(path).seal.keys) == {1, 2}


def test_a_link_from_before_a_change_leaves(make, path, database_urls, tmp_path):
    """Last year's mail must still let its reader go."""
    made = make()
    house.add_readers(made, tmp_path, ["ann@example.org"])
    token = made.parts.tokens.leave(1, 1, 1)
    make.end(made)
    change(path, database_urls, "token")
    with TestClient(create(make(web=True))) as pages:
        assert pages.post(f"/u/{token}").status_code == 200
    with make().parts.database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM subscription WHERE ended_at IS NULL")).scalar_one() == 0


def test_an_installation_from_before_comes_to_have_two_files(make, path, database_urls, tmp_path, owner):
    """The team's own is under the readers' key there: it is moved before the pages get theirs, and everybody still logs in."""
    Keyring.create(path)
    old = Keyring.load(path)
    Keyring(seal=old.seal, index=old.index, token=old.token).save(path)
    made = make()
    whole = make(keys=path, database_url=database_urls.web)
    Crew(made.parts.database, whole.parts.database).member(Role.SENDER, name="Mina Moradi")
    with pytest.raises(rekeying.NoPartYet):
        rekeying.split(path, tmp_path / "web")
    make.end(made)
    make.end(whole)
    for purpose in ("team", "box"):
        change(path, database_urls, purpose)
    assert rekeying.reseal(owner()).left == 0
    pages = make(web=True)
    with pages.parts.database.transaction() as session:
        [mina] = people.listed(session)
    assert mina.name == "Mina Moradi"
    assert mina.masked != "erased"


def test_the_pages_part_changes_no_keys(path, database_urls, tmp_path):
    """Whoever takes the pages over must not be able to make keys, and a slip must not write over the whole file."""
    Keyring.create(path)
    part = rekeying.split(path, tmp_path / "web")
    with pytest.raises(OfThePages):
        rekeying.rotate(part, database_urls.owner, "seal")
    with pytest.raises(OfThePages):
        rekeying.split(part, tmp_path / "elsewhere")
    with pytest.raises(KeysExist):
        rekeying.split(path, path.parent)
    with pytest.raises(NewsletterError):
        rekeying.reseal(Database(database_urls.owner, Vault(Keyring.load(part))))


def test_the_commands_say_what_to_do_next(path, database_urls, tmp_path, sink):
    """Whoever changes keys does it once a year: each step names the next."""
    program = Program(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "NEWSLETTER_HOME": str(tmp_path / "home"),
            "NEWSLETTER_KEYS": str(path),
            "NEWSLETTER_DATABASE_URL": database_urls.worker,
            "NEWSLETTER_MIGRATE_URL": database_urls.owner,
        }
    )
    assert program.json("keys", "make") == {"keys": str(path)}
    assert program.json("keys", "make", code=1)["error"] == "vault.keys-exist"
    out, err = program.run("keys", "rotate", "seal", "--json")
    assert '"live": true' in out
    assert re.search("keys\\s+split", err)
    assert [row["key"] for row in program.json("keys", "list") if row["live"]] == [
        *("seal:2", "team:128", "box:192", "index:1", "token:1")
    ]
    assert program.json("keys", "reseal", "--dry-run") == {"left": 0, "dry_run": True}
    assert program.json("keys", "reseal") == {"changed": 0, "left": 0, "damaged": 0}
    assert program.json("keys", "reindex")["left"] == 0
    assert program.json("keys", "split", tmp_path / "web") == {"keys": str(tmp_path / "web" / "keys.json")}
    assert program.json("keys", "drop", "seal:1")["dropped"] == "seal:1"
    assert program.json("keys", "drop", "seal:1", code=1)["error"] == "keys.unknown"
