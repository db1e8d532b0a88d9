"""An alert beside a digest of a million: how soon its first message is on the wire, and how fast the rest, as on an idle system.

Each lane has a sink of its own, so that what the alert's reads is the alert. The worker is that of one cheap machine: two
children for every queue, and beat.

After the alerts to all come some to a part of as many, on the idle machine: to all but those for whom a language comes later, to
those who chose a topic, and to a segment.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks import house, limits, ours, sinks
from benchmarks.sinks import Sink, Watch
from newsletter import embedded
from newsletter.assembly import Newsletter
from newsletter.issues import digests
from newsletter.journeys import alert, drafting, mailing, publish, segmenting
from newsletter.journeys.drafting import Wish
from newsletter.journeys.narrowing import Part
from newsletter.ledger.mailings import State
from newsletter.subscribers.subscriptions import Rhythm

ALARM, PARTS = "alarm", "parts"
KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "--later fa": {"later": ("fa",)},
        "--only en": {"only": ("en",)},
        "--topic water": {"part": Part(topics=("water",))},
        "--segment: not had": {"part": Part(segment="others")},
        "--segment: Persian, of water": {"part": Part(segment="persian")},
    }
)
# The same people take a digest in two languages; a fifth of them read Persian, a third chose a topic.
_FILL = """
    INSERT INTO digest (key, name, languages) VALUES ('parts', 'Parts', '{en,fa}');
    INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by)
    SELECT l.subscriber_id, new.id, 'weekly', l.granted_by FROM subscription l
    JOIN digest old ON old.id = l.digest_id AND old.key = 'weekly' JOIN digest new ON new.key = 'parts' WHERE l.ended_at IS NULL;
    UPDATE subscriber SET language = 'fa' WHERE id % 5 = 0;
    INSERT INTO topic (key, name) VALUES ('water', 'Water');
    INSERT INTO interest (subscriber_id, topic_id, granted_by)
    SELECT l.subscriber_id, t.id, l.granted_by FROM subscription l JOIN digest d ON d.id = l.digest_id AND d.key = 'parts'
    JOIN topic t ON t.key = 'water' WHERE l.subscriber_id % 3 = 0;
