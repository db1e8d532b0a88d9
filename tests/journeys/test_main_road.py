"""The main road on real input: the seed feed, thousands of readers, a real Celery worker, a real SMTP server, and fifty who leave
while it is going out."""

import csv
import email
import email.policy
import re
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import uvicorn

from newsletter.journeys import mailing, moving_in, publish
from newsletter.ledger import books
from newsletter.subscribers.consent import Basis
from newsletter.web import create
from tests import house
from tests.journeys import workers

SEED = Path(__file__).parents[2] / "../shared/data/articles/seed-news.json"
FIRST = 1_000
LEAVING = 50
WINDOW_SECONDS = 0.5


@pytest.fixture
def seed(tmp_path):
    """The campaign's five texts, or our own sample where the shared data is absent."""
    if not SEED.exists():
        pytest.skip(f"the shared data is not here: {SEED.name}")
    return shutil.copy(SEED, tmp_path / "seed.json")


@pytest.fixture
def pages(newsletter, tmp_path, database_urls):
    """The public pages on a port of their own, as the web's role."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    server = uvicorn.Server(uvicorn.Config(create(made), port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def import_readers(made, tmp_path, count):
    path = tmp_path / "readers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "name", "language", "time_zone", "postcode"))
        writer.writerows((f"reader{n}@example.org", f"Réader {n}", "en", "Europe/London", "") for n in range(count))
    done = moving_in.import_subscribers(
        made.parts,
        str(path),
        digest_key=house.DIGEST,
        permission=moving_in.Permission(Basis.IMPORTED, "generated for this test"),
    )
    assert done.added == count


@pytest.mark.timeout(240)
@pytest.mark.parametrize("count", [5_000, pytest.param(20_000, marks=pytest.mark.proof)])  # of three shards, and of ten
def test_an_article_reaches_thousands_of_inboxes_and_nobody_who_has_left(
    newsletter, sink, tmp_path, database_urls, redis_url, seed, pages, count
):
    """The whole point of the product, with everything real: each reader once, each body personal, and leaving means leaving."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=6", redis_url=redis_url)
    import_readers(made, tmp_path, count)
    assert publish.import_articles(made.parts, str(seed), as_news=True).added == 5
    composed = publish.compose(made.parts, house.DIGEST)
    assert (composed.articles, composed.variants) == (5, 1)

    with workers.working(made, "bulk", children=2, log=tmp_path / "worker.log"):
        publish.send(made.parts, composed.issue)
        left = leave_in_flight(made, sink, pages, composed.mailing)
        status = until_done(made, composed.mailing)
    made.close()

    received = Counter(message.recipient for message in sink.messages)
    assert set(received.values()) == {1}, "somebody got it twice"
    assert len(received) == status.accepted
    assert status.accepted + status.cancelled == count
    assert status.cancelled > 0, "nobody left in time: the test proved nothing"
    for address, returned_at in left.items():
        late = [message for message in sink.messages_for(address) if message.at > returned_at + WINDOW_SECONDS]
        assert late == [], "handed over after an unsubscribe had returned"
    check_messages(sink.messages)


def leave_in_flight(made, sink, pages, mailing_id):
    """Unsubscribe fifty readers who have not had it yet, as mail programs do; return when each POST returned.

    Meanwhile the relay takes its time, so that however slow the pages are it has not come to them.
    """
    while len(sink.messages) < FIRST:
        time.sleep(0.01)
    sink.delay_seconds = lambda: 0.1
    token = made.parts.tokens.leave
    with made.parts.database.transaction() as session:
        from sqlalchemy import text

        rows = session.execute(
            text(
                "SELECT d.subscriber_id, m.digest_id FROM delivery d JOIN mailing m ON m.id = d.mailing_id"
                " WHERE d.mailing_id = :m AND d.state = 'planned' ORDER BY d.shard_id DESC, d.position DESC LIMIT :n"
            ),
            {"m": mailing_id, "n": LEAVING},
        ).all()
    addresses = addresses_of(made, [row.subscriber_id for row in rows])

    def leave(row):
        url = f"{pages}/u/{token(row.subscriber_id, row.digest_id, mailing_id)}"
        answer = httpx.post(url, data={"List-Unsubscribe": "One-Click"}, timeout=30, trust_env=False)
        assert answer.status_code == 200
        return addresses[row.subscriber_id], time.monotonic()

    with ThreadPoolExecutor(4) as threads:
        left = dict(threads.map(leave, rows))
    sink.delay_seconds = lambda: 0.0
    return left


def addresses_of(made, subscriber_ids):
    from newsletter.subscribers import recipients

    with made.parts.database.transaction() as session:
        found = recipients.details(session, subscriber_ids)
    return {subscriber: detail.address for subscriber, detail in found.items()}


def until_done(made, mailing_id):
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        status = mailing.status(made.parts, mailing_id)
        if status.over:
            with made.parts.database.transaction() as session:
                assert books.faults(session, mailing_id) == []
            return status
        time.sleep(0.2)
    raise AssertionError(f"not done in time: {status}")


def check_messages(messages):
    """Each body is personal, has both parts and every header; judged by a parser nobody here wrote."""
    links = set()
    for message in messages:
        head = message.content.partition(b"\r\n\r\n")[0]
        unfolded = re.sub(rb"\r\n[ \t]", b" ", head)
        found = re.search(rb"\nList-Unsubscribe: <https?://[^/]+/u/([A-Za-z0-9_-]{32})>", unfolded)
        assert found, "no one-click link"
        links.add(found[1])
        assert message.content.count(found[1]) >= 2, "the link of the header is not that of the body"
    assert len(links) == len(messages)
    for message in messages[:: max(1, len(messages) // 200)]:
        check_closely(message)


def check_closely(message):
    parsed = email.message_from_bytes(message.content, policy=email.policy.default)
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
        assert len(parsed.get_all(name)) == 1, name
    assert parsed["To"].addresses[0].addr_spec == message.recipient
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["List-Id"].endswith("<weekly.sarand.example>")
    assert (parsed["Auto-Submitted"], parsed["Precedence"]) == ("auto-generated", "bulk")
    assert parsed["Feedback-ID"].count(":") == 3
    assert message.recipient not in parsed["Message-ID"]
    text, html = parsed.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for title in ("With Iraq in Chaos", "The bitter taste of betrayal", "Open letter to British MPs"):
        assert title in text.get_content()
        assert title in html.get_content()
    assert all(len(line) <= 998 for line in message.content.split(b"\r\n"))
    assert "\n".join(message.content.decode().split("\r\n")).count("\r") == 0
