"""The one place where the parts meet: settings in, a working product out.

Where no database or broker is set, the embedded ones of NEWSLETTER_HOME are used, if they run; a process that should start
them says so (`servers="start"`).
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from newsletter import database, embedded, fetching, mailboxes, settings
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.bounces.routing import Router
from newsletter.campaigns import errands
from newsletter.composer import headers, signing
from newsletter.composer.signing import Key, Signer
from newsletter.database import Database, DatabaseUnreachable
from newsletter.delivery import hushing, recovery
from newsletter.delivery.envelopes import Identity
from newsletter.delivery.relaylog import RelayLog
from newsletter.delivery.sending import Sender
from newsletter.delivery.vouching import House
from newsletter.errors import Invalid, NotFound
from newsletter.jobs import DELIVER, DRILL, ERRANDS, HOOKS, LINKS, PICTURES, PRIVACY, RETURNS, SIGNUPS, Job, Nudger
from newsletter.journeys import (
    drilling,
    erasing,
    expiring,
    growing,
    halts,
    hooking,
    joining,
    leaving,
    picturing,
    privacy,
    proving,
    refusing,
    returns,
    starting,
    team,
    unreleased,
)
from newsletter.journeys.parts import Letterhead, Parts
from newsletter.ledger import mailings
from newsletter.ledger.mailings import Lane
from newsletter.lifeboat import TURN_SECONDS, Chores, Lifeboat, attempt, each
from newsletter.operators import pins
from newsletter.operators.night import Night
from newsletter.relay.target import Relay
from newsletter.settings import Settings, reveal
from newsletter.subscribers import meanwhile, rejects
from newsletter.tokens import Tokens
from newsletter.vault import Keyring, Vault

if TYPE_CHECKING:
    from newsletter.bounces.sns import Receiver
    from newsletter.composer.inlining import Layout

log = structlog.get_logger()

Role = Literal["worker", "web"]


class NoServers(NotFound):
    """No database is set and none of ours runs."""

    def __init__(self, home: str) -> None:
        super().__init__("assembly.no-servers", home=home)


class BadSender(Invalid):
    """NEWSLETTER_SENDER is no address, or a name with one in angle brackets."""

    def __init__(self) -> None:
        super().__init__("assembly.bad-sender")


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers are, for one role. `owner` None: migrations are somebody else's."""

    database: str
    owner: str | None
    redis: str | None


