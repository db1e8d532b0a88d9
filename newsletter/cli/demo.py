"""newsletter demo: the whole road on invented people and articles, with real servers, real workers and a real inbox."""

import json
import os
import re
import shutil
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from newsletter import assembly, embedded, settings
from newsletter.assembly import Newsletter
from newsletter.cli import people, running, waiting
from newsletter.cli.door import AsJson, page, screen
from newsletter.cli.inbox import Inbox, InboxPage
from newsletter.issues import digests
from newsletter.journeys import alert, moving_in, publish
from newsletter.settings import Settings
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm

SAMPLE = Path(__file__).parent / "sample"
PEOPLE = 300
DIGEST = "weekly"


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End by itself; the last line of stdout is one JSON document.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the whole road: import, compose, send, alert, unsubscribe, on this machine alone."""
    began = time.monotonic()
    once = once or as_json or not sys.stdout.isatty()
    with Inbox() as inbox:
        chosen = _settings(inbox)
        os.environ.update(_environment(chosen))
        with running.everything(chosen, port=int(chosen.base_url.rpartition(":")[2]), durable=False) as machine:
            made = assembly.assemble(chosen)
            try:
                document = _story(made, inbox, machine) | {"seconds": round(time.monotonic() - began, 1)}
            finally:
                made.close()
            _show(document, as_json=as_json)
            if once:
                print(json.dumps(document, ensure_ascii=False))
            else:
                _linger(machine, inbox, document)


def _settings(inbox: Inbox) -> Settings:
    """Return settings of the demo's own: its data and keys lie apart from everything real, and are made anew."""
    common = settings.read()
    home = common.home.with_name(common.home.name + "-demo")
    keys = common.keys.with_name("demo-keys.json")
    _forget(home, keys)
    return settings.read(
        home=home,
        keys=keys,
        database_url=None,
        migrate_url=None,
        redis_url=None,
        relay_url=inbox.url,
        relay_url_urgent=None,
        relay_url_transactional=None,
        base_url=f"http://127.0.0.1:{_free_port()}",
        sender="Friends of Sarand <news@sarand.example>",
        postal_address="Friends of Sarand, 7 Lantern Yard, London N1 0AA",
        bounce_domain=None,
    )


def _forget(home: Path, keys: Path) -> None:
    """Remove what an earlier demo left; a folder without the demo's mark is never touched."""
    if (home / "demo").exists():
        embedded.stop(home)
        shutil.rmtree(home)
        keys.unlink(missing_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    (home / "demo").write_text("This folder belongs to “newsletter demo”, which removes it when it runs again.\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(chosen: Settings) -> dict[str, str]:
    """Return the settings as the workers and the pages read them."""
    own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(settings.PREFIX)}
    kept = {name: value for name, value in own.items() if name.endswith(("_TEMPLATES", "_FETCH_ALLOW"))}
    return kept | {
        "NEWSLETTER_HOME": str(chosen.home),
        "NEWSLETTER_KEYS": str(chosen.keys),
        "NEWSLETTER_RELAY_URL": settings.reveal(chosen.relay_url) or "",
        "NEWSLETTER_BASE_URL": chosen.base_url,
        "NEWSLETTER_SENDER": chosen.sender,
        "NEWSLETTER_POSTAL_ADDRESS": chosen.postal_address,
    }


def _story(made: Newsletter, inbox: Inbox, machine: running.Machine) -> dict[str, Any]:
    """Run the road once and return what happened."""
    parts = made.parts
    say = screen.print
    say("The servers run and the database is migrated.")
    with parts.database.transaction() as session:
        digests.add(session, DIGEST, name="The Sarand Weekly", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    list_ = people.write(parts.home / "subscribers.csv", PEOPLE)
    joined = moving_in.import_subscribers(
        parts, str(list_), digest_key=DIGEST, permission=moving_in.Permission(Basis.IMPORTED, "invented for the demo")
    )
    articles = publish.import_articles(parts, str(SAMPLE / "articles.json"), as_news=True)
    say(f"{joined.added} invented people and {articles.added} articles came in.")
    composed = publish.compose(parts, DIGEST)
    files = publish.preview(parts, composed.issue, parts.home / "preview")
    digest = waiting.until_over(made, publish.send(parts, composed.issue))
    say(f"The digest went out: {digest.accepted} messages, {digest.messages_per_second} a second.")
    machine.ready()
    leaver = _unsubscribe(inbox)
    say("One reader pressed the one-click button of their mail program.")
    warned = waiting.until_over(made, alert.send(parts, [str(SAMPLE / "alert.md")], digest_key=DIGEST))
    say(f"The alert went out: {warned.accepted} messages.")
    return {
        "subscribers": joined.added,
        "articles": articles.added,
        "issue": composed.issue,
        "variants": composed.variants,
        "digest": {"mailing": digest.mailing, "state": digest.state, "accepted": digest.accepted},
        "messages_per_second": digest.messages_per_second,
        "unsubscribed": 1,
        "alert": {"mailing": warned.mailing, "state": warned.state, "accepted": warned.accepted},
        "alert_reached_the_one_who_left": any(to == leaver for to, _ in inbox.received[digest.accepted :]),
        "files": [str(path) for path in files],
        "unsubscribe_page": _link(inbox, inbox.received[0][0]),
    }


def _link(inbox: Inbox, address: str) -> str:
    """Return the unsubscribe link of a reader's mail, read from its header as a mail program does."""
    place = next(place for place, (to, _) in enumerate(inbox.received) if to == address)
    found = re.search(r"<(https?://[^>]+)>", str(inbox.parsed(place)["List-Unsubscribe"]))
    assert found is not None
    return found[1]


def _unsubscribe(inbox: Inbox) -> str:
    """Do what a mail program does for one reader (RFC 8058), and return who it was."""
    address = inbox.received[-1][0]
    form = b"List-Unsubscribe=One-Click"
    # A proxy that the environment names knows nothing of our own loopback page.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(_link(inbox, address), data=form, timeout=30) as answer:
        answer.read()
    return address


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return
    table = Table(title="The demo", title_justify="left", box=None, show_header=False, pad_edge=False)
    digest, warned = document["digest"], document["alert"]
    rows = {
        "People imported": document["subscribers"],
        "Articles imported": document["articles"],
        "Versions of the digest": document["variants"],
        "Digest handed over": f"{digest['accepted']} ({document['messages_per_second']} a second)",
        "Left by one click": document["unsubscribed"],
        "Alert handed over": warned["accepted"],
        "Alert to the one who left": "yes" if document["alert_reached_the_one_who_left"] else "no",
        "Seconds": document["seconds"],
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    page.print(table)
    for path in document["files"]:
        print(path)


def _linger(machine: running.Machine, inbox: Inbox, document: dict[str, Any]) -> None:
    shown = InboxPage(inbox, f"{len(inbox.received)} messages, newest first.")
    screen.print(f"Inbox: {shown.url}\nDigests: {machine.base_url}/archive/{DIGEST}", soft_wrap=True)
    screen.print(f"Unsubscribe page: {document['unsubscribe_page']}\nCtrl-C ends it.", soft_wrap=True)
    machine.wait()
    shown.close()
