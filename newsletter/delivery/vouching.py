"""A worker's own look at what it is about to send: is this what was locked, and did those agree whose word it takes?

Whoever reaches the database, or the pages, could change a text after it was approved, or write that it was. So the process
that holds the bytes in its hands works everything out anew: the fingerprint from the lock's text, the lock's digests from the
bytes, and each signature by keys that lie in a file of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from newsletter.campaigns import drills
from newsletter.campaigns.drills import Terms
from newsletter.composer.message import Compiled
from newsletter.database import Session
from newsletter.errors import Conflict, NewsletterError
from newsletter.ledger import deliveries, lately, locks, mailings, refusals, shards, tallies, translating
from newsletter.ledger.deliveries import Row
from newsletter.ledger.mailings import Kind, Lane, State
from newsletter.ledger.manifest import Manifest
from newsletter.ledger.shards import Lease
from newsletter.operators import approval, audit, hooks, night, people, pins
from newsletter.operators.approval import Over
from newsletter.operators.hooks import Event
from newsletter.operators.night import Fault, Matter, Night, Rule, Word
from newsletter.operators.pins import Pins
from newsletter.vault import CannotUnseal

log = structlog.get_logger()

LOCKED = frozenset({Kind.ALERT, Kind.RETRACTION})
DAY = timedelta(hours=24)
"""For how long what went by one person's word, or by a code, is added to what is to go."""


class NotVouched(Conflict):
    """What lies before this worker is not what was locked, or nobody whose word it takes agreed. fault: what is wrong."""

    def __init__(self, mailing_id: int, fault: str) -> None:
        self.fault = fault
        super().__init__(f"vouch.{fault}", mailing=mailing_id)


@dataclass(frozen=True, slots=True)
class House:
    """What a worker brings itself: whose mail this is, the rules, and where the trusted keys lie.

    sender   the address in From
    frames   returns the text of a file below the templates folder: a frame's
    framed   returns the names of the frames there are
    """

    sender: str = ""
    rules: Night = field(default_factory=Night)
    pins: Callable[[], Pins] = Pins
    frames: Callable[[str], str] = field(default=str)
    framed: Callable[[], list[str]] = list


def vouched(
    session: Session, lease: Lease, rows: Iterable[Row], house: House, *, now: datetime
) -> Manifest | Terms | None:
    """Return what fixes the bytes of a shard of an alert or a drill, once all else about it has been checked. Raises NotVouched.

    rows   those of the shard that are to go

    None for mail that nobody locks: digests, mailings and mail to single people, which have no business in the urgent lane.
    """
    if lease.kind is Kind.DRILL:
        return _drilled(session, lease, rows, house, now=now)
    if lease.kind not in LOCKED:
        if lease.lane is Lane.URGENT:
            raise NotVouched(lease.mailing_id, "lane")
        return None
    mailing = mailings.get(session, lease.mailing_id)
    base = mailing.retracts if lease.kind is Kind.RETRACTION else lease.mailing_id
    try:
        manifest = locks.of(session, base or 0, lease.fingerprint)
    except (NewsletterError, ValueError, KeyError, TypeError):
        raise NotVouched(lease.mailing_id, "lock-broken") from None
    if manifest.number != locks.newest(session, manifest.mailing):
        raise NotVouched(lease.mailing_id, "old-lock")
    _require_same(session, manifest, lease, mailing, house)
    _require_readers(session, manifest, lease, rows)
    went = mailings.get(session, manifest.mailing).planned_at
    words = approval.of(session, Over(manifest.mailing, manifest.number, manifest.fingerprint, went))
    about = matter(session, manifest, house, now=now)
    try:
        trusted = keys(house, words)
    except pins.UNTRUSTED:
        raise NotVouched(lease.mailing_id, Fault.PINS) from None
    found = night.judge(words, about, house.rules, trusted, now=now)
    if found and not (lease.kind is Kind.RETRACTION and went_by_us(session, manifest.mailing, lease.fingerprint)):
        raise NotVouched(lease.mailing_id, found)
    return manifest


WENT = "alert.vouched"


def remember(session: Session, lease: Lease, *, now: datetime) -> None:
    """Write down that an alert goes as it was locked: rules that are stricter later must not keep it from being taken back.

    Sealed by a key that neither the database nor the pages have: whoever writes in them makes no such row.
    """
    fingerprint = lease.fingerprint.hex()
    seal = session.vault.seal("mailing", "vouched", lease.mailing_id, fingerprint).hex()
    audit.append(session, WENT, by=audit.WORKER, now=now, mailing=lease.mailing_id, fingerprint=fingerprint, seal=seal)


