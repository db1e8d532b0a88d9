"""The product's side of a measurement: an issue goes out through Celery workers, and what that took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

from benchmarks import costs, house
from benchmarks.costs import NOTHING, Costs
from benchmarks.sinks import Sink, Watch
from newsletter import embedded
from newsletter.assembly import Newsletter
from newsletter.journeys import mailing, publish
from newsletter.ledger import mailings
from newsletter.ledger.mailings import State

_FEED = """{"version": "https://jsonfeed.org/version/1.1", "title": "Sarand", "items": [%s]}"""
_ITEM = """{"id": "%(id)s", "url": "https://sarand.example/%(id)s", "title": "Story %(id)s",
"date_published": "2026-06-01T08:00:00Z", "content_text": "%(text)s"}"""
_TEXT = "Between nine in the evening and six there is no current in the camp. " * 12
ARTICLES = 23
"""Make a message of about 33 kB."""
PATIENCE_SECONDS = 1200.0


@dataclass(frozen=True, slots=True)
class Run:
    """One side's part of a round, timed at the sink.

    size_bytes  a message with its commands
    costs       of sending it; what planning cost the servers stands apart
    """

    messages: int
    seconds: float
    size_bytes: float
    costs: Costs
    planning: Costs = NOTHING

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


@dataclass
class Plant:
    """Workers of one kind (a relay, a key, a road) on the servers of a house, with a broker database of their own.

    Only the plant whose broker is nudged works; the others wait, warm.
    """

    made: Newsletter
    worker: "Popen[bytes]"
    folder: Path
    servers: embedded.Servers = field(repr=False)

    def send(self, sink: Sink) -> Run:
        """Compose an issue, send it to every reader, and return how its messages came in at the sink."""
        issue = compose(self.made, self.folder)
        before = self.costs()
        with Watch(sink) as watch:
            publish.send(self.made.parts, issue.issue)  # plans, then nudges
            planned = self.costs()
            taken = _ended(self.made, issue.mailing)
        cost, planning = self.costs().since(planned), planned.since(before)
        return Run(taken, watch.seconds, watch.size_bytes / taken, cost, planning)

    def costs(self) -> Costs:
        """Return what workers and servers have spent until now."""
        pids = self.servers.pids
        return Costs(*map(costs.cpu_seconds, (self.worker.pid, pids["postgresql"], pids["redis"])))


@contextmanager
def plant(
    made: Newsletter, folder: Path, url: str, *, number: int, key: str | None = None, trust: Path | None = None
) -> Iterator[Plant]:
    """Yield workers that hand over to the relay of `url`, on the broker database of that number.

    key     a DKIM key with its selector: every message is signed
    trust   a certificate that stands for the system's
    """
    home, keys = made.settings.home, made.settings.keys
    servers = embedded.start(home)
    broker = urlsplit(servers.redis_url)._replace(path=f"/{number}").geturl()
    own = house.assembled(home, keys, relay_url=url, redis_url=broker, dkim_key=key)
    more = {"SSL_CERT_FILE": str(trust)} if trust else {}
    try:
        with house.workers(own, folder / f"worker-{number}.log", **more) as worker:
            yield Plant(own, worker, folder, servers)
    finally:
        own.close()


def compose(made: Newsletter, folder: Path) -> publish.Composed:
    """Import a week's articles and compose the next issue."""
    unique = time.time_ns()
    items = ",".join(_ITEM % {"id": f"{unique}-{place}", "text": _TEXT} for place in range(ARTICLES))
    feed = folder / "feed.json"
    feed.write_text(_FEED % items)
    publish.import_articles(made.parts, str(feed), as_news=True)
    return publish.compose(made.parts, house.DIGEST)


def _ended(made: Newsletter, mailing_id: int) -> int:
    """Wait until a mailing is over and return how many messages were accepted: all of them."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.3)
        with made.parts.database.transaction() as session:
            over = mailings.get(session, mailing_id).state is State.DONE
        if over:
            status = mailing.status(made.parts, mailing_id)
            assert status.accepted == status.planned, status
            return status.accepted
    raise TimeoutError("an issue did not go out in time")
