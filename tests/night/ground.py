"""The night's ground: servers, a mail server, workers as a service manager keeps them, a team and its readers; all invented."""

import csv
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import text

from newsletter import database
from newsletter.issues import digests
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.fakes.program import Program
from tests.operators.crew import Crew, Member
from tests.reliability.machine import Machine, Relay, hurry, ports_of, wait_for
from tests.servers import Urls

RATE, DAILY, RESERVE, GONE = 14, 50_000, 20_000, 12_000
DIGEST = "sarand"
SWEEP, MINUTE = 5.0, 60.0
"""Seconds of the night between two looks of the beat, and after which what is in doubt goes again."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a night is.

    others  who reads the digest and no alerts
    scale   seconds of the night in one second here
    """

    english: int
    persian: int
    arabic: int
    others: int
    scale: int

    @property
    def readers(self) -> int:
        """How many an alert goes to."""
        return self.english + self.persian + self.arabic


FULL = Size(english=4000, persian=1500, arabic=500, others=5000, scale=20)
SHORT = Size(english=260, persian=100, arabic=40, others=400, scale=4)


class Clock:
    """The night's clock: ten past two when the alert is written, and faster than ours."""

    def __init__(self, scale: int) -> None:
        self.scale, self._zero = scale, time.monotonic()

    def set(self) -> None:
        """It is ten past two now."""
        self._zero = time.monotonic()

    def at(self, moment: float | None = None) -> str:
        """Return what it shows at a moment of the monotonic clock, by default now."""
        passed = ((time.monotonic() if moment is None else moment) - self._zero) * self.scale
        return f"{datetime(2026, 3, 2, 2, 10, tzinfo=UTC) + timedelta(seconds=passed):%H:%M}"