def went_by_us(session: Session, alert_id: int, fingerprint: bytes) -> bool:
    """Return whether a worker with our keys vouched for an alert under this lock when it went."""
    said = audit.of_mailing(session, WENT, alert_id)
    return any(_sealed(session, alert_id, fingerprint, str(one.facts.get("seal"))) for one in said)


def _sealed(session: Session, alert_id: int, fingerprint: bytes, seal: str) -> bool:
    own = session.vault.live_ids[0][0]  # not the team's, which the pages have
    try:
        sealed = bytes.fromhex(seal)
        return sealed[:1] == own and session.vault.unseal("mailing", "vouched", alert_id, sealed) == fingerprint.hex()
    except (ValueError, CannotUnseal):
        return False


def keys(house: House, words: Iterable[Word]) -> Pins:
    """Return the pinned keys where one of these words rests on any: a damaged file keeps no other back. Raises pins.UNTRUSTED."""
    return house.pins() if any(word.keyed for word in words) else Pins()


def matter(session: Session, manifest: Manifest, house: House, *, now: datetime) -> Matter:
    """Return what somebody's word is about, with whom else the alert reaches, and what went to the same readers before it."""
    beside = _beside(session, manifest, house, now=now)
    return replace(_bare(manifest), beside=beside, before=_before(session, manifest, house, now=now))


def _bare(manifest: Manifest) -> Matter:
    return Matter(
        manifest.fingerprint,
        manifest.author,
        manifest.count,
        manifest.audience["digest"]["key"],
        tuple(version.frame for version in manifest.versions),
        manifest.writers,
        whole=manifest.whole,
        limited=translating.limited(manifest.audience),
    )


def _before(session: Session, manifest: Manifest, house: House, *, now: datetime) -> int:
    """Return to how many alerts went to the same digest within the day before this one, where no passkey says that they may."""
    until = mailings.get(session, manifest.mailing).planned_at or now
    found = lately.alerts(
        session, manifest.audience["digest"]["id"], since=until - DAY, until=until, but=manifest.mailing
    )
    ids = [one.id for one, _ in found]
    numbers, keyed = approval.numbers(session, ids), approval.keyed(session, ids)
    weak = [
        (one, count) for one, count in found if one.id not in keyed or not _by_passkey(session, one, house, now=now)
    ]
    # Whoever has a worker's password may plan several and let the last one go first: those before it have no rows, but a word.
    return sum(max(count, locks.most(session, one.id, numbers.get(one.id, []))) for one, count in weak)


def _by_passkey(session: Session, mailing: mailings.MailingView, house: House, *, now: datetime) -> bool:
    return _agreed(session, mailing, house, lambda word: word.proved, now=now)


def _beside(session: Session, manifest: Manifest, house: House, *, now: datetime) -> int:
    """Return for how many an alert went in its other languages: in those that went before this one, and by the same word after it.

    One that others let go after it does not count, as it did not when this one was let go.
    """
    if manifest.translates is None:
        return 0
    mine = mailings.get(session, manifest.mailing).planned_at
    beside = 0
    for one, count in translating.gone(session, manifest.translates, but=manifest.mailing):
        after = mine is not None and one.planned_at is not None and one.planned_at > mine
        if not (after and _by_others(session, one, house, now=now)):
            beside += count
    return beside


def _by_others(session: Session, mailing: mailings.MailingView, house: House, *, now: datetime) -> bool:
    """Return whether a mailing needs nobody to say that its readers are few."""
    return _agreed(session, mailing, house, lambda word: word.rule is not Rule.FEW, now=now)


def _agreed(
    session: Session, mailing: mailings.MailingView, house: House, counts: Callable[[Word], bool], *, now: datetime
) -> bool:
    """Return whether those words suffice by which a mailing went that count here."""
    try:
        manifest = locks.current(session, mailing.id)
    except (NewsletterError, ValueError, KeyError, TypeError):
        return False
    words = approval.of(session, Over(mailing.id, manifest.number, manifest.fingerprint, mailing.planned_at))
    counted = [word for word in words if counts(word)]
    try:
        return night.judge(counted, _bare(manifest), house.rules, keys(house, counted), now=now) is None
    except pins.UNTRUSTED:
        return False


