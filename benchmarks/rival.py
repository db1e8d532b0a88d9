"""One process of a Python rival, started by `rivals`: it gets ready, waits for a word, sends, and prints its CPU seconds."""

import asyncio
import json
import resource
import smtplib
import sys
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import jinja2
import premailer
import psycopg
import uvloop
from sqlalchemy import text

from benchmarks import house
from newsletter import embedded
from newsletter.composer.stamping import Person, Stamper
from newsletter.ledger import variants
from newsletter.subscribers import recipients

OUTCOMES = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What a process is told: which readers of whose list, and where to send. mailing: whose message it is."""

    kind: str
    port: int
    skip: int
    count: int
    connections: int
    home: str
    keys: str
    mailing: int


def main() -> None:
    """Get everything that is not sending out of the way, then send on command."""
    told = Told(**json.loads(sys.argv[1]))
    made = house.assembled(Path(told.home), Path(told.keys))
    servers = embedded.status(Path(told.home))
    assert servers is not None
    with made.parts.database.transaction() as session:
        found = session.execute(text("SELECT id FROM subscriber ORDER BY id OFFSET :skip LIMIT :count"), _slice(told))
        readers = recipients.details(session, list(found.scalars()))
        stamper = Stamper(variants.load(session, variants.of(session, told.mailing)[0].id))
    with psycopg.connect(servers.owner_url.replace("+psycopg", ""), autocommit=True) as database:
        print("ready", flush=True)
        sys.stdin.readline()
        before = _cpu()
        if told.kind == "naive":
            _naive(told, readers, database)
        else:
            uvloop.run(_usual(told, stamper, readers, database))
        print(_cpu() - before)
    made.close()


def _slice(told: Told) -> dict[str, int]:
    return {"skip": told.skip, "count": told.count}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _usual(told: Told, stamper: Stamper, readers: dict[int, recipients.Detail], database: Any) -> None:
    """Our messages through aiosmtplib.sendmail, sessions kept open, outcomes written 500 at a time."""
    left = iter(readers.items())
    outcomes: list[int] = []

    async def session() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=told.port, start_tls=False) as client:
            for subscriber_id, reader in left:
                await client.sendmail("news@sarand.example", [reader.address], stamper.stamp(_person(reader)))
                outcomes.append(subscriber_id)
                if len(outcomes) >= OUTCOMES:
                    written = outcomes.copy()
                    outcomes.clear()
                    await asyncio.to_thread(_write, database, written)

    await asyncio.gather(*(session() for _ in range(told.connections)))
    _write(database, outcomes)


def _person(reader: recipients.Detail) -> Person:
    token, date = "T" * 32, "Mon, 1 Jun 2026 08:00:00 +0000"
    return Person(reader.address, reader.name, reader.reference, token, token, "id@sarand.example", date)


def _write(database: Any, ids: list[int]) -> None:
    database.execute(
        "UPDATE rival r SET state = 'accepted', code = 250, at = clock_timestamp() FROM unnest(%s::bigint[]) AS i(id)"
        " WHERE r.id = i.id",
        [ids],
    )


def _naive(told: Told, readers: dict[int, recipients.Detail], database: Any) -> None:
    """Everything for everyone: a template, premailer, EmailMessage, a session, an UPDATE."""
    template = jinja2.Environment(autoescape=True).from_string(_TEMPLATE)
    for subscriber_id, reader in readers.items():
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "news@sarand.example", reader.address, "The Weekly"
        facts = {"reader": reader, "words": _WORDS, "articles": range(17)}
        page = template.render(facts)
        message.set_content(_WORDS * 17)
        message.add_alternative(premailer.transform(page), subtype="html")
        with smtplib.SMTP("127.0.0.1", told.port) as client:
            client.send_message(message)
        database.execute(
            "UPDATE rival SET state = 'accepted', code = 250, at = clock_timestamp() WHERE id = %s", [subscriber_id]
        )


_WORDS = "Between nine in the evening and six there is no current in the camp. " * 6
_TEMPLATE = """<html><head><style>
body { font-family: Georgia, serif; font-size: 17px; line-height: 26px; color: #222 }
h1 { font-size: 28px } h2 { font-size: 21px; margin: 24px 0 8px } p { margin: 0 0 14px }
a { color: #0b5394; text-decoration: underline } .card { border-top: 1px solid #ccc; padding: 18px 0 }
.byline { color: #666; font-size: 14px } .more { font-weight: bold } .footer { color: #666; font-size: 14px }
</style></head><body><h1>The Weekly</h1><p>Dear {{ reader.name }},</p>
{% for number in articles %}<table role="presentation" width="100%"><tr><td class="card">
<h2><a href="https://sarand.example/{{ number }}?r={{ reader.reference }}">Story {{ number }}</a></h2>
<p class="byline">Nika Vardan</p><p>{{ words }}</p>
<p class="more"><a href="https://sarand.example/{{ number }}?r={{ reader.reference }}">Read on</a></p></td></tr></table>
{% endfor %}<p class="footer">You get this as {{ reader.reference }}.</p></body></html>"""


if __name__ == "__main__":
    main()
