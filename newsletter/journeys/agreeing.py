"""What was said of a lock, and whether it suffices: as the worker will judge that sends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from newsletter.database import Session
from newsletter.delivery import vouching
from newsletter.errors import Forbidden
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks
from newsletter.ledger.manifest import Change, Manifest, difference
from newsletter.operators import approval, night, people, pins
from newsletter.operators.approval import Over
from newsletter.operators.night import Fault, Mandated, Matter, Rule, Word
from newsletter.operators.roles import May


class NotEnough(Forbidden):
    """What was shown does not let this alert go; the sentence says why."""

    def __init__(self, fault: Fault, **facts: object) -> None:
        self.fault = fault
        super().__init__(f"night.{fault}", **facts)


@dataclass(frozen=True, slots=True)
class Since:
    """What is another than at a lock of before.

    number     of that lock; approved: somebody approved it, and else it is the first
    own        it was whoever asks who did
    between    how many locks lie between
    """

    number: int
    approved: bool
    own: bool
    between: int
    changes: tuple[Change, ...]


def since(session: Session, manifest: Manifest, *, reader: int | None) -> Since | None:
    """Return what is another than what a reader of a lock saw last, as far as that is known; None where it is the first.

    reader   who is to approve it: what they approved they saw, and of all else nobody knows. None: as anybody approved it
    """
    read = approval.approved(session, manifest.mailing, by=reader)
    found = locks.before(session, manifest.mailing, manifest.number, read=read)
    if found is None:
        return None
    number, changes = found.manifest.number, difference(found.manifest, manifest)
    approved = number in read
    return Since(number, approved, approved and reader is not None, found.between, tuple(changes))


def over(manifest: Manifest, *, went: datetime | None = None) -> Over:
    """Return what a word about a lock is about. went: when it was planned; None: it has not been."""
    return Over(manifest.mailing, manifest.number, manifest.fingerprint, went)


def words(session: Session, manifest: Manifest, *, went: datetime | None = None) -> list[Word]:
    """Return what was said of a lock by those who may still say it: whoever was disabled meanwhile, or has another role, is not
    asked any more, nor of what they signed in the evening.

    went   when it was planned: whether a mandate holds is asked of that moment; None: of now

    Of what has been released the worker asks all words: who leaves the team later takes back nothing.
    """
    said = approval.of(session, over(manifest, went=went))
    acting = [
        word for word in said if word.operator is None or _may(session, word.operator, night.NEEDS[word.rule], word.at)
    ]
    return [replace(word, mandate=still(session, word.mandate)) if word.mandate else word for word in acting]


def still(session: Session, mandate: Mandated) -> Mandated:
    """Return a mandate as those signed it who may still sign one."""
    return replace(mandate, signed=tuple(one for one in mandate.signed if _may(session, one[0], May.APPROVE, one[3])))


def _may(session: Session, operator_id: int, act: May, said_at: datetime) -> bool:
    return people.by_id(session, operator_id).still(act, said_at=said_at)


def matter(session: Session, parts: Parts, manifest: Manifest, *, now: datetime) -> Matter:
    """Return what somebody's word about a lock is about, with what went to the same readers lately."""
    return vouching.matter(session, manifest, parts.house, now=now)


def judged(
    session: Session, parts: Parts, manifest: Manifest, said: Sequence[Word], *, now: datetime
) -> NotEnough | None:
    """Return why words do not let a lock go, or None where they do."""
    about = matter(session, parts, manifest, now=now)
    try:
        fault = night.judge(said, about, parts.house.rules, vouching.keys(parts.house, said), now=now)
    except pins.UNTRUSTED:
        fault = Fault.PINS
    return refusal(fault, parts, manifest, about) if fault else None


def seconds(session: Session, manifest: Manifest) -> list[Word]:
    """Return what others than its author said of a lock: those who read it and agreed."""
    return [word for word in words(session, manifest) if word.rule is Rule.TWO]


def approved(session: Session, parts: Parts, manifest: Manifest, *, now: datetime) -> bool:
    """Return whether somebody else agreed, so that it suffices."""
    said = seconds(session, manifest)
    return bool(said) and judged(session, parts, manifest, said, now=now) is None


def by_others(session: Session, parts: Parts, manifest: Manifest, said: Sequence[Word], *, now: datetime) -> bool:
    """Return whether a lock may go by other words than what one person sends alone."""
    others = [word for word in said if word.rule is not Rule.ALONE]
    return judged(session, parts, manifest, others, now=now) is None


def enough(session: Session, parts: Parts, manifest: Manifest, said: Sequence[Word], *, now: datetime) -> None:
    """Raise NotEnough where words do not let a lock go."""
    if refused := judged(session, parts, manifest, said, now=now):
        raise refused


def proven(session: Session, parts: Parts, manifest: Manifest, word: Word) -> None:
    """Raise NotEnough where what somebody showed does not prove their word over a lock."""
    about = matter(session, parts, manifest, now=word.at)
    try:
        fault = night.proven(word, about, parts.house.rules, vouching.keys(parts.house, [word]))
    except pins.UNTRUSTED:
        fault = Fault.PINS
    if fault is not None:
        raise refusal(fault, parts, manifest, about)


def refusal(fault: Fault, parts: Parts, manifest: Manifest, about: Matter) -> NotEnough:
    """Return a fault as the sentence that says it: of one where nobody else has said anything, why one person is not enough."""
    rules = parts.house.rules
    if fault is Fault.NOBODY and about.count <= rules.few:
        fault = night.one_person(about, rules) or fault
    minutes = int(rules.alone.total_seconds()) // 60 if rules.alone else 0
    sizes = {"count": about.count, "together": about.together, "reach": about.reach, "before": about.before}
    limits = {"few": rules.few, "codes_to": rules.codes_to, "minutes": minutes}
    return NotEnough(fault, mailing=manifest.mailing, **sizes, **limits)
