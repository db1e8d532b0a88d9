"""A watch mandate: in the evening two sign that one may send at night; at night one thumb is enough.

What it allows is one text with one fingerprint (`night.Terms`): until when, for which digest, how many alerts to how
many readers, and by which frames. The worker judges it again with the keys it trusts. Its cause is signed with it, for people: no
alert is compared with that.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import planning, vouching
from newsletter.errors import Invalid, NewsletterError
from newsletter.issues import digests
from newsletter.journeys import acting, agreeing, alert, drafting, framing
from newsletter.journeys.agreeing import NotEnough
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings
from newsletter.ledger.mailings import State
from newsletter.ledger.manifest import Manifest
from newsletter.operators import approval, audit, mandates, night, people, pins
from newsletter.operators.approval import Over
from newsletter.operators.mandates import MandateView
from newsletter.operators.night import NO_CODE, Fault, Rule, Terms, Word
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor

LONGEST = timedelta(hours=24)
"""A mandate is for one night: who wants another asks two people again."""


class BadMandate(Invalid):
    """A mandate cannot be of these terms; the sentence says which."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"mandate.{problem}", **facts)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a mandate is to allow. digest: its key; frames: their names."""

    holder: int
    digest: str
    cause: str
    until: datetime
    frames: tuple[str, ...]
    most_alerts: int
    most_readers: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody shows for their word.

    assertion   of a passkey, over what they sign
    seen        the fingerprint of what was before their eyes; None: whichever it is
    """

    by: int
    factor: Factor
    assertion: str | None = None
    seen: str | None = None


def until(written: str, *, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment of "08:00", the next one, or of an ISO date and time. Raises BadMandate.

    zone   where it is that hour; None: in this machine's
    """
    try:
        if len(written) <= 5:
            hour, minute = map(int, written.split(":"))
            today = now.astimezone(zone).replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
            found = _moment(today, zone)
            return found if found > now else _moment(today + timedelta(days=1), zone)
        found = datetime.fromisoformat(written)
        # At the ends of the calendar what one zone's clock shows is no moment of another's: all that follows may convert it.
        return (found if found.tzinfo else _moment(found, zone)).astimezone(UTC).astimezone(zone)
    except (ValueError, OverflowError):
        raise BadMandate("bad-time", written=written) from None


def _moment(wall: datetime, zone: tzinfo | None) -> datetime:
    """Return when a clock on the wall shows something. By its date: tonight's offset is not tomorrow's where the clock changes."""
    return wall.astimezone() if zone is None else wall.replace(tzinfo=zone)


def may_write(may: frozenset[May]) -> bool:
    """Return whether somebody may write a mandate down: who may hold one, and who may sign one."""
    return not may.isdisjoint({May.SEND, May.APPROVE})


def add(parts: Parts, wish: Wish, *, by: int | None = None) -> MandateView:
    """Write a mandate down for others to sign. Raises BadMandate, UnknownDigest, BadFrame, NoTemplate, NotAllowed.

    by   who writes it; None: whoever runs the machine
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        if by is not None:
            may = people.by_id(session, by).may
            acting.require(session, by, May.APPROVE if May.APPROVE in may else May.SEND)
        acting.require(session, wish.holder, May.SEND)
        if not now < wish.until <= now + LONGEST:
            raise BadMandate("not-tonight", hours=int(LONGEST.total_seconds()) // 3600)
        if not wish.frames or not wish.cause.strip() or wish.most_alerts < 1 or wish.most_readers < 1:
            raise BadMandate("too-little")
        key = digests.by_key(session, wish.digest).key
        ids = tuple(sorted({framing.get(parts.house, name).id for name in wish.frames}))
        made = mandates.add(
            session,
            Terms(
                holder=wish.holder,
                cause=wish.cause.strip(),
                digest=key,
                until=wish.until,
                most_alerts=wish.most_alerts,
                most_readers=wish.most_readers,
                frames=ids,
                nonce=secrets.token_hex(16),
            ),
        )
        found = mandates.get(session, made)
        facts = {"mandate": made, "holder": wish.holder, "fingerprint": found.fingerprint.hex()}
        audit.append(session, "mandate.added", by=by or audit.SHELL, now=now, **facts)
        return found


def sign_by_code(parts: Parts, mandate_id: int, *, by: int, code: str) -> MandateView:
    """Sign a mandate by the code of one's phone. Raises NotEnough, WrongFactor, Locked, NotAllowed, UnknownMandate."""
    return acting.by_factor(
        parts,
        by,
        Factor.TOTP,
        code,
        before=lambda session: _require_signer(session, parts, mandate_id, Shown(by, Factor.TOTP)),
        act=lambda session: _sign(session, parts, mandate_id, Shown(by, Factor.TOTP)),
    )