class Newsletter:
    """The assembled product of one process. `close` it at the end."""

    def __init__(self, chosen: Settings, urls: Urls) -> None:
        self.settings = chosen
        self.urls = urls
        self._keyring = Keyring.load(chosen.keys)
        vault = Vault(self._keyring)
        relays = {Lane(lane): Relay.parse_all(url) for lane, url in chosen.relays.items()}
        # A relay on this machine is a queue of our own: nobody's patience is tried by it.
        near = all(relay.near for relay in relays[Lane.BULK])
        self.parts = Parts(
            database=Database(urls.database, vault),
            tokens=self._tokens,
            composing=lambda: self.layout,
            letterhead=letterhead(chosen),
            nudger=Nudger(urls.redis),
            home=chosen.home,
            fetch_allow=chosen.fetch_allow,
            relays=relays,
            tranche_pause=timedelta(0) if near else timedelta(minutes=chosen.tranche_pause),
            house=self._house,
            router=self._router,
            notices=self._notices,
            hook=reveal(chosen.hook),
            drill_at=chosen.drill_at,
            zone=chosen.zone,
            erasures=chosen.erasures,
            canaries=chosen.canaries,
            export_alone=chosen.export_alone_up_to,
        )

    @cached_property
    def layout(self) -> "Layout":
        """The templates of e-mail with their style inlined, made on first use: senders never load lxml (decision 4)."""
        from newsletter.composer.inlining import layout_of

        return layout_of(self.settings.templates)

    @cached_property
    def sender(self) -> Sender:
        """The sending engine of this process, made on first use: after any fork."""
        return self._make_sender()

    def _make_sender(self) -> Sender:
        identity = Identity(
            self.parts.letterhead.sender_address, self.settings.bounce_domain or None, signer=signer(self.settings)
        )
        return Sender(
            self.parts.database,
            self.parts.tokens,
            self.parts.relays,
            identity,
            journals=self._journals,
            house=self._house,
        )

    @property
    def _house(self) -> House:
        chosen = self.settings
        alone = timedelta(minutes=chosen.alone_after) if chosen.alone_after else None
        rules = Night(few=chosen.one_person_up_to, alone=alone, codes_to=chosen.codes_up_to)
        return House(
            letterhead(chosen).sender_address, rules, partial(pins.read, chosen.pins), self._frame, self._frames
        )

    def _frame(self, name: str) -> str:
        from newsletter.templating import templates_of

        return templates_of(self.settings.templates).source(name)

    def _frames(self) -> list[str]:
        from newsletter.templating import templates_of

        return templates_of(self.settings.templates).names("frames", "md")

    @property
    def _router(self) -> Router | None:
        domain, sender = self.settings.bounce_domain, letterhead(self.settings).sender_address
        return Router(self._tokens, domain=domain, sender=sender) if domain else None

    @property
    def _tokens(self) -> Tokens:
        ring = self._keyring.token
        return Tokens(ring.live, ring.keys, ring.retired)

    @property
    def _notices(self) -> "Receiver | None":
        topic = self.settings.ses_topic
        if not topic:
            return None
        from newsletter.bounces.sns import LARGEST, Receiver

        return Receiver(topic, partial(fetching.fetch, max_bytes=LARGEST))

    @cached_property
    def _relay_log(self) -> RelayLog | None:
        """The relay's log, which remembers how far it was read."""
        return RelayLog(self.settings.relay_log) if self.settings.relay_log else None

    @property
    def _journals(self) -> Path:
        return self.settings.home / "journals"

    def deliver(
        self,
        lane: str,
        *,
        seconds: float = TURN_SECONDS,
        opened: Callable[[], object] = lambda: None,
        until: Callable[[], bool] = lambda: False,
    ) -> int:
        """Send what a lane has due for up to `seconds`; return how many messages were begun.

        opened  called when the first messages may go: there may be more for others
        until   True ends at once: what is on the wire is finished and recorded, nothing more is begun

        The spool of wishes to leave is drained before each lease, and before each window.
        """
        return self.sender.work(lane, seconds=seconds, heed=self._drain, opened=opened, until=until)

    def _drain(self) -> object:
        return leaving.drain(self.parts)

    def sweep(self) -> recovery.Found:
        """Find what nudges lost, and nudge the lanes that have work."""
        found = self._look()
        self._write_rows()
        return found

    def _look(self) -> recovery.Found:
        """Do all of a sweep that takes no time: what fails keeps nothing else from its turn."""
        each(self._to_settle())
        found = attempt(self._recover, recovery.Found(0, 0, []))
        each(self._to_tell())
        return found

    def _to_settle(self) -> Iterable[Callable[[], object]]:
        """Return what comes first: what was done elsewhere, what died, what is in doubt, and what goes at an hour."""
        parts, database = self.parts, self.parts.database
        return (
            partial(erasing.after_restore, parts),
            self._drain,
            partial(meanwhile.settle_all, database),
            partial(recovery.reclaim, database, self._journals),
            partial(recovery.close_stopped, database, self._journals, owner=f"sweep:{os.getpid()}"),
            self._hush,
            self._ask_the_log,
            partial(rejects.sweep, parts.home / "rejects"),
            partial(starting.start_due, parts, (Lane.URGENT, Lane.TRANSACTIONAL)),
        )

    def _hush(self) -> None:
        with self.parts.database.transaction() as session:
            hushing.hush(session, now=database.now(session))

    def _ask_the_log(self) -> None:
        if self._relay_log:
            domain = self.parts.letterhead.domain
            recovery.settle_by_log(self.parts.database, self._relay_log, self.parts.tokens, domain=domain)

    def _recover(self) -> recovery.Found:
        """Set going again what lies in rows, and nudge the lanes that have work."""
        with self.parts.database.transaction() as session:
            found = recovery.sweep(session, now=database.now(session))
        for lane in found.lanes:
            self.parts.nudger.nudge(DELIVER[lane])
        return found

    def _to_tell(self) -> Iterable[Callable[[], object]]:
        """Return what follows: books that end, what the team is told and asked, and who is nudged for all else."""
        parts = self.parts
        return (
            partial(recovery.close_books, parts.database),
            self._open_months,
            *(
                partial(tell, parts)
                for tell in (refusing.tell, halts.tell, expiring.ask, unreleased.tell, drilling.look)
            ),
            partial(self._nudge, PICTURES, picturing.any_due),
            partial(self._nudge, RETURNS, returns.any_waiting),
            partial(self._nudge, DRILL, drilling.due),
            partial(self._nudge, ERRANDS, lambda _parts: self._errands_wait()),
            partial(self._nudge, LINKS, lambda _parts: self._errands_wait(links=True)),
            partial(self._nudge, SIGNUPS, lambda parts: joining.any_due(parts) or proving.any_due(parts)),
            partial(self._nudge, PRIVACY, privacy.any_due),
            partial(self._nudge, HOOKS, hooking.any_due),
        )

    def _open_months(self) -> None:
        with self.parts.database.transaction() as session:
            now = database.now(session)
        recovery.open_months(self.parts.database, now=now)

    def _nudge(self, job: Job, due: Callable[[Parts], object]) -> None:
        if due(self.parts):
            self.parts.nudger.nudge(job)

    def _write_rows(self) -> None:
        """Write the rows of many: they take a minute, and nothing urgent waits for those of an issue."""
        with self.parts.database.transaction() as session:
            further = mailings.growing(session)
        each(partial(growing.grow, self.parts, one) for one in further)
        starting.start_due(self.parts, (Lane.BULK,))

    def _errands_wait(self, *, links: bool = False) -> bool:
        with self.parts.database.transaction() as session:
            return errands.waiting(session, links=links)

    def greet(self) -> int:
        """Deal with those who wish to join, and with those who asked for a fresh link; return how many. The desk's work."""
        return joining.work(self.parts) + proving.work(self.parts)

    def _run_errands(self) -> None:
        """Do what was pressed on pages, where no worker can be called: it loads what senders do not."""
        if self._errands_wait():
            from newsletter.journeys import errands as journey

            journey.run(self.parts)

    def _try_links(self) -> None:
        """Try the links that wait to be tried, where no worker can be called."""
        if self._errands_wait(links=True):
            from newsletter.journeys import errands as journey

            while journey.try_links(self.parts):
                pass

    def lifeboat(self, lanes: list[str], *, until: Callable[[], bool], pause_seconds: float = 1.0) -> int:
        """Deliver without any broker until told to end; return how many messages were begun."""
        quick = (
            self._look,
            partial(team.tend, self.parts),
            self._run_errands,
            self._do_wishes,
            self.greet,
            partial(drilling.run_due, self.parts),
        )
        # A minute for rows, ten seconds for a hook, three quarters of a minute for links.
        slow = (self._write_rows, partial(hooking.run_due, self.parts), self._try_links)
        # Only here lie the journals of workers that died here.
        always = partial(recovery.reclaim, self.parts.database, self._journals)
        chores = Chores(self.parts.nudger.answers, quick, slow, always)
        boat = Lifeboat(self.parts.database, self._make_sender, chores, heed=self._drain)
        return boat.row(lanes, until=until, pause_seconds=pause_seconds)

    def _do_wishes(self) -> None:
        if privacy.any_due(self.parts):
            privacy.work(self.parts)

    def close(self) -> None:
        """Close connections to relays and to the database."""
        if "sender" in self.__dict__:
            self.sender.close()
        self.parts.database.close()


