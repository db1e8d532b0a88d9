"""A whole product over a test's own database, for stories and for the tests of what moves mail."""

import csv
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from newsletter import assembly, database, settings
from newsletter.assembly import Newsletter
from newsletter.delivery import asking
from newsletter.issues import cutting, digests
from newsletter.journeys import confirming, moving_in, publish, rekeying
from newsletter.subscribers import fresh, importing, people, signup
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring
from tests.servers import Urls

DIGEST = "weekly"


def build(
    tmp_path: Path, urls: Urls, relay_url: str, *, redis_url: str | None = None, web: bool = False, **more: Any
) -> Newsletter:
    """Return a product with keys of its own, and a weekly digest, in English where there was none. `more`: further settings.

    web   as the pages run it: their role, and their part of the keys
    """
    keys = tmp_path / "keys" / "keys.json"
    if not keys.exists():
        Keyring.create(keys)
    if web:
        keys = rekeying.split(keys, tmp_path / "keys-web")
    usual: dict[str, Any] = {
        "home": tmp_path / "home",
        "keys": keys,
        "database_url": urls.web if web else urls.worker,
        "redis_url": redis_url,
        "relay_url": relay_url,
        "base_url": "http://127.0.0.1:8080",
        "sender": "Friends of Sarand <news@sarand.example>",
        "postal_address": "7 Lantern Yard, London",
        # Who may let an alert go is asked where it is the matter (tests/journeys/test_alert.py).
        "one_person_up_to": 10_000_000,
        "approvers": tmp_path / "keys" / "approvers.json",
    }
    chosen = settings.read(**(usual | more))
    made = assembly.assemble(chosen, role="web" if web else "worker")
    with made.parts.database.transaction() as session, suppress(digests.DigestExists):
        digests.add(session, DIGEST, name="The Weekly", languages=("en",), rhythm=Rhythm.WEEKLY)
    return made


def add_readers(
    made: Newsletter, tmp_path: Path, addresses: Sequence[str], *, name: str = "Reader", digest: str = DIGEST
) -> None:
    """Import readers of a digest, called "Reader 0", "Reader 1" …, whoever is in the team."""
    path = tmp_path / "people.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "name"))
        writer.writerows((address, f"{name} {place}") for place, address in enumerate(addresses))
    bring(made, path, digest=digest)


def bring(made: Newsletter, path: Path, *, digest: str = DIGEST, **more: Any) -> importing.ImportReport:
    """Import a file of people into a digest: without the story of who may, so that no test needs a data officer for it."""
    with made.parts.database.transaction() as session:
        into, now = digests.by_key(session, digest), database.now(session)
        had_to = cutting.last_cut(session, into.id, into.rhythm)
    terms = importing.Terms(into.id, into.languages[0], into.rhythm, Basis.IMPORTED, had_to, now)
    done = importing.bring(
        made.parts.database,
        moving_in.look(str(path)),
        terms=terms,
        evidence="a test",
        rejects=made.parts.home / "rejects",
        **more,
    )
    moving_in.show(made.parts, done)
    return done


def fresh_link(made: Newsletter, number: int, *, ago: timedelta = timedelta(0)) -> str:
    """Return what stands in the link that a worker mails to a reader, or mailed then. Whoever else waits for one waits in vain."""
    parts = made.parts
    with parts.database.transaction() as session:
        now, key_id = database.now(session), parts.database.vault.countersigner
        fresh.ask(session, number)
        [taken] = [one for one in fresh.take(session, key_id=key_id, now=now - ago) if one.subscriber_id == number]
        person = people.by_id(session, number)
        occasion = asking.to_prove(number, now - ago, key_id)
        fresh.keep(session, taken, asking.countersign(session.vault, occasion, person.mailbox_id))
        asked = asking.asked(parts.tokens, parts.database.vault, occasion, mailbox_id=person.mailbox_id, now=now)
    return asked.action


def yes_link(made: Newsletter, signup_id: int) -> str:
    """Return what stands in the link by which a worker asks whether somebody wished to join."""
    return question(made, signup_id).action


def question(made: Newsletter, signup_id: int) -> asking.Asked:
    """Return what the mail holds by which a worker asks whether somebody wished to join."""
    parts = made.parts
    with parts.database.transaction() as session:
        mailbox, now = signup.mailbox_of(session, signup_id), database.now(session)
        occasion = asking.to_join(signup_id)
        return asking.asked(parts.tokens, parts.database.vault, occasion, mailbox_id=mailbox, now=now)


@contextmanager
def judging(made: Newsletter) -> Iterator[None]:
    """Let a worker judge what is said on pages, meanwhile."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(0.06):
            confirming.judge(made.parts)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def add_articles(
    made: Newsletter, tmp_path: Path, *titles: str, posted: str = "2026-06-01T08:00:00Z", language: str | None = None
) -> None:
    """Import articles with these titles as news."""
    items = [
        {
            "id": title,
            "url": f"https://sarand.example/{place}",
            "title": title,
            "content_text": f"What happened: {title}.",
            "date_published": posted,
        }
        | ({"language": language} if language else {})
        for place, title in enumerate(titles)
    ]
    path = tmp_path / "articles.json"
    path.write_text(json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Sarand", "items": items}))
    publish.import_articles(made.parts, str(path), as_news=True)


def issue(
    made: Newsletter, tmp_path: Path, *, addresses: Sequence[str], now: datetime | None = None
) -> publish.Composed:
    """Compose an issue of one article for these readers, not yet sent."""
    add_readers(made, tmp_path, addresses)
    add_articles(made, tmp_path, "The well runs dry")
    return publish.compose(made.parts, DIGEST, now=now)


def addresses(count: int) -> list[str]:
    """Return invented addresses."""
    return [f"reader{number}@example.org" for number in range(count)]


def by_owner(urls: Urls, statement: str, *values: Any) -> None:
    """Change what no role of the product may: to show what is seen when it is wrong all the same."""
    url = make_url(urls.owner).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as owner:
        owner.execute(statement, values or None)