def sign_by_passkey(parts: Parts, mandate_id: int, *, by: int, assertion: str) -> MandateView:
    """Sign a mandate by a passkey over its fingerprint. Raises NotEnough, NotAllowed, UnknownMandate."""
    with parts.database.transaction() as session:
        return _sign(session, parts, mandate_id, Shown(by, Factor.PASSKEY, assertion))


def _sign(session: Session, parts: Parts, mandate_id: int, shown: Shown) -> MandateView:
    _require_signer(session, parts, mandate_id, shown)
    if mandates.sign(session, mandate_id, signer=shown.by, factor=shown.factor, assertion=shown.assertion):
        facts = {"mandate": mandate_id, "factor": shown.factor}
        audit.append(session, "mandate.signed", by=shown.by, now=database.now(session), **facts)
    return mandates.get(session, mandate_id)


def _reach(session: Session, found: MandateView) -> int:
    """Return for how many a code must be enough: alerts to some of a digest reach all of it one by one."""
    return max(found.terms.most_readers, planning.reach(session, digests.by_key(session, found.terms.digest)))


def _require_signer(session: Session, parts: Parts, mandate_id: int, shown: Shown) -> None:
    now, found = database.now(session), mandates.get(session, mandate_id)
    acting.require(session, shown.by, May.APPROVE)
    if found.ended_at is not None or now >= found.terms.until:
        raise NotEnough(Fault.MANDATE_OVER)
    if shown.by == found.terms.holder:
        raise NotEnough(Fault.OWN)
    if shown.by in _held(session, found, now=now).lost:
        # A signature is added once and never taken out: what counts no more is not given anew.
        raise BadMandate("came-back")
    word, rules = Word(Rule.TWO, shown.by, shown.factor, shown.assertion, now), parts.house.rules
    try:
        trusted = vouching.keys(parts.house, [word])
    except pins.UNTRUSTED:
        raise NotEnough(Fault.PINS) from None
    most = _reach(session, found)
    fault = night.signs(word, found.fingerprint, most, rules, trusted)
    if fault is Fault.NEEDS_PASSKEY:
        raise BadMandate("needs-passkey", count=most, codes_to=rules.codes_to)
    if fault is not None:
        raise NotEnough(fault)


def release_by_code(
    parts: Parts, mailing_id: int, *, mandate: int, by: int, code: str, seen: str | None = None
) -> State:
    """Let a locked alert go by a mandate and the code of its holder's phone; return its state.

    Raises NotEnough, WrongFactor, Locked, NotAllowed, UnknownMandate, ChangedMeanwhile, and what `alert.release` raises.
    """
    parts.letterhead.require()
    shown = Shown(by, Factor.TOTP, seen=seen)
    superseded = acting.by_factor(
        parts,
        by,
        Factor.TOTP,
        code,
        before=lambda session: _require_word(session, parts, mailing_id, mandate, shown),
        act=lambda session: _let_go(session, parts, mailing_id, mandate, shown),
    )
    return alert.went(parts, mailing_id, superseded)


def release_by_passkey(
    parts: Parts, mailing_id: int, *, mandate: int, by: int, assertion: str, seen: str | None = None
) -> State:
    """Let a locked alert go by a mandate and its holder's passkey over the alert's fingerprint; return its state.

    Raises as `release_by_code`, but for what is about codes.
    """
    parts.letterhead.require()
    with parts.database.transaction() as session:
        superseded = _let_go(session, parts, mailing_id, mandate, Shown(by, Factor.PASSKEY, assertion, seen))
    return alert.went(parts, mailing_id, superseded)