def assemble(chosen: Settings | None = None, *, role: Role = "worker") -> Newsletter:
    """Return the product for these settings, by default those of the environment.

    Raises settings.BadSettings, NoServers, BadSender, database.NotMigrated and what the vault says of the key file.
    """
    chosen = chosen or settings.read()
    made = Newsletter(chosen, urls(chosen, role=role))
    _check_keys(made)
    if role == "worker":
        _restore(made)
    return made


def make_keys(chosen: Settings, url: str) -> bool:
    """Write a key file where there is none and the migrated database at `url` is new; return whether one was made.

    A database that was written under other keys gets none: its own file must be put back.
    """
    if chosen.keys.exists():
        return False
    looking = Database(url, Vault(Keyring.make()))
    try:
        with looking.transaction() as session:
            if mailboxes.has_keys(session):
                return False
    finally:
        looking.close()
    Keyring.create(chosen.keys)
    return True


def _check_keys(made: Newsletter) -> None:
    """Refuse to work with a key file that is not this database's: what it sealed could never be opened again."""
    try:
        with made.parts.database.transaction() as session:
            mailboxes.check_keys(session)
    except DatabaseUnreachable:
        # A page that takes a wish to leave works without the database (standards §10); all else will say so itself.
        return


def _restore(made: Newsletter) -> None:
    """Before anything is sent or shown: who was erased since a backup that was restored is erased again."""
    with suppress(DatabaseUnreachable, database.NotMigrated):
        erasing.after_restore(made.parts)


def urls(chosen: Settings, *, role: Role = "worker") -> Urls:
    """Return where the servers are: as set, else the embedded ones that run. Raises NoServers."""
    if database_url := reveal(chosen.database_url):
        return Urls(database_url, reveal(chosen.migrate_url), reveal(chosen.redis_url))
    running = embedded.status(chosen.home)
    if running is None:
        raise NoServers(str(chosen.home))
    own = running.web_url if role == "web" else running.worker_url
    return Urls(own, running.owner_url, reveal(chosen.redis_url) or running.redis_url)


def require_sending(chosen: Settings) -> None:
    """Raise what would stop every message, before anything is sent: BadSender, or signing.BadKey of a key that cannot be used.

    For those who send. Pages go on without: who wants to leave must not wait until a key is mended.
    """
    signer(chosen)


def signer(chosen: Settings) -> Signer | None:
    """Return who signs for the sender's domain, None where the relay does. Raises BadSender, signing.BadKey."""
    keys = signing_keys(chosen)
    return Signer(letterhead(chosen).domain, keys) if keys else None


def signing_keys(chosen: Settings) -> tuple[Key, ...]:
    """Return the keys that sign, none where the relay does. Raises signing.BadKey."""
    text = reveal(chosen.dkim_key)
    return signing.keys(text) if text else ()


def letterhead(chosen: Settings) -> Letterhead:
    """Return who sends, from the settings. An unset sender is allowed here and refused when mail is composed."""
    if headers.FORBIDDEN.search(chosen.sender + chosen.discreet_name):
        raise BadSender
    name, address = parseaddr(chosen.sender)
    try:
        wire = EmailAddress.parse(address).wire if chosen.sender else ""
    except BadAddress:
        raise BadSender from None
    shown = name or wire.rpartition("@")[2]
    discreet, mirror = chosen.discreet_name.strip(), chosen.mirror_url or ""
    return Letterhead(shown, wire, chosen.postal_address, chosen.base_url, discreet, mirror, chosen.sensitive_cause)
