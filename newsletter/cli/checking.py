"""What `newsletter doctor` looks at. Each check says what it found, and what to do where that is not well."""

import os
import socket
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import redis
from dns.resolver import Resolver
from rich.table import Table

from newsletter import assembly, database, languages, mailboxes, migrations, settings
from newsletter.bounces import probing, replies
from newsletter.cli import names
from newsletter.cli.door import page, screen
from newsletter.database import Database
from newsletter.errors import NewsletterError
from newsletter.jobs import Nudger
from newsletter.journeys import (
    answering,
    canaries,
    drilling,
    erasing,
    exposure,
    halting,
    hooking,
    inbound,
    refusing,
    retention,
    spooling,
)
from newsletter.journeys.parts import Parts
from newsletter.ledger.mailings import Lane
from newsletter.operators import pins
from newsletter.operators.roles import May
from newsletter.relay.reply import Reply
from newsletter.relay.target import Relay
from newsletter.settings import Settings
from newsletter.vault import Keyring, Vault


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. ok None: could not be told here, which is no fault."""

    check: str
    ok: bool | None
    found: str


def examine() -> list[Finding]:
    """Run every check; a check that fails does not hide the others."""
    chosen = settings.read()
    findings = [_guarded("keys", lambda: _keys(chosen)), _guarded("sender", lambda: _sender(chosen))]
    try:
        urls = assembly.urls(chosen)
    except NewsletterError as refusal:
        return [*findings, _refused("database", refusal), _guarded("disk", lambda: _disk(chosen))]
    findings.append(_guarded("database", lambda: _database(urls)))
    findings.append(_guarded("keys and data", lambda: _keys_fit(chosen, urls)))
    findings.append(_guarded("pages' keys", lambda: _keys_of_pages(chosen)))
    findings.append(_guarded("migrations", lambda: _migrations(urls)))
    findings.append(_guarded("roles", lambda: _roles(urls)))
    findings.append(_guarded("clock", lambda: _clock(urls)))
    findings.append(_guarded("broker", lambda: _broker(urls)))
    findings.append(_guarded("lanes", lambda: _lanes(chosen)))
    for lane, url in chosen.relays.items():
        findings.append(_guarded(f"relay ({lane})", lambda url=url, lane=lane: _relay(url, lane)))  # type: ignore[misc]
    findings.append(_guarded("sessions", lambda: of_sessions(_asked(urls, CROWDED), _relays(chosen))))
    findings.append(_guarded("service mail", lambda: _service_mail(chosen)))
    findings.append(_guarded("signing", lambda: _signing(chosen)))
    findings.append(_guarded("inbound", lambda: _inbound(chosen)))
    findings.append(_guarded("pinned keys", lambda: of_the_keys(chosen.pins)))
    findings.append(_guarded("hook", lambda: _hook(chosen)))
    findings.append(_guarded("drill", lambda: _drill(chosen)))
    findings.append(_guarded("spool", lambda: of_the_spool(chosen)))
    findings.append(_guarded("erasures", lambda: _erasures(chosen)))
    findings.append(_guarded("canaries", lambda: _canaries(chosen)))
    findings.append(_guarded("disk", lambda: _disk(chosen)))
    return [*findings, *_dns(chosen)]


def _guarded(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except NewsletterError as refusal:
        return _refused(check, refusal)
    except OSError as error:
        return Finding(check, False, error.strerror or type(error).__name__)


def _refused(check: str, refusal: NewsletterError) -> Finding:
    return Finding(check, False, languages.say(refusal.message, **refusal.facts))


def _keys(chosen: Settings) -> Finding:
    Keyring.load(chosen.keys)
    mode = stat.S_IMODE(os.stat(chosen.keys).st_mode)
    return Finding(
        "keys", True, f"{chosen.keys} (mode {mode:04o}). Who loses this file loses the list: keep a copy apart."
    )


def _sender(chosen: Settings) -> Finding:
    assembly.letterhead(chosen).require()
    local = "127.0.0.1" in chosen.base_url or "localhost" in chosen.base_url
    if local:
        return Finding(
            "sender",
            None,
            f"{chosen.sender}; readers elsewhere cannot reach {chosen.base_url}: set NEWSLETTER_BASE_URL",
        )
    return Finding("sender", True, f"{chosen.sender}, pages at {chosen.base_url}")


def _keys_fit(chosen: Settings, urls: assembly.Urls) -> Finding:
    """A key file of another installation opens nothing here, and what it sealed nobody else could open."""
    opened = Database(urls.database, Vault(Keyring.load(chosen.keys)))
    try:
        with opened.transaction() as session:
            mailboxes.verify_keys(session)
    finally:
        opened.close()
    return Finding("keys and data", True, "the keys are this database's")


def _keys_of_pages(chosen: Settings) -> Finding:
    """What a break-in at the pages would open; no fault on one machine, where every process may read every file."""
    made = assembly.assemble(chosen)
    try:
        with made.parts.database.transaction() as session:
            split = exposure.pages_split(session)
    finally:
        made.close()
    found = {True: "exposure.split.yes", False: "exposure.split.no", None: "exposure.split.none"}[split]
    return Finding("pages' keys", split or None, languages.say(found))


def of_the_keys(path: Path) -> Finding:
    """Return what the file of pinned keys says: without a whole one no passkey lets an alert go. Raises BadPins, OthersMayWrite."""
    now = [one for one in pins.read(path).keys if one.until is None]
    if not now:
        return Finding(
            "pinned keys", None, f"none in {path}: large alerts need passkeys, and “newsletter operators pin”"
        )
    if not all(one.may for one in now):
        return Finding(
            "pinned keys", False, f"{path} is of an earlier version and trusted for nothing: newsletter operators pin"
        )
    approving = len({one.operator for one in now if May.APPROVE in one.may})
    return Finding(
        "pinned keys", True, f"of {len({one.operator for one in now})} operators, {approving} of whom may approve"
    )


def _asked(urls: assembly.Urls, sql: str) -> list[tuple[object, ...]]:
    # Nothing sealed is read, so a lost key file hides none of these answers.
    opened = Database(urls.database, Vault(Keyring.make()))
    try:
        return database.ask(opened, sql)
    finally:
        opened.close()


def _database(urls: assembly.Urls) -> Finding:
    version = str(_asked(urls, "SHOW server_version")[0][0])
    return Finding("database", int(version.split(".")[0]) >= 15, f"PostgreSQL {version}; 15 or newer is needed")


def _migrations(urls: assembly.Urls) -> Finding:
    found = _asked(urls, "SELECT to_regclass('alembic_version')::text")[0][0]
    at = str(_asked(urls, "SELECT version_num FROM alembic_version")[0][0]) if found else "empty"
    ok = at == migrations.head()
    return Finding(
        "migrations",
        ok,
        f"at {at}" if ok else f"at {at}, this version needs {migrations.head()}: newsletter db upgrade",
    )


def _roles(urls: assembly.Urls) -> Finding:
    query = (
        "SELECT current_user, rolsuper, pg_get_userbyid(datdba) = current_user FROM pg_roles, pg_database"
        " WHERE rolname = current_user AND datname = current_database()"
    )
    user, super_, owner = _asked(urls, query)[0]
    if super_ or owner:
        return Finding(
            "roles", False, f"{user} owns the database or rules the server: use newsletter_worker or newsletter_web"
        )
    return Finding("roles", True, f"{user} owns nothing")


def _clock(urls: assembly.Urls) -> Finding:
    theirs = _asked(urls, "SELECT clock_timestamp()")[0][0]
    assert isinstance(theirs, datetime)
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    return Finding("clock", apart < 5, f"{apart:.1f} s from the database's")


def _broker(urls: assembly.Urls) -> Finding:
    if urls.redis is None:
        return Finding("broker", False, "NEWSLETTER_REDIS_URL is not set: only the lifeboat would send")
    try:
        client = redis.Redis.from_url(urls.redis, socket_timeout=3, socket_connect_timeout=3)
        policy = client.info("memory").get("maxmemory_policy", "unknown")
        client.close()
    except (redis.RedisError, OSError) as error:
        return Finding(
            "broker", False, f"does not answer ({type(error).__name__}); mail then leaves by the lifeboat only"
        )
    if not Nudger(urls.redis).answers():
        return Finding("broker", False, "takes nothing (is its disk full?); mail then leaves by the lifeboat only")
    return Finding(
        "broker", policy == "noeviction", f"eviction policy {policy}; it must be noeviction, or jobs are lost silently"
    )


def _lanes(chosen: Settings) -> Finding:
    """Somebody paused them, and meant it; but an alert that waits in one waits without a word of its own."""
    made = assembly.assemble(chosen)
    try:
        paused = {one.lane: one.paused_since for one in halting.listed(made.parts) if one.paused_since}
    finally:
        made.close()
    said = (
        languages.say("lanes.paused-since", lane=lane, since=f"{since:%Y-%m-%d %H:%M} UTC")
        for lane, since in paused.items()
    )
    return Finding("lanes", False if Lane.URGENT in paused else None if paused else True, " ".join(said) or "all go")


def _relay(url: str, lane: str) -> Finding:
    relays = Relay.parse_all(url)
    ill = {relay.name: why for relay in relays if (why := _illness(relay))}
    if ill:
        return Finding(f"relay ({lane})", False, "; ".join(f"{name} {why}" for name, why in ill.items()))
    return Finding(f"relay ({lane})", True, ", ".join(relay.name for relay in relays) + " answers")


def _relays(chosen: Settings) -> list[Relay]:
    return [relay for url in chosen.relays.values() for relay in Relay.parse_all(url)]


def _illness(relay: Relay) -> str | None:
    """Return what a relay does instead of greeting us, or None when it greets."""
    try:
        with socket.create_connection((relay.host, relay.port), timeout=3) as connection:
            connection.settimeout(5)
            greeting = b"220" if relay.implicit_tls else connection.recv(200)
    except OSError as error:
        return f"does not answer: {error.strerror or error}"
    said = Reply.parse(greeting)
    if said.first_digit in (4, 5):
        return f"answers, and {'takes nothing from us now' if said.first_digit == 4 else 'refuses us'}: {said}"
    return None if said.code == 220 else "answers, and does not greet as a mail server"


def of_sessions(rows: list[tuple[object, ...]], relays: Collection[Relay]) -> Finding:
    """Return which relays bear fewer sessions than our processes open: how many those are, no setting says.

    rows   of `CROWDED`: under a host, host:port or an account there
    """
    known = {name for relay in relays for name in (relay.host, relay.name, relay.key)}
    said = "; ".join(
        f"{name} last had no session left for an alert or a service mail on {at:%Y-%m-%d %H:%M} UTC: give it fewer"
        " connections= or run fewer workers, or ask it for more sessions"
        for name, at in rows
        if name in known
    )
    return Finding("sessions", None if said else True, said or "no relay lacked one for an alert within a week")


CROWDED = """
    SELECT name, crowded_at AT TIME ZONE 'UTC' FROM relay_state
    WHERE crowded_at > clock_timestamp() - interval '7 days' ORDER BY name