def may_release(parts: Parts, mailing_id: int, *, mandate: int, by: int) -> int:
    """Return how many an alert would go to by a mandate and a code, and change nothing. Raises as `release_by_code` would."""
    with parts.database.transaction() as session:
        return _require_word(session, parts, mailing_id, mandate, Shown(by, Factor.TOTP)).count


def _let_go(session: Session, parts: Parts, mailing_id: int, mandate: int, shown: Shown) -> list[int]:
    """Write down the holder's word and let the alert go by it, both or neither; return what it supersedes.

    A word that stood by itself would let it go later: when the mandate is over, and by somebody else.
    """
    mandates.take(session, mandate)
    mailings.take(session, mailing_id)
    manifest = _require_word(session, parts, mailing_id, mandate, shown)
    over = Over(manifest.mailing, manifest.number, manifest.fingerprint)
    approval.add(
        session, over, Rule.MANDATE, by=shown.by, factor=shown.factor, assertion=shown.assertion, mandate=mandate
    )
    mailings.approve(session, mailing_id, start_at=None)
    facts = {"mailing": mailing_id, "number": manifest.number, "mandate": mandate, "factor": shown.factor}
    note = partial(audit.append, session, "alert.mandated", by=shown.by, now=database.now(session), **facts)
    return alert.let_go(session, parts, mailing_id, by=shown.by, seen=manifest.fingerprint.hex(), note=note)


def _require_word(session: Session, parts: Parts, mailing_id: int, mandate: int, shown: Shown) -> Manifest:
    now = database.now(session)
    acting.require(session, shown.by, May.SEND)
    mandates.get(session, mandate)
    manifest = locks.current(session, mailing_id)
    if shown.seen is not None and shown.seen != manifest.fingerprint.hex():
        raise drafting.ChangedMeanwhile(mailing_id)
    mailings.require(session, mailing_id, State.APPROVED)
    used = agreeing.still(session, mandates.used_for(session, mandate, mailing_id, at=now))
    word = Word(Rule.MANDATE, shown.by, shown.factor, shown.assertion, now, used)
    agreeing.enough(session, parts, manifest, [word], now=now)
    return manifest


def end(parts: Parts, mandate_id: int, *, by: int | None = None) -> MandateView:
    """End a mandate before its time: one person, no second factor, as a stop. Raises UnknownMandate, NotAllowed."""
    with parts.database.transaction() as session:
        now = database.now(session)
        mandates.get(session, mandate_id)
        if by is not None:
            acting.require(session, by, May.STOP)
        if mandates.end(session, mandate_id, now=now):
            audit.append(session, "mandate.ended", by=by or audit.SHELL, now=now, mandate=mandate_id)
        return mandates.get(session, mandate_id)