class Ground:
    """Everything a night needs; `open_` makes and ends it."""

    def __init__(self, folder: Path, urls: Urls, redis_url: str, *, size: Size, seed: int, stack: ExitStack) -> None:
        self.folder, self.size, self.seed = folder, size, seed
        self.relay = relay = Relay(folder / "relay", wire="pipelining")
        stack.callback(relay.stop)
        self.clock = Clock(size.scale)
        url = f"{relay.url}?connections=8&rate={RATE * size.scale}&daily={DAILY}&reserve={RESERVE}"
        # The rules of the night are those of a new installation; the frames are the shipped ones.
        more = {"bounce_domain": "bounce.sarand.example", "one_person_up_to": size.readers // 6}
        self.made = house.build(folder, urls, url, redis_url=redis_url, **more)
        stack.callback(self.made.close)
        pages = house.build(folder, urls, url, redis_url=redis_url, web=True, **more)
        stack.callback(pages.close)
        self.crew = Crew(self.made.parts.database, pages.parts.database)
        self.machine = Machine(self.made, folder / "machine", TZ="UTC")
        stack.callback(self.machine.stop)
        self.program = Program(self.machine.environment)
        self._read = 0
        self._ended = threading.Event()
        self._ticking = threading.Thread(target=self._tick, daemon=True)
        stack.callback(self._stop)

    @cached_property
    def holder(self) -> Member:
        """Who watches tonight."""
        return self.crew.member(Role.SENDER, name="Mina Moradi")

    @cached_property
    def signers(self) -> list[Member]:
        """Who signs in the evening, and sleeps."""
        return [self.crew.member(Role.APPROVER, name=name) for name in ("Noor Holm", "Omid Keller")]

    def now(self) -> datetime:
        """Return the database's time."""
        with self.made.parts.database.transaction() as session:
            return database.now(session)

    def people(self) -> dict[str, str]:
        """Import the readers, in any order; return the language of each by address, "" for those who read no alerts."""
        size = self.size
        counts = {"en": size.english, "fa": size.persian, "ar": size.arabic, "": size.others}
        every = [
            (f"{tongue or 'other'}{n}@example.org", tongue) for tongue, count in counts.items() for n in range(count)
        ]
        random.Random(self.seed).shuffle(every)
        with self.made.parts.database.transaction() as session:
            languages = ("en", "fa", "ar")
            digests.add(session, DIGEST, name="Sarand", languages=languages, rhythm=Rhythm.WEEKLY)
        self._import(house.DIGEST, every)
        self._import(DIGEST, [(address, tongue) for address, tongue in every if tongue])
        return dict(every)

    def _import(self, key: str, people: list[tuple[str, str]]) -> None:
        path = self.folder / f"{key}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("email", "name", "language"))
            rows.writerows((address, f"Reader {place}", tongue) for place, (address, tongue) in enumerate(people))
        house.bring(self.made, path, digest=key)

    def tail(self) -> list[dict[str, Any]]:
        """Return what the mail server has written down since this was asked before: whole lines."""
        with (self.folder / "relay" / "record.jsonl").open("rb") as record:
            record.seek(self._read)
            whole, line_end, _ = record.read().rpartition(b"\n")
            self._read += len(whole) + len(line_end)
        return [found for line in whole.splitlines() if (found := json.loads(line))["what"] == "taken"]

    def spend(self) -> None:
        """Let so much of today's quota be gone."""
        [relay] = {relay for relays in self.made.parts.relays.values() for relay in relays}
        spent = text(
            "INSERT INTO relay_use (relay, minute, lane, used) VALUES (:r, now() - interval '3 hours', 'bulk', :n)"
        )
        with self.made.parts.database.transaction() as session:
            session.execute(spent, {"r": relay.name, "n": GONE})

    def begin(self) -> None:
        """Start workers, beat and the clock; whatever dies is started again."""
        # The server takes a moment for each message, so that a kill can find one on the wire.
        self.relay.be(seed=self.seed, pipelining=True, hold=(0.0, 0.04), forget=0.3)
        self.machine.worker("urgent", "urgent", children=2)
        self.machine.worker("bulk", "bulk")
        self.machine.worker("desk", "transactional,events,presses,outside,compose,upkeep")
        self.machine.beat()
        self._ticking.start()

    def _tick(self) -> None:
        """Do in the night's own seconds what a service manager, the beat and a minute of patience do."""
        passed = 0.0
        pause = SWEEP / self.size.scale
        while not self._ended.wait(pause):
            self.machine.up()
            passed += SWEEP
            if passed >= MINUTE:
                hurry(self.made)
                passed = 0.0
            else:
                self.made.sweep()

    def _stop(self) -> None:
        self._ended.set()
        if self._ticking.is_alive():
            self._ticking.join(30)

    def kill(self, *, whole: bool) -> float:
        """Kill a sender of the urgent worker that has mail on the wire, or the whole worker; return when."""
        caught: list[int] = []

        def find() -> bool:
            holding = set(self.relay.be()["holding"])
            children = self.machine.group("urgent")[1:] if holding else []
            caught[:] = [pid for pid in children if ports_of(pid, self.relay.port) & holding]
            return bool(caught)

        wait_for(find, seconds=60, every=0.005, what="mail of the alert on the wire")
        for pid in self.machine.group("urgent") if whole else caught[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return time.monotonic()

    def filled(self, frame: str, said: dict[str, str], name: str) -> str:
        """Write a text by a frame, with its gaps filled, and return its file."""
        source = self.made.parts.house.frames(f"frames/{frame}.md")
        path = self.folder / name
        path.write_text(re.sub(r"\{\{ (.*?) \}\}", lambda gap: said[gap[1]], source), encoding="utf-8")
        return str(path)


@contextmanager
def open_(folder: Path, urls: Urls, redis_url: str, size: Size, *, seed: int) -> Iterator[Ground]:
    """Make a night's ground, and end everything that was started for it."""
    with ExitStack() as stack:
        yield Ground(folder, urls, redis_url, size=size, seed=seed, stack=stack)