"""


def _service_mail(chosen: Settings) -> Finding:
    made = assembly.assemble(chosen)
    try:
        return of_service_mail(made.parts)
    finally:
        made.close()


def of_service_mail(parts: Parts) -> Finding:
    """It is halted for nothing but our account, so no mailing's page says that a block list keeps the questions of sign-ups."""
    fared = refusing.service_mail(parts)
    if not fared.refused:
        return Finding("service mail", True, f"{fared.tried} tried within a day, none of it is refused by policy")
    blocked = languages.say("mailing.blocked", refused=fared.refused, tried=fared.tried)
    return Finding("service mail", False if refusing.is_blocked(fared) else None, blocked)


def _signing(chosen: Settings) -> Finding:
    assembly.require_sending(chosen)
    keys = [f"{key.selector} ({key.algorithm})" for key in assembly.signing_keys(chosen)]
    if not keys:
        return Finding("signing", None, "NEWSLETTER_DKIM_KEY is not set: the relay must sign")
    return Finding("signing", True, f"every message is signed with {' and '.join(keys)}")


def _inbound(chosen: Settings) -> Finding:
    """A mail through the LMTP server of the settings and back; one that listens elsewhere says by its row that it works."""
    if not chosen.bounce_domain:
        return Finding("inbound", None, "NEWSLETTER_BOUNCE_DOMAIN is not set: nothing that comes back is read")
    made = assembly.assemble(chosen)
    try:
        with suppress(OSError):
            inbound.self_test(made.parts, partial(probing.deliver, *chosen.intake))
        if not inbound.works(made.parts):
            return Finding(
                "inbound", False, f"the self-test of {chosen.bounce_domain} has not passed: is “newsletter intake” up?"
            )
        if (letters := answering.waiting(made.parts)) >= replies.MOST:
            return Finding("inbound", False, f"{letters} letters wait, and no more are kept: “newsletter replies list”")
    finally:
        made.close()
    return Finding("inbound", True, f"mail for {chosen.bounce_domain} is read; {letters} letters wait for an answer")


