"""The rules by which an alert may leave, as values; pure, so that a worker asks them of what lies before it.

`TWO` is the rule; the others are for a night on which a second person cannot be reached.

| rule | who | what it asks |
|---|---|---|
| two | another approver | a code for a small audience, above it a passkey over rule and fingerprint |
| few | one person | an audience of no more than `few` |
| alone | one person | the same proof, and a delay in which everyone may stop it |
| mandate | one person | two others signed in the evening for this night, digest, frames and size |
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from newsletter.models.approval import Rule as Rule
from newsletter.models.operator import Factor
from newsletter.operators import passkeys
from newsletter.operators.passkeys import BadPasskey, Known
from newsletter.operators.pins import Pins
from newsletter.operators.roles import May

CODES = frozenset({Factor.TOTP, Factor.PASSKEY})
"""A code from paper gets its owner back in; it lets nothing go."""
REPEATED = 3
"""How many times over readers may be written to within a day by one person's word, or by codes: an alert and what corrects it."""
NEEDS = MappingProxyType({Rule.TWO: May.APPROVE, Rule.FEW: May.SEND, Rule.ALONE: May.SEND, Rule.MANDATE: May.SEND})
"""What whoever gives their word may do, and the key is pinned for. By that rule alone: who sends approves nothing."""


@dataclass(frozen=True, slots=True)
class Night:
    """An organisation's rules.

    few         up to how many readers one person may send by themselves: of an alert limited to some languages, of the whole digest
    alone       how long everyone has to stop what one person sends alone; None: nobody may
    codes_to    up to how many readers of the digest a code is enough for an approval; a passkey always is
    """

    few: int = 1_000
    alone: timedelta | None = timedelta(minutes=15)
    codes_to: int = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mandate allows: until when, whom, how many alerts of how many readers, from which frames, for which cause.

    cause    for whoever signs and reads it: no alert is compared with it, the frames are what bounds its words
    frames   ids of `campaigns.frames`: a name with the beginning of the digest of its text
    """

    holder: int
    cause: str
    digest: str
    until: datetime
    most_alerts: int
    most_readers: int
    frames: tuple[str, ...]
    nonce: str

    @property
    def text(self) -> str:
        """The canonical text that is signed."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields |= {"until": self.until.astimezone(UTC).isoformat(), "frames": sorted(self.frames), "form": 1}
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def parse(text: str) -> "Terms":
        """Return the terms of a text that `text` made."""
        fields = json.loads(text)
        if fields.pop("form") != 1:
            raise ValueError("a mandate of another form")
        until = datetime.fromisoformat(fields["until"])
        return Terms(**fields | {"until": until, "frames": tuple(fields["frames"])})


@dataclass(frozen=True, slots=True)
class Word:
    """One person's word, as it is stored. Of a mandate with its terms and its signers, and how many alerts it let go before."""

    rule: Rule
    operator: int | None
    factor: Factor | None
    assertion: str | None
    at: datetime
    mandate: "Mandated | None" = None

    @property
    def keyed(self) -> bool:
        """Whether it rests on a passkey: the speaker's, or one by which their mandate was signed."""
        signed = self.mandate.signed if self.mandate else ()
        return self.assertion is not None or any(assertion is not None for _, _, assertion, _ in signed)

    @property
    def proved(self) -> bool:
        """Whether it rests on passkeys alone: nothing of it is only a row."""
        signed = self.mandate.signed if self.mandate else ()
        # Nobody looks at what stands beside one person's own word: it is asked for none.
        shown = self.assertion is not None and self.rule is not Rule.FEW
        return shown and all(assertion is not None for _, _, assertion, _ in signed)


