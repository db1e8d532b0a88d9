"""An alert beside a digest of a million: how soon its first message is on the wire, and how fast the rest, as on an idle system.

Each lane has a sink of its own, so that what the alert's reads is the alert. The worker is that of one cheap machine: two
children for every queue, and beat.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import house, limits, ours, sinks
from benchmarks.sinks import Sink, Watch
from newsletter.assembly import Newsletter
from newsletter.issues import digests
from newsletter.journeys import alert, drafting, mailing, publish
from newsletter.ledger.mailings import State
from newsletter.subscribers.subscriptions import Rhythm

ALARM = "alarm"
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


def missed(idle: Sequence[Alarm], beside: Sequence[Alarm], everybody: float) -> list[str]:
    """Return what of the figures is not as asked. everybody: the first message of an alert to all, beside the digest."""
    share = median(one.rate for one in beside) / median(one.rate for one in idle)
    return [
        *limits.above("first message beside a digest", max(one.first for one in beside), FIRST_SECONDS),
        *limits.above("first message of an alert to all beside a digest", everybody, FIRST_SECONDS),
        *limits.below("rate beside a digest", share, LEAST_OF_IDLE, "of idle"),
    ]


def _compare(made: Newsletter, folder: Path, sink: Sink, readers: int, told: int) -> list[str]:
    _alarm(made, folder, sink)  # nothing is cold
    idle = [_alarm(made, folder, sink) for _ in range(TIMES)]
    issue = ours.compose(made, folder)
    publish.send(made.parts, issue.issue)
    beside = []
    for _ in range(TIMES):
        time.sleep(REST_SECONDS)
        beside.append(_alarm(made, folder, sink))
    everybody = _first(made, folder, sink, house.DIGEST)
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
    return missed(idle, beside, everybody)


def _locked(made: Newsletter, folder: Path, digest: str) -> int:
    text = folder / "alarm.md"
    text.write_text(_TEXT)
    number = drafting.draft(made.parts, [str(text)], digest_key=digest)
    alert.lock(made.parts, number)
    return number


def _first(made: Newsletter, folder: Path, sink: Sink, digest: str) -> float:
    """Return the seconds from a release to the first byte, and stop the alert."""
    number = _locked(made, folder, digest)
    with Watch(sink) as watch:
        released = time.monotonic()
        alert.release(made.parts, number)
    alert.stop(made.parts, number)
    return watch.first - released


def _alarm(made: Newsletter, folder: Path, sink: Sink) -> Alarm:
    number = _locked(made, folder, ALARM)
    with Watch(sink) as watch:
        released = time.monotonic()
        alert.release(made.parts, number)
        deadline = released + PATIENCE_SECONDS
        while (status := mailing.status(made.parts, number)).state != State.DONE:
            assert time.monotonic() < deadline, status
            time.sleep(0.3)
    return Alarm(watch.first - released, status.accepted / watch.seconds)
