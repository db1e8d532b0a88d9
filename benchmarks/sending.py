"""How fast mail leaves, beside a load generator in C and the usual ways: alternating rounds, medians of ratios within a round.

Ours is the whole product: Celery prefork with two children, sealed addresses, return paths and links of each reader's own,
windows, journal, consent, suppression and ledger, all on. Every rate is taken at the sink, from its first byte to its last.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from benchmarks import house, ours, sinks
from benchmarks.ours import Plant, Run
from benchmarks.rivals import Field, Rival, source
from benchmarks.sinks import Sink
from newsletter.assembly import Newsletter

PARTS = ("wire", "far", "tls", "dkim")
Act = Callable[[], Run]
CONNECTIONS = 6
FAR_CONNECTIONS = 50
ROUND_TRIPS = (5, 20)
OURS, SOURCE = "ours", "smtp-source -d -s 10"


def run(folder: Path, parts: list[str], *, readers: int, rounds: int) -> None:
    """Print a table for each part that is asked for."""
    with house.built(folder) as made:
        house.settle(made, folder, readers)
        bench = _Bench(made, folder, Field(made), readers, rounds)
        for part in parts:
            getattr(bench, part)()


class _Bench:
    """The parts of the measurement, on one house."""

    def __init__(self, made: Newsletter, folder: Path, field: Field, readers: int, rounds: int) -> None:
        self._made, self._folder, self._field = made, folder, field
        self._readers, self._rounds = readers, rounds
        self._brokers = iter(range(1, 16))
        self._size = 33_000.0

    def wire(self) -> None:
        """Ours, the load generator and the usual ways, through two sinks."""
        for name in ("smtp-sink", "fastsink"):
            if why := sinks.missing(name):
                print(f"{name}: {why}")
                continue
            with self._sink(name) as sink, self._plant(sink) as plant:
                acts = self._against_source(plant, sink) | self._usual(sink, self._readers // 4)
                acts["Jinja2, premailer, EmailMessage, a session and an UPDATE each"] = self._rival(
                    Rival("naive", max(20, self._readers // 200)), sink
                )
                self._table(f"through {name}", acts, to=SOURCE)
            if name == "fastsink":
                print(f"fastsink counted {sinks.counted(self._folder):,} messages")

    def far(self) -> None:
        """A relay that is 5 or 20 ms away: ours and the usual client with as many connections."""
        usual = Rival("usual", self._readers // 4, 2, FAR_CONNECTIONS)
        with sinks.counting() as sink:
            for milliseconds in ROUND_TRIPS:
                with (
                    sinks.far(sink, milliseconds=milliseconds) as port,
                    self._plant(sink, port, FAR_CONNECTIONS) as plant,
                ):
                    acts = {OURS: _sending(plant, sink), _USUAL[2]: self._rival(usual, sink, port)}
                    title = f"{milliseconds} ms round trip, {FAR_CONNECTIONS} connections a process"
                    self._table(title, acts, to=_USUAL[2])

    def tls(self) -> None:
        """TLS from the first byte, its certificate verified, and without: the same sink of ours on both sides."""
        trust = sinks.certificate(self._folder)
        with ExitStack() as stack:
            plain, safe = (stack.enter_context(sinks.counting(certificate=one)) for one in (None, trust))
            first = stack.enter_context(self._plant(plain))
            url = f"smtps://localhost:{safe.port}?connections={CONNECTIONS}"
            second = stack.enter_context(
                ours.plant(self._made, self._folder, url, number=next(self._brokers), trust=trust)
            )
            acts = {"plain": lambda: first.send(plain), "TLS 1.3": lambda: second.send(safe)}
            self._table("TLS, the sink's own cost included", acts, to="plain")

    def dkim(self) -> None:
        """Signed by us: with each kind of key, and without."""
        if why := sinks.missing("smtp-sink"):
            print(f"dkim: {why}")
            return
        with self._sink("smtp-sink") as sink, ExitStack() as stack:
            keys = {"unsigned": None, "Ed25519": _ed25519(), "RSA-2048": _rsa()}
            plants = {name: stack.enter_context(self._plant(sink, key=key)) for name, key in keys.items()}
            acts: dict[str, Act] = {name: _sending(plant, sink) for name, plant in plants.items()}
            acts[SOURCE] = lambda: source(sink, self._readers, self._size)
            self._table("DKIM, through smtp-sink", acts, to="unsigned", also=SOURCE)

    @contextmanager
    def _sink(self, name: str) -> Iterator[Sink]:
        with sinks.smtp_sink() if name == "smtp-sink" else sinks.fastsink(self._folder) as sink:
            yield sink

    @contextmanager
    def _plant(
        self, sink: Sink, port: int | None = None, connections: int = CONNECTIONS, *, key: str | None = None
    ) -> Iterator[Plant]:
        url = f"smtp://127.0.0.1:{port or sink.port}?connections={connections}"
        with ours.plant(self._made, self._folder, url, number=next(self._brokers), key=key) as plant:
            yield plant

    def _against_source(self, plant: Plant, sink: Sink) -> dict[str, Act]:
        return {OURS: _sending(plant, sink), SOURCE: lambda: source(sink, self._readers, self._size)}

    def _usual(self, sink: Sink, messages: int) -> dict[str, Act]:
        return {name: self._rival(Rival("usual", messages, count), sink) for count, name in _USUAL.items()}

    def _rival(self, one: Rival, sink: Sink, port: int | None = None) -> Act:
        return lambda: self._field.run(one, sink, port=port)

    def _table(self, title: str, acts: dict[str, Act], *, to: str, also: str | None = None) -> None:
        """Run the rounds and print a line for each way: rate, ratios, and what a message cost."""
        runs: dict[str, list[Run]] = {name: [] for name in acts}
        # Nobody is cold in the first round; and the first way's messages say how large the load generator's must be.
        self._size = next(iter([act() for act in acts.values()])).size_bytes
        for number in range(self._rounds):
            order = list(acts)
            turned = order[number % len(order) :] + order[: number % len(order)]
            for name in turned:
                runs[name].append(acts[name]())
        _print(title, runs, [one for one in (to, also) if one])


def _sending(plant: Plant, sink: Sink) -> Act:
    return lambda: plant.send(sink)


_USUAL = {count: f"compiled once, aiosmtplib.sendmail, {count} process{'es' * (count > 1)}" for count in (1, 2)}


def _print(title: str, runs: dict[str, list[Run]], to: list[str]) -> None:
    heads = "".join(f" ratio to {name} |" for name in to)
    print(f"\n| {title} | messages/s |{heads} kB | CPU of a message, µs: client · PostgreSQL · Valkey |")
    print("|---|---|" + "---|" * len(to) + "---|---|")
    for name, mine in runs.items():
        ratios = "".join(
            f" {_spread([a.rate / b.rate for a, b in zip(mine, runs[one], strict=True)], '.2f')} |" for one in to
        )
        each = " · ".join(
            f"{1e6 * median(getattr(run.costs, part) / run.messages for run in mine):.0f}"
            for part in ("client", "database", "broker")
        )
        size = median(run.size_bytes for run in mine) / 1000
        print(f"| {name} | {_spread([run.rate for run in mine], ',.0f')} |{ratios} {size:.1f} | {each} |", flush=True)


def _spread(values: list[float], form: str) -> str:
    return f"**{median(values):{form}}** ({min(values):{form}}–{max(values):{form}})"


def _ed25519() -> str:
    return _setting(ed25519.Ed25519PrivateKey.generate())


def _rsa() -> str:
    return _setting(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _setting(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return f"bench\n{pem}"