@dataclass(frozen=True, slots=True)
class Mandated:
    """A mandate as one release uses it. at: when what it lets go was planned, or now; None: as the word was said."""

    terms: Terms
    fingerprint: bytes
    signed: tuple[tuple[int, Factor, str | None, datetime], ...]
    used: int
    ended: bool
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be let go.

    author, writers   who locked it, and who wrote it: none of them approves it
    frames            those that its languages keep to; None: one was written freely
    beside            to how many it went in its other languages
    whole             to how many it would go, were it cut in no way: limited to no language, with none that comes later
    limited           it is for the readers of some languages, and the others never hear of it
    before            to how many alerts went within a day, to the same digest, by one person's word or by a code
    """

    fingerprint: bytes
    author: int | None
    count: int
    digest: str
    frames: tuple[str | None, ...] = (None,)
    writers: tuple[int, ...] = ()
    beside: int = 0
    whole: int = 0
    limited: bool = False
    before: int = 0

    @property
    def together(self) -> int:
        """To how many it goes in all its languages."""
        return self.count + self.beside

    @property
    def reach(self) -> int:
        """Whom whoever cuts an alert into parts reaches in the end."""
        return max(self.count, self.whole)


class Fault(StrEnum):
    """Why somebody's word does not let an alert go: an id of the catalogue after "night."."""

    NOBODY = "nobody"
    TOGETHER = "together"
    LIMITED = "limited"
    FEW_REPEATED = "few-repeated"
    OWN = "own"
    NAMELESS = "nameless"
    NO_AUTHOR = "no-author"
    UNREAD = "unread"
    TOO_MANY = "too-many"
    TOO_SOON = "too-soon"
    NOT_ALONE = "not-alone"
    UNHEARD = "unheard"
    NEEDS_PASSKEY = "needs-passkey"
    REACH_NEEDS_PASSKEY = "reach-needs-passkey"
    CODES_REPEATED = "codes-repeated"
    BAD_SIGNATURE = "bad-signature"
    PINS = "pins"
    NO_FACTOR = "no-factor"
    MANDATE_OVER = "mandate-over"
    MANDATE_USED = "mandate-used"
    MANDATE_UNSIGNED = "mandate-unsigned"
    MANDATE_OTHER = "mandate-other"
    MANDATE_SMALLER = "mandate-smaller"


NO_CODE = frozenset({Fault.NEEDS_PASSKEY, Fault.REACH_NEEDS_PASSKEY, Fault.CODES_REPEATED})
"""A code is not enough, and a passkey is: it is asked last, so all else holds."""


def unlockable(author: int | None, *, unread: bool, few: bool) -> Fault | None:
    """Return why an alert cannot be locked so, or None where it can: for many somebody says who asks a second person.

    unread   words have no name to them, and whoever locks them has not said that they read them
    few      one person may send it
    """
    if few:
        return None
    if author is None:
        return Fault.NO_AUTHOR
    return Fault.UNREAD if unread else None


def judge(words: Iterable[Word], matter: Matter, rules: Night, pins: Pins, *, now: datetime) -> Fault | None:
    """Return why nobody's word is enough, or None where one is."""
    faults = [fault(word, matter, rules, pins, now=now) for word in words]
    return None if None in faults else (faults[-1] if faults else Fault.NOBODY)


def fault(word: Word, matter: Matter, rules: Night, pins: Pins, *, now: datetime) -> Fault | None:
    """Return why one person's word is not enough, or None where it is."""
    match word.rule:
        case Rule.FEW:
            return one_person(matter, rules)
        case Rule.ALONE:
            if rules.alone is None:
                return Fault.NOT_ALONE
            if found := proven(word, matter, rules, pins):
                return found
            return None if now >= word.at + rules.alone else Fault.TOO_SOON
        case Rule.TWO:
            if matter.author is None:
                # Who locked it without a name may be the one who approves it.
                return Fault.NAMELESS
            if word.operator is None or word.operator in (matter.author, *matter.writers):
                return Fault.OWN
            return proven(word, matter, rules, pins)
        case Rule.MANDATE:
            return _mandated(word, matter, rules, pins)


def one_person(matter: Matter, rules: Night) -> Fault | None:
    """Return why one person's own word is not enough, or None where it is."""
    if matter.count > rules.few:
        return Fault.TOO_MANY
    if matter.together > rules.few:
        return Fault.TOGETHER
    if matter.limited and matter.reach > rules.few:
        return Fault.LIMITED
    # Its other languages went within the day as well, and are among those before.
    return Fault.FEW_REPEATED if matter.count + matter.before > rules.few * REPEATED else None