def _hook(chosen: Settings) -> Finding:
    """What the setting holds is not shown: an address of the web may be a secret."""
    hook = settings.reveal(chosen.hook)
    if not hook:
        return Finding(
            "hook", None, "NEWSLETTER_HOOK is not set: an alert that waits for somebody at night wakes nobody"
        )
    kind = "an address" if hook.startswith(("http://", "https://")) else "a command"
    made = assembly.assemble(chosen)
    try:
        found = hooking.health(made.parts)
    finally:
        made.close()
    if found.failed_at is None:
        last = f"last told {found.taken_at:%Y-%m-%d %H:%M} UTC" if found.taken_at else "told of nothing yet"
        return Finding("hook", True, f"{kind} is set; {last}, it has never failed")
    why = languages.say(found.fault or "")
    well = found.taken_at is not None and found.taken_at > found.failed_at
    failed = f"it last failed {found.failed_at:%Y-%m-%d %H:%M} UTC: {why}"
    return Finding("hook", well, f"{kind} is set; {failed} {found.waiting} calls wait")


def _drill(chosen: Settings) -> Finding:
    """What the last drill found of the urgent lane; where none was ever made, that is no fault."""
    made = assembly.assemble(chosen)
    try:
        lit = drilling.lamp(made.parts)
    finally:
        made.close()
    return Finding("drill", lit.ok, drilling.sentence(lit, zone=made.parts.zone))