@dataclass(frozen=True, slots=True)
class Held:
    """A mandate, and whether it may still let something go.

    signed   by how many whose signature counts now
    lost     its holder and signers whose word counts no more: their role or access was taken, or they came back since they signed
    """

    mandate: MandateView
    holds: bool
    signed: int
    lost: tuple[int, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether a signature is what it waits for: without its holder no other makes it hold."""
        return not self.holds and self.mandate.terms.holder not in self.lost


def listed(parts: Parts) -> list[Held]:
    """Return the newest mandates, and whether each may still let something go."""
    with parts.database.transaction() as session:
        now = database.now(session)
        return [_held(session, one, now=now) for one in mandates.listed(session)]


def look(parts: Parts, mandate_id: int) -> Held:
    """Return a mandate, and whether it may still let something go. Raises UnknownMandate."""
    with parts.database.transaction() as session:
        return _held(session, mandates.get(session, mandate_id), now=database.now(session))


def _held(session: Session, found: MandateView, *, now: datetime) -> Held:
    """As a release would find it: who signed it in the evening may have been disabled by night."""
    if found.over(now=now):
        return Held(found, False, len(found.signers))
    counts = agreeing.still(session, mandates.used_for(session, found.id, 0, at=now)).signed
    signers = {signer for signer, *_ in counts}
    able = people.by_id(session, found.terms.holder).still(May.SEND)
    lost = tuple(one for one in found.signers if one not in signers) + (() if able else (found.terms.holder,))
    return Held(found, able and len(signers) >= 2, len(signers), lost)


@dataclass(frozen=True, slots=True)
class Paper:
    """A mandate as its page shows it.

    frames   each frame's name with its text; None where the text is another by now than the one that is signed
    over     it lets nothing go any more, whoever signs
    codes    a code is enough to sign it
    """

    held: Held
    digest: str
    frames: tuple[tuple[str, str | None], ...]
    over: bool
    codes: bool

    @property
    def mandate(self) -> MandateView:
        """What is signed."""
        return self.held.mandate

    @property
    def whole(self) -> bool:
        """Whether all that is signed can be read here."""
        return all(text is not None for _, text in self.frames)


def papers(parts: Parts) -> list[Paper]:
    """Return the newest mandates with all that they allow: those that may still let something go come first."""
    with parts.database.transaction() as session:
        now = database.now(session)
        found = [_paper(session, parts, one, now=now) for one in mandates.listed(session)]
    return sorted(found, key=lambda one: one.over)


def paper(parts: Parts, mandate_id: int) -> Paper:
    """Return a mandate with all that it allows. Raises UnknownMandate."""
    with parts.database.transaction() as session:
        return _paper(session, parts, mandates.get(session, mandate_id), now=database.now(session))


def _paper(session: Session, parts: Parts, found: MandateView, *, now: datetime) -> Paper:
    terms = found.terms
    frames = tuple((one.partition("@")[0], _frame(parts, one)) for one in terms.frames)
    name = digests.by_key(session, terms.digest).name
    # Counting a large digest takes a second, and where more may be written to than a code is enough for it makes no difference.
    codes = not found.over(now=now) and terms.most_readers <= parts.house.rules.codes_to
    codes = codes and _reach(session, found) <= parts.house.rules.codes_to
    return Paper(_held(session, found, now=now), name, frames, found.over(now=now), codes)


def _frame(parts: Parts, frame_id: str) -> str | None:
    try:
        found = framing.get(parts.house, frame_id.partition("@")[0])
    except NewsletterError:
        return None
    return found.text if found.id == frame_id else None


def team(parts: Parts) -> tuple[dict[int, str], dict[int, str]]:
    """Return everybody's name by number, and the names of those who may hold a mandate."""
    with parts.database.transaction() as session:
        every = people.listed(session)
    able = {one.id: one.name for one in every if one.active and May.SEND in one.may}
    return {one.id: one.name for one in every}, able


@dataclass(frozen=True, slots=True)
class Offer:
    """A mandate that somebody holds now. refusal: why it is not one for this alert; None: what is missing is their thumb."""

    mandate: MandateView
    refusal: NewsletterError | None


def offer(parts: Parts, mailing_id: int, *, by: int) -> Offer | None:
    """Return the mandate by which somebody may let a locked alert go, else one they hold and why it does not; or None."""
    with parts.database.transaction() as session:
        now = database.now(session)
        mine = [one for one in mandates.listed(session) if one.terms.holder == by and one.given]
        held = [one for one in mine if not one.over(now=now)]
        found = [Offer(one, _unfit(session, parts, mailing_id, one.id, by=by)) for one in held]
    return min(found, key=lambda one: (one.refusal is not None, one.mandate.terms.until), default=None)


def _unfit(session: Session, parts: Parts, mailing_id: int, mandate: int, *, by: int) -> NewsletterError | None:
    try:
        _require_word(session, parts, mailing_id, mandate, Shown(by, Factor.TOTP))
    except NotEnough as refusal:
        # What is asked last: all else holds.
        return None if refusal.fault in NO_CODE else refusal
    except NewsletterError as refusal:
        return refusal
    return None