def by_code(matter: Matter, rules: Night) -> Fault | None:
    """Return why a code is not enough, or None where it is."""
    if matter.count > rules.codes_to:
        return Fault.NEEDS_PASSKEY
    if matter.reach > rules.codes_to:
        return Fault.REACH_NEEDS_PASSKEY
    return Fault.CODES_REPEATED if matter.count + matter.before > rules.codes_to * REPEATED else None


SIGNING = "sign"
"""What a mandate's signers do: none of the rules, so that no signature of theirs is one of an alert."""


def challenge(deed: str, fingerprint: bytes, *, mandate: bytes = b"") -> bytes:
    """Return what a passkey signs: what is done, by which mandate, and the fingerprint of what it is done to.

    deed      a rule, or SIGNING: who sends alone has not approved what they send, whoever holds their signature
    mandate   its fingerprint, where the alert goes by one
    """
    return hashlib.sha256("\n".join(("newsletter", deed, mandate.hex(), fingerprint.hex())).encode()).digest()


def proven(word: Word, matter: Matter, rules: Night, pins: Pins) -> Fault | None:
    """Return why what somebody showed does not prove their word."""
    mandate = word.mandate.fingerprint if word.mandate else b""
    return _shown(word, challenge(word.rule, matter.fingerprint, mandate=mandate), by_code(matter, rules), pins)


def signs(word: Word, fingerprint: bytes, most_readers: int, rules: Night, pins: Pins) -> Fault | None:
    """Return why what somebody showed is no signature of a mandate. most_readers: of an alert by it, or all who take its digest."""
    weak = Fault.NEEDS_PASSKEY if most_readers > rules.codes_to else None
    return _shown(word, challenge(SIGNING, fingerprint), weak, pins)


def _shown(word: Word, asked: bytes, weak: Fault | None, pins: Pins) -> Fault | None:
    """asked: the challenge of a passkey; weak: why a code is not enough."""
    if word.operator is None:
        return Fault.NOBODY
    if word.assertion is not None:
        return None if signed(word, asked, pins) else Fault.BAD_SIGNATURE
    return weak or (None if word.factor in CODES else Fault.NO_FACTOR)


def signed(word: Word, asked: bytes, pins: Pins) -> bool:
    """Return whether a word's assertion is its operator's signature over a challenge, by a key that is pinned for its rule."""
    if pins.site is None or word.operator is None or word.assertion is None:
        return False
    for pin in pins.of(word.operator, NEEDS[word.rule], at=word.at):
        try:
            known = Known(pin.credential, pin.public_key, 0)
            passkeys.verify(pins.site, word.assertion, known=known, challenge=asked)
        except BadPasskey:
            continue
        return True
    return False


def _mandated(word: Word, matter: Matter, rules: Night, pins: Pins) -> Fault | None:
    mandate = word.mandate
    if mandate is None:
        return Fault.MANDATE_UNSIGNED
    terms = mandate.terms
    if mandate.ended or (mandate.at or word.at) >= terms.until:
        return Fault.MANDATE_OVER
    if mandate.used >= terms.most_alerts:
        return Fault.MANDATE_USED
    if word.operator != terms.holder or matter.digest != terms.digest or not _framed(matter, terms):
        return Fault.MANDATE_OTHER
    if matter.count > terms.most_readers:
        return Fault.MANDATE_SMALLER
    return _signers(mandate, matter, rules, pins) or proven(word, matter, rules, pins)


def _framed(matter: Matter, terms: Terms) -> bool:
    return bool(matter.frames) and all(frame in terms.frames for frame in matter.frames)


def _signers(mandate: Mandated, matter: Matter, rules: Night, pins: Pins) -> Fault | None:
    """Two others must have signed; what proves a signature depends on how many readers the mandate allows.

    And on how many take the digest: alert by alert, each to some of them, its holder reaches them all.
    """
    good, most = set(), max(mandate.terms.most_readers, matter.reach)
    for operator, factor, assertion, at in mandate.signed:
        word = Word(Rule.TWO, operator, factor, assertion, at)
        refused = signs(word, mandate.fingerprint, most, rules, pins)
        if operator != mandate.terms.holder and not refused:
            good.add(operator)
    return None if len(good) >= 2 else Fault.MANDATE_UNSIGNED