def _erasures(chosen: Settings) -> Finding:
    """Assembling has done again what a restored backup had undone; what could not be is said here."""
    made = assembly.assemble(chosen)
    try:
        undone = erasing.undone(made.parts)
        overdue = [one.category for one in retention.table(made.parts) if not one.ok]
    finally:
        made.close()
    if undone:
        return Finding("erasures", False, languages.say("erasures.undone"))
    if overdue:
        return Finding("erasures", False, languages.say("retention.overdue", categories=", ".join(overdue)))
    return Finding("erasures", True, str(made.parts.journal))


def _canaries(chosen: Settings) -> Finding:
    """Without them nobody hears that somebody else has the list, nor from which export: a fault where taking it takes two."""
    if len(chosen.canaries) == 1:
        said = "NEWSLETTER_CANARIES names one address: name a second one, since a thief may have dropped the first"
        return Finding("canaries", None, said)
    made = assembly.assemble(chosen)
    try:
        lacking = canaries.lacking(made.parts)
        waiting, barred = canaries.waiting(made.parts), canaries.barred(made.parts)
    finally:
        made.close()
    if not chosen.canaries:
        return Finding("canaries", False if lacking else None, languages.say("export.no-canaries"))
    if barred:
        said = f"{barred} left or are on the do-not-mail list, where no list brings them back: sign them up by your own form"
        return Finding("canaries", None, said)
    if waiting:
        return Finding("canaries", None, f"{waiting} are not in the list yet: a worker puts them in within a minute")
    return Finding(
        "canaries", True, f"{len(chosen.canaries)} addresses of our own live in the list and mark each export"
    )


def of_the_spool(chosen: Settings) -> Finding:
    """What was torn was never answered with "done"; but the number of the reader may stand in it."""
    if lines := spooling.unread(chosen.home):
        path = spooling.aside(chosen.home)
        return Finding(
            "spool",
            False,
            f"{lines} wishes to leave cannot be read: end by hand what {path} still tells, then delete it",
        )
    if waiting := spooling.waiting(chosen.home):
        return Finding(
            "spool", None, f"{waiting} octets of wishes to leave wait until a worker of this machine takes them"
        )
    return Finding("spool", True, "no wish to leave waits on this disk")


def _disk(chosen: Settings) -> Finding:
    chosen.home.mkdir(parents=True, exist_ok=True)
    if not os.access(chosen.home, os.W_OK):
        return Finding("disk", False, f"{chosen.home} cannot be written: set NEWSLETTER_HOME to a folder that can")
    found = os.statvfs(chosen.home)
    free = found.f_bavail * found.f_frsize // 2**20
    return Finding("disk", free > 1024, f"{free} MB free in {chosen.home}")


def _dns(chosen: Settings) -> list[Finding]:
    try:
        relays = {relay.host for relay in _relays(chosen)}
    except NewsletterError:
        relays = set()  # the checks of the relays say so
    return _published(chosen, relays)


def _published(chosen: Settings, hosts: set[str], resolver: Resolver | None = None) -> list[Finding]:
    try:
        domain = assembly.letterhead(chosen).domain
    except NewsletterError:
        return []  # the check of the sender says so
    if not domain:
        return []
    try:
        keys = {key.selector: key.record for key in assembly.signing_keys(chosen)}
    except NewsletterError:
        keys = {}  # the check of signing says so
    found = names.look(domain, sorted(hosts), keys=keys, resolver=resolver)
    return [Finding(answer.check, answer.ok, answer.found) for answer in found]


def doubts(chosen: Settings, *, resolver: Resolver | None = None) -> list[str]:
    """Return for what large providers will refuse a mailing (standards §19): asked before one is released.

    It is said and not forbidden: a name server that we cannot see may know better.
    """
    lacking = [finding for finding in _published(chosen, set(), resolver) if finding.ok is False]
    return [languages.say("send.not-aligned", check=one.check, found=one.found) for one in lacking]


def warn(chosen: Settings) -> None:
    """Print the doubts beside the document of a command that releases a mailing."""
    for sentence in doubts(chosen):
        screen.print(sentence, soft_wrap=True, markup=False, style="yellow" if screen.is_terminal else None)


def print_(findings: list[Finding]) -> None:
    """Print the checks as a table for people."""
    table = Table(box=None, show_header=False, pad_edge=False)
    signs = {True: "[green]ok[/]", False: "[red]no[/]", None: "[yellow]?[/]"}
    for finding in findings:
        table.add_row(signs[finding.ok], finding.check, finding.found)
    page.print(table)
