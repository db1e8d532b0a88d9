"""What is locked of an alert, and where it stands: values."""

from dataclasses import dataclass
from datetime import datetime

from newsletter.journeys.agreeing import NotEnough, Since
from newsletter.ledger.mailings import State
from newsletter.ledger.manifest import Change
from newsletter.ledger.refusals import RefusalView


@dataclass(frozen=True, slots=True)
class Locked:
    """An alert as it was locked. code: what two people read to each other.

    count      how many it goes to
    together   with those its other languages were planned for
    few        one person may send it
    codes      whoever approves it, or sends it alone, may do so by a code
    """

    mailing: int
    number: int
    count: int
    fingerprint: str
    code: str
    together: int
    few: bool
    codes: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an alert stands.

    wrote       who locked it or wrote in it: none of them approves it
    refusals    why it, or what would take it back, did not go and still does not
    waits_for   what is missing before it may go, as the refusal that would say so
    since       what is another than at a lock of before, and which that is; None: there was none
    alone       one person sends it by themselves, and it waits: another may approve it, and it goes at once
    seconded    it may go now by more than what one person sends alone
    """

    mailing: int
    state: State
    locked: Locked | None
    author: int | None
    approved_by: tuple[int, ...]
    waits_for: NotEnough | None
    start_at: datetime | None
    since: Since | None
    wrote: tuple[int, ...] = ()
    refusals: tuple[RefusalView, ...] = ()
    alone: bool = False
    seconded: bool = False

    @property
    def changes(self) -> tuple[Change, ...]:
        """What is another than at that lock."""
        return self.since.changes if self.since else ()

    @property
    def approvable(self) -> bool:
        """Another's word is what it waits for, or what would let it go sooner."""
        return self.state is State.LOCKED or self.alone

    @property
    def held(self) -> bool:
        """It, or what takes it back, is kept from a provider's readers for now."""
        return any(one.held for one in self.refusals)