def _drilled(session: Session, lease: Lease, rows: Iterable[Row], house: House, *, now: datetime) -> Terms:
    """A drill needs nobody's word, since it goes to the team alone: as it was composed, and as the team is now."""
    try:
        terms = drills.terms(session, lease.mailing_id)
    except (NewsletterError, ValueError, KeyError, TypeError):
        raise NotVouched(lease.mailing_id, "drill-broken") from None
    if lease.lane is not Lane.URGENT:
        raise NotVouched(lease.mailing_id, "lane")
    if terms.sender != house.sender:
        raise NotVouched(lease.mailing_id, "sender")
    if terms.until <= now:
        raise NotVouched(lease.mailing_id, "expiry")
    try:
        house.pins()  # no drill needs them, but the alert that it stands for does
    except pins.UNTRUSTED:
        raise NotVouched(lease.mailing_id, Fault.PINS) from None
    team = people.mailboxes_of_active(session) & set(terms.mailboxes)
    # A row that names a subscriber goes to that subscriber's address, whatever its mailbox says.
    if any(row.subscriber_id is not None or row.mailbox_id not in team for row in rows):
        raise NotVouched(lease.mailing_id, "not-the-team")
    return terms


def _require_same(
    session: Session, manifest: Manifest, lease: Lease, mailing: mailings.MailingView, house: House
) -> None:
    """What a lock fixes beside the bytes: raise NotVouched where the mailing says otherwise."""
    if manifest.sender != house.sender:
        raise NotVouched(lease.mailing_id, "sender")
    if manifest.lane != lease.lane:
        raise NotVouched(lease.mailing_id, "lane")
    if {mailing.digest_id, lease.digest_id} != {manifest.audience["digest"]["id"]}:
        raise NotVouched(lease.mailing_id, "audience")
    if lease.kind is Kind.RETRACTION:
        return _require_retracted(session, manifest, lease)
    if mailing.expires_at is None or mailing.expires_at > manifest.latest:
        raise NotVouched(lease.mailing_id, "expiry")
    if mailing.updates != manifest.updates:
        raise NotVouched(lease.mailing_id, "updates")
    if mailing.translates != manifest.translates:
        raise NotVouched(lease.mailing_id, "translates")
    if translating.terms(mailing) != {name: one for name, one in manifest.audience.items() if name != "digest"}:
        raise NotVouched(lease.mailing_id, "audience")
    planned = mailings.planned(session, lease.mailing_id)
    if manifest.moved(planned) and not (mailing.growing and planned < manifest.count):
        raise NotVouched(lease.mailing_id, "count")
    return None


def _require_readers(session: Session, manifest: Manifest, lease: Lease, rows: Iterable[Row]) -> None:
    """The rows themselves, whatever is said of their number: as many as were approved, and subscribers all.

    That each of these takes the digest was looked at as the shard was leased; who has a row, and in which shard it is, nobody can
    write over.
    """
    found = deliveries.extent(session, lease)
    if found.planned > manifest.count and manifest.moved(found.planned):
        raise NotVouched(lease.mailing_id, "count")
    if found.here > lease.size or found.strangers or any(row.subscriber_id is None for row in rows):
        raise NotVouched(lease.mailing_id, "readers")


def _require_retracted(session: Session, manifest: Manifest, lease: Lease) -> None:
    """What takes an alert back goes once that is taken back as it was locked, and to no more than the alert was for."""
    alert = mailings.get(session, manifest.mailing)
    if alert.state is not State.RETRACTED or alert.fingerprint != lease.fingerprint:
        raise NotVouched(lease.mailing_id, "not-retracted")
    planned = mailings.planned(session, lease.mailing_id)
    if planned > manifest.count and manifest.moved(planned):
        raise NotVouched(lease.mailing_id, "count")


def require_bytes(manifest: Manifest | Terms, lease: Lease, compiled: Compiled) -> None:
    """Raise NotVouched where a message is none of those that were locked."""
    if not manifest.holds(compiled, retraction=lease.kind is Kind.RETRACTION):
        raise NotVouched(lease.mailing_id, "bytes")


def refuse(session: Session, lease: Lease, refused: NotVouched, *, now: datetime) -> None:
    """Give the shard back and halt its mailing: it goes on when somebody has looked and says so. The desk tells the team."""
    shards.release(session, lease)
    if tallies.halt(session, lease.mailing_id, refusals.HALTED):
        log.error("not vouched for", mailing=lease.mailing_id, why=refused.fault)
        facts = {"mailing": lease.mailing_id, "why": refused.fault}
        refusals.add(session, lease.mailing_id, refused, halted=True)
        hooks.add(session, Event.REFUSED, alert=lease.mailing_id, why=str(refused.fault))
        audit.append(session, "alert.refused", by=audit.WORKER, now=now, **facts)