"""
TIMES = 5
REST_SECONDS = 8.0
"""Between two alerts, so that the digest is at its full pace again: the sweep that wakes it comes every five seconds."""
PATIENCE_SECONDS = 300.0
FIRST_SECONDS = 2.0
LEAST_OF_IDLE = 0.8
"""What is asked: the slowest first message beside the digest, and the usual rate there as a share of an idle machine's."""
_TEXT = "# Leave the valley\n\nThe dam above Sarand is breaking. Go to the school on the hill.\n"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alert. first: seconds from its release to the first byte of it; rate: messages a second from that to the last."""

    first: float
    rate: float


def run(folder: Path, *, readers: int, told: int) -> list[str]:
    """Print what alerts to `told` people take on an idle machine, and beside a digest to `readers`; return what was missed."""
    sink = sinks.smtp_sink if (why := sinks.missing("fastsink")) else lambda: sinks.fastsink(folder)
    if why:
        print(f"alert: fastsink {why}; through smtp-sink instead")
    with sink() as bulk, sink() as urgent, house.built(folder) as made:
        with made.parts.database.transaction() as session:
            digests.add(session, ALARM, name="Alarm", languages=("en",), rhythm=Rhythm.WEEKLY)
        house.settle(made, folder, told, digest=ALARM)
        house.settle(made, folder, readers)
        _fill(made)
        with _working(made, folder, bulk, urgent) as own:
            return _compare(own, folder, urgent, readers, told)


@contextmanager
def _working(made: Newsletter, folder: Path, bulk: Sink, urgent: Sink) -> Iterator[Newsletter]:
    relays = {
        name: f"smtp://127.0.0.1:{sink.port}?connections=6"
        for name, sink in (("relay_url", bulk), ("relay_url_urgent", urgent))
    }
    own = house.assembled(made.settings.home, made.settings.keys, one_person_up_to=10_000_000, **relays)
    told = {"NEWSLETTER_ONE_PERSON_UP_TO": "10000000", "NEWSLETTER_RELAY_URL_URGENT": relays["relay_url_urgent"]}
    try:
        with house.workers(own, folder / "worker.log", "-B", queues=None, **told):
            yield own
    finally:
        own.close()


def _fill(made: Newsletter) -> None:
    """Make parts of the readers: by the owner, since a million are not asked one by one."""
    engine = create_engine(embedded.start(made.settings.home).owner_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in filter(str.strip, _FILL.split(";")):
            connection.execute(text(statement))
        for table in ("subscriber", "subscription", "interest"):
            connection.execute(text(f"VACUUM ANALYZE {table}"))
    engine.dispose()


def missed(
    idle: Sequence[Alarm], beside: Sequence[Alarm], everybody: float, parts: Mapping[str, float] = MappingProxyType({})
) -> list[str]:
    """Return what of the figures is not as asked. everybody: the first message of an alert to all, beside the digest.

    parts   the first message of an alert to some of them, kind by kind
    """
    share = median(one.rate for one in beside) / median(one.rate for one in idle)
    return [
        *limits.above("first message beside a digest", max(one.first for one in beside), FIRST_SECONDS),
        *limits.above("first message of an alert to all beside a digest", everybody, FIRST_SECONDS),
        *limits.below("rate beside a digest", share, LEAST_OF_IDLE, "of idle"),
        *(miss for kind, first in parts.items() for miss in limits.above(f"alert {kind}", first, FIRST_SECONDS)),
    ]


def _compare(made: Newsletter, folder: Path, sink: Sink, readers: int, told: int) -> list[str]:
    _alarm(made, sink)  # nothing is cold
    idle = [_alarm(made, sink) for _ in range(TIMES)]
    issue = ours.compose(made, folder)
    publish.send(made.parts, issue.issue)
    beside = []
    for _ in range(TIMES):
        time.sleep(REST_SECONDS)
        beside.append(_alarm(made, sink))
    everybody = _first(made, sink, house.DIGEST)
    status = mailing.status(made.parts, issue.mailing)
    assert status.state == State.SENDING, "the digest was over before the last alert"
    mailing.stop(made.parts, issue.mailing)
    print(f"\n| alerts to {told:,} | first on the wire after, s | messages/s | of idle |\n|---|---|---|---|")
    usual = median(one.rate for one in idle)
    for name, runs in (("idle", idle), (f"beside a digest to {readers:,}", beside)):
        first, rate = [one.first for one in runs], [one.rate for one in runs]
        spread = f"**{median(rate):,.0f}** ({min(rate):,.0f}–{max(rate):,.0f})"
        print(f"| {name} | **{median(first):.2f}** (to {max(first):.2f}) | {spread} | {median(rate) / usual:.2f} |")
    print(f"\nAn alert to all {readers:,} beside the digest: first on the wire after {everybody:.2f} s.")
    print(f"Meanwhile the digest went to {status.accepted:,}.", flush=True)
    return missed(idle, beside, everybody, _parts(made, sink, readers, had=issue.mailing))


def _parts(made: Newsletter, sink: Sink, readers: int, *, had: int) -> dict[str, float]:
    """Print after how long alerts to a part are on the wire, and return it. had: the mailing that some have had."""
    segmenting.add(made.parts, "others", segmenting.said(not_had=[had]))
    segmenting.add(made.parts, "persian", segmenting.said(topic=["water"], language=["fa"]))
    print(f"\n| to a part of {readers:,}, idle | first on the wire after, s |\n|---|---|")
    found = {}
    for kind, more in KINDS.items():
        time.sleep(REST_SECONDS)
        found[kind] = median(_first(made, sink, PARTS, **more) for _ in range(3))
        print(f"| {kind} | **{found[kind]:.2f}** |", flush=True)
    return found


def _locked(made: Newsletter, digest: str, **more: Any) -> int:
    number = drafting.draft_words(made.parts, Wish((_TEXT,), digest, **more), by=None)
    alert.lock(made.parts, number)
    return number


def _first(made: Newsletter, sink: Sink, digest: str, **more: Any) -> float:
    """Return the seconds from a release to the first byte, and stop the alert; NaN where it had no readers. more: as of `Wish`."""
    number = _locked(made, digest, **more)
    with Watch(sink) as watch:
        released = time.monotonic()
        alert.release(made.parts, number)
    alert.stop(made.parts, number)
    return watch.first - released if watch.first else math.nan


def _alarm(made: Newsletter, sink: Sink) -> Alarm:
    number = _locked(made, ALARM)
    with Watch(sink) as watch:
        released = time.monotonic()
        alert.release(made.parts, number)
        deadline = released + PATIENCE_SECONDS
        while (status := mailing.status(made.parts, number)).state != State.DONE:
            assert time.monotonic() < deadline, status
            time.sleep(0.3)
    return Alarm(watch.first - released, status.accepted / watch.seconds)
