"""What is written while a shard is on its way: outcomes, what relays taught, the lease; each in a transaction of its own."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from newsletter import database
from newsletter.database import PASSING, Database
from newsletter.delivery import leasing, paces, standing, thresholds, throttle, watching, windows
from newsletter.delivery.pacing import WINDOW_SECONDS
from newsletter.delivery.throttle import Grant
from newsletter.delivery.windows import Clock, Window
from newsletter.ledger import books, deliveries, shards, tallies
from newsletter.ledger.deliveries import DeliveryState, Result
from newsletter.ledger.shards import Lease
from newsletter.relay.target import Relay
from newsletter.relay.verdict import Class, Limit

log = structlog.get_logger()

PATIENCE_SECONDS = 45.0
"""How long outcomes wait for a database that restarts or is full, before the journal alone keeps them: less than a lease."""

SAID_EVERY_SECONDS = 60.0
"""How often it is said that a database is too slow to send by."""


class Recorder:
    """Writes down what becomes of shards."""

    def __init__(self, database: Database, *, patience: float = PATIENCE_SECONDS) -> None:
        """Remember the database, and for how many seconds outcomes that a journal keeps as well wait for it."""
        self.database = database
        self._patience = patience
        self._silent_until = 0.0

    def flush(
        self,
        work: leasing.Work,
        results: list[Result],
        dead: list[int],
        classes: list[Class | None],
        *,
        lasting: bool,
    ) -> None:
        """Write outcomes, what they say of addresses, and up to where readers have had the digest: one transaction.

        classes   what each attempt's refusal was about, None for those that were taken; too many stop the mailing
        lasting   a journal on disk knows them too; else nobody but us does, and we wait for as long as we live

        Tried again while the database restarts, is full, or another transaction stands in the way.
        """
        end = time.monotonic() + (self._patience if lasting else math.inf)
        while True:
            try:
                return self._flush(work, results, dead, classes)
            except PASSING as error:
                if time.monotonic() > end:
                    raise
                log.warning("outcomes wait", shard=work.lease.shard_id, why=type(error).__name__)
                self.extend(work.lease)
                time.sleep(0.5)

    def _flush(self, work: leasing.Work, results: list[Result], dead: list[int], classes: list[Class | None]) -> None:
        lease = work.lease
        by_id = {row.id: row for row in work.rows}
        handed = [r for r in results if r.state in (DeliveryState.ACCEPTED, DeliveryState.UNCERTAIN)]
        first = not work.rows[0].tries
        readers = [reader for result in handed if (reader := by_id[result.id].subscriber_id) is not None]
        with self.database.transaction() as session:
            deliveries.record(session, lease, results)
            watching.addresses(session, lease, by_id, results, dead)
            leasing.moved(session, lease, readers)
            tallies.add(session, lease.mailing_id, lease.provider, thresholds.count(classes, first=first))
            if any(classes):
                watching.look(session, lease.mailing_id, lease.lane, lease.provider)

    def born_closed(self, lease: Lease, window: Window) -> None:
        """Say, once a minute, that the database takes longer to open a window than a window lasts: so nothing is sent."""
        if (now := time.monotonic()) >= self._silent_until:
            self._silent_until = now + SAID_EVERY_SECONDS
            took = round(windows.boot_seconds() - window.deadline + WINDOW_SECONDS, 2)
            log.error(
                "window born closed", shard=lease.shard_id, mailing=lease.mailing_id, took=took, most=WINDOW_SECONDS
            )

    def extend(self, lease: Lease) -> None:
        """Extend a lease, if the database can: whoever took the shard meanwhile would not know what we know of it."""
        with suppress(*PASSING), self.database.transaction() as session:
            shards.extend(session, lease)

    def give_back(self, lease: Lease, *, after: timedelta | None = timedelta(0)) -> None:
        """Return a shard of which every begun message has its outcome. after: as for `shards.release`."""
        with self.database.transaction() as session:
            shards.release(session, lease, after=after)

    def give_back_patiently(self, lease: Lease) -> None:
        """Return such a shard as soon as the database can write again."""
        while True:
            try:
                return self.give_back(lease)
            except PASSING:
                self.extend(lease)
                time.sleep(0.5)

    def finish(self, lease: Lease) -> bool:
        """End a shard of which nothing is left, and close the mailing's books when it was the last; return whether it ended."""
        with self.database.transaction() as session:
            ended = shards.end(session, lease)
            if ended:
                books.finish(session, lease.mailing_id)
        return ended

    def refund(self, relay: Relay, lease: Lease, granted: Sequence[datetime]) -> None:
        """Take back what was granted to a shard then and not begun."""
        with self.database.transaction() as session:
            throttle.refund(session, relay, lease.lane, lease.provider, granted, now=database.now(session))

    def grant_anew(self, relay: Relay, lease: Lease, *, granted: Clock | None) -> tuple[Grant, Clock]:
        """Grant a message at this moment, which is returned as well.

        granted   when it was before: that is given back, whether it is granted now or not; None: it was not
        """
        with self.database.transaction() as session:
            throttle.lock(session, relay)
            before = [granted.told] if granted else []
            throttle.refund(session, relay, lease.lane, lease.provider, before, now=database.now(session))
            at = Clock(database.now(session), windows.boot_seconds())
            return throttle.grant(session, relay, lease.lane, lease.provider, 1, now=at.told), at

    def limited(self, relay: Relay, provider: str) -> bool:
        """Return whether windows of this relay and provider group must be paid for."""
        with self.database.transaction() as session:
            return throttle.limited(session, relay, provider)

    def learn(self, relay: Relay, provider: str, limits: set[Limit], *, observed: float) -> None:
        """Write down that a relay or a provider asked for less than `observed` messages a second: what one sender brought it.

        Of a relay all senders are counted where it has a pace: one that had a tenth of it, or a single letter, saw too little.
        """
        most = relay.rate or math.inf
        with self.database.transaction() as session:
            now = database.now(session)
            for limit in sorted(limits & standing.FULL.keys()):
                standing.fill(session, relay, limit, now=now)
            if Limit.ACCOUNT_RATE in limits:
                together = paces.given_lately(session, relay, now=now)
                standing.slow(session, relay, observed=min(most, max(observed, together)), now=now)
            if Limit.PROVIDER in limits:
                paces.slow(session, relay, provider, observed=min(most, observed), now=now)
