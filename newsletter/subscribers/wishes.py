"""What readers ask for on their own page: written down by the pages' role, done by a worker, fetched by the page that asked."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import func, select, text

from newsletter.database import Session
from newsletter.models.privacy import Asking as Asking
from newsletter.models.privacy import PrivacyWish

FETCHED_WITHIN = timedelta(minutes=2)
"""How long a page can wait for its parcel at the very most."""
EXPORTS, WITHIN = 5, timedelta(days=1)
"""How many exports of one reader are made in a day."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One that waits. reader_key: to whom an export is sealed. proof: as `add` made it."""

    id: int
    asking: Asking
    subscriber_id: int
    may_come_back: bool
    reader_key: bytes
    proof: bytes
    asked_at: datetime

    def said_by(self, countersign: str) -> bool:
        """Whether these are the words of somebody who held a link with that countersign."""
        words = _words(self.asking, self.subscriber_id, self.may_come_back, self.reader_key)
        return bool(countersign) and hmac.compare_digest(self.proof, _proof(countersign, words))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a wish is. refused: the id of a sentence."""

    done: bool
    refused: str | None
    parcel: bytes | None


def add(
    session: Session,
    asking: Asking,
    subscriber_id: int,
    *,
    countersign: str,
    may_come_back: bool = False,
    reader_key: bytes | None = None,
) -> int:
    """Write down a wish and return its number. The pages' role may do no more than this.

    countersign   of the link by which it is wished. It is not kept: the wish is proved by it, and no other wish by that proof
    """
    proof = _proof(countersign, _words(asking, subscriber_id, may_come_back, reader_key or b""))
    facts = {"asking": asking, "subscriber": subscriber_id, "back": may_come_back, "key": reader_key, "proof": proof}
    number: int = session.execute(_ADD, facts).scalar_one()
    return number


_ADD = text("""
    INSERT INTO privacy_wish (asking, subscriber_id, may_come_back, reader_key, proof)
    VALUES (:asking, :subscriber, :back, :key, :proof) RETURNING id
""")


def _words(asking: Asking, subscriber_id: int, may_come_back: bool, reader_key: bytes) -> bytes:
    return f"{asking}/{subscriber_id}/{may_come_back:d}/".encode() + reader_key


def _proof(countersign: str, words: bytes) -> bytes:
    return blake2b(words, key=countersign.encode(), digest_size=32, person=b"privacy wish").digest()


def outcome(session: Session, wish_id: int) -> Outcome:
    """Return how far a wish is, for the page that asked."""
    columns = (PrivacyWish.done_at, PrivacyWish.refused, PrivacyWish.parcel)
    found = session.execute(select(*columns).where(PrivacyWish.id == wish_id)).one_or_none()
    return Outcome(False, None, None) if found is None else Outcome(found[0] is not None, found[1], found[2])


def any_due(session: Session) -> bool:
    """Whether a wish waits."""
    return session.execute(select(PrivacyWish.id).where(PrivacyWish.done_at.is_(None)).limit(1)).first() is not None


def due(session: Session, *, limit: int = 200) -> list[Wish]:
    """Return the oldest wishes that wait. Doing one twice must be harmless."""
    query = select(PrivacyWish).where(PrivacyWish.done_at.is_(None)).order_by(PrivacyWish.id).limit(limit)
    return [
        Wish(
            one.id,
            Asking(one.asking),
            one.subscriber_id,
            one.may_come_back,
            bytes(one.reader_key or b""),
            bytes(one.proof or b""),
            one.asked_at,
        )
        for one in session.execute(query).scalars()
    ]


def exports_of(session: Session, subscriber_id: int, *, now: datetime) -> int:
    """Return how many exports of a reader were made lately."""
    mine = (
        PrivacyWish.subscriber_id == subscriber_id,
        PrivacyWish.asking == Asking.EXPORT,
        PrivacyWish.done_at > now - WITHIN,
        PrivacyWish.refused.is_(None),
    )
    return session.execute(select(func.count()).select_from(PrivacyWish).where(*mine)).scalar_one()


def done(session: Session, wish_id: int, *, parcel: bytes | None, refused: str | None, now: datetime) -> None:
    """Write down that a wish was done, or why it was not."""
    facts = {"id": wish_id, "parcel": parcel, "refused": refused, "now": now}
    session.execute(_DONE, facts)


_DONE = text("UPDATE privacy_wish SET done_at = :now, parcel = :parcel, refused = :refused WHERE id = :id")


def empty(session: Session, *, now: datetime) -> int:
    """Throw away parcels that no page waits for any more; return how many."""
    old = text("UPDATE privacy_wish SET parcel = NULL WHERE parcel IS NOT NULL AND done_at < :old")
    return int(session.execute(old, {"old": now - FETCHED_WITHIN}).rowcount)  # type: ignore[attr-defined]
