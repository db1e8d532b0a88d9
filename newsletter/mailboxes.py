"""The one home of an address: found by blind index, sealed, opened only to write to it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeVar

from psycopg.errors import UniqueViolation
from sqlalchemy import ARRAY, BigInteger, ColumnElement, cast, delete, func, select, text, tuple_, update
from sqlalchemy.dialects import postgresql

from newsletter.addresses import BadAddress, EmailAddress
from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.mailbox import AddressIndex, KeyCheck, Mailbox
from newsletter.vault import CannotUnseal

_ATTEMPTS = 5
Result = TypeVar("Result")
Keys = list[tuple[int, bytes]]
"""What `vault.index` says of one address: a digest under each index key, the live one first."""


CLAIMS = frozenset({"mailbox.address_sealed", "mailbox.domain_index", "address_index.digest"})
"""What `export` and `forget` answer for, of all that is marked as personal."""
ROWS: Mapping[str, str] = MappingProxyType({"mailbox": "address", "address_index": "fingerprints_of_the_address"})
"""Under which name `export` hands out the rows of each table that points to a person."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose data is exported or erased: their mailbox, their record where there is one, and how it was named to others."""

    mailbox_id: int
    subscriber_id: int | None
    reference: str
    address: EmailAddress | None = field(repr=False)
    since: datetime


class UnknownMailbox(NotFound):
    """There is no such mailbox, or its address was erased."""

    def __init__(self) -> None:
        super().__init__("mailbox.unknown")


def find(session: Session, address: EmailAddress) -> int | None:
    """Return the mailbox of an address, or None."""
    keys = session.vault.index(address.normal)
    pair = tuple_(AddressIndex.key_id, AddressIndex.digest)
    return session.execute(select(AddressIndex.mailbox_id).where(pair.in_(keys)).limit(1)).scalar_one_or_none()


def find_or_make(session: Session, address: EmailAddress) -> int:
    """Return the mailbox of an address, made now if there is none. Two at once make one."""
    found = find(session, address)
    if found is not None:
        _revive(session, found, address)
        return found
    mailbox_id = _numbers(session, 1)[0]
    session.execute(_MAKE, dict(zip(_COLUMNS, _row(session, mailbox_id, address), strict=True)))
    for key_id, digest in session.vault.index(address.normal):
        made = postgresql.insert(AddressIndex).values(key_id=key_id, digest=digest, mailbox_id=mailbox_id)
        if session.execute(made.on_conflict_do_nothing().returning(AddressIndex.key_id)).first() is None:
            # Somebody was faster by a moment: theirs is the mailbox, ours goes.
            session.execute(text("DELETE FROM mailbox WHERE id = :id"), {"id": mailbox_id})
            return find_or_make(session, address)
    return mailbox_id


def find_all(session: Session, keys: Sequence[Keys]) -> dict[bytes, int]:
    """Return the mailboxes of those addresses that have one, by live digest, whichever key they were indexed under."""
    live = {pair: address[0][1] for address in keys for pair in address}
    wanted = [key_id for key_id, _ in live], [digest for _, digest in live]
    # %b, psycopg's own: arrays of bytes go over in binary in a quarter of the time.
    found = _raw(session).execute(_FIND_ALL, wanted).fetchall() if live else ()
    return {live[key_id, bytes(digest)]: mailbox_id for key_id, digest, mailbox_id in found}


def make_all(session: Session, addresses: Sequence[tuple[EmailAddress, Keys]]) -> Sequence[int]:
    """Copy mailboxes for addresses that have none, each named once; return their numbers in the same order.

    Call it within `retried`: somebody else may make one of them meanwhile.
    """
    ids = _numbers(session, len(addresses))
    numbered = list(zip(ids, addresses, strict=True))
    rows = (_row(session, mailbox_id, address) for mailbox_id, (address, _) in numbered)
    copy_rows(session, f"mailbox ({', '.join(_COLUMNS)})", ("int8", "bytea", "text", "bytea"), rows)
    index = ((key_id, digest, mailbox_id) for mailbox_id, (_, keys) in numbered for key_id, digest in keys)
    copy_rows(session, "address_index (key_id, digest, mailbox_id)", ("int8", "bytea", "int8"), index)
    return ids


def find_or_make_all(session: Session, addresses: Iterable[EmailAddress]) -> list[int]:
    """Return the mailbox of each different address, those made that were missing; in no order."""
    indexed = [(address, session.vault.index(address.normal)) for address in addresses]
    different = {keys[0][1]: (address, keys) for address, keys in indexed}

    def attempt() -> list[int]:
        found = find_all(session, [keys for _, keys in different.values()])
        missing = [one for key, one in different.items() if key not in found]
        return [*found.values(), *(make_all(session, missing) if missing else ())]

    return retried(session, attempt)


def retried(session: Session, attempt: Callable[[], Result]) -> Result:
    """Look and make; where somebody was faster by a moment, look again, as if nothing had been tried."""
    for _ in range(_ATTEMPTS - 1):
        try:
            with session.begin_nested():
                return attempt()
        except UniqueViolation:
            continue
    return attempt()


def copy_rows(session: Session, target: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Copy rows into a target such as "table (column, column)", in PostgreSQL's own binary form: ten times an INSERT."""
    with _raw(session).cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


_COLUMNS = ("id", "address_sealed", "provider", "domain_index")
_MAKE = text("""
    INSERT INTO mailbox (id, address_sealed, provider, domain_index) OVERRIDING SYSTEM VALUE
    VALUES (:id, :address_sealed, :provider, :domain_index)
""")
_FIND_ALL = """
    SELECT i.key_id, i.digest, i.mailbox_id
    FROM unnest(%b::bigint[], %b::bytea[]) AS wanted (key_id, digest)
    JOIN address_index i ON i.key_id = wanted.key_id AND i.digest = wanted.digest
"""


def _raw(session: Session) -> Any:
    return session.connection().connection.driver_connection


def _row(session: Session, mailbox_id: int, address: EmailAddress) -> tuple[int, bytes, str, bytes]:
    vault = session.vault
    sealed = vault.seal("mailbox", "address", mailbox_id, address.wire)
    return mailbox_id, sealed, address.provider, vault.domain_index(address.domain)


def _numbers(session: Session, count: int) -> Sequence[int]:
    """Return numbers for new mailboxes: a seal is bound to its row, so the number comes first."""
    # In a subquery of its own, the sequence is looked up once and not for every number.
    taken = text(
        "SELECT array_agg(nextval((SELECT pg_get_serial_sequence('mailbox', 'id')))) FROM generate_series(1, :n)"
    )
    numbers: list[int] = session.execute(taken, {"n": count}).scalar_one()
    return numbers


def among(mailbox_ids: Iterable[int]) -> ColumnElement[int]:
    """Return SQL that a column equals where it is one of these: one array, since of thousands an `IN` costs a parameter each."""
    return func.any(cast(list(mailbox_ids), ARRAY(BigInteger)))


def open(session: Session, mailbox_id: int) -> EmailAddress:
    """Return the address of a mailbox. Raises UnknownMailbox, vault.CannotUnseal."""
    sealed = session.execute(select(Mailbox.address_sealed).where(Mailbox.id == mailbox_id)).scalar_one_or_none()
    if sealed is None:
        raise UnknownMailbox
    return EmailAddress.parse(session.vault.unseal("mailbox", "address", mailbox_id, sealed))


def hint(session: Session, mailbox_id: int) -> str:
    """Say whose a link is, as far as its owner needs: whoever it was forwarded to should not press by mistake. "" = unknown."""
    try:
        return open(session, mailbox_id).hint
    except (CannotUnseal, UnknownMailbox):
        return ""


def open_all(session: Session, mailbox_ids: Iterable[int]) -> dict[int, str]:
    """Return the addresses (wire form) of many mailboxes by id; erased and damaged ones are left out."""
    # One array, where IN would be compiled anew for thousands of parameters.
    wanted = among(mailbox_ids)
    statement = select(Mailbox.id, Mailbox.address_sealed).where(Mailbox.id == wanted)
    unseal = session.vault.unseal
    opened = {}
    for mailbox_id, sealed in session.execute(statement):
        if sealed is not None:
            # One damaged row must not keep the mail of all the others back.
            try:
                opened[mailbox_id] = unseal("mailbox", "address", mailbox_id, sealed)
            except CannotUnseal:
                continue
    return opened


def entrust(session: Session, mailbox_id: int) -> None:
    """Seal the address of a team member so that the team's pages open it: they greet by it and mask it."""
    address = open(session, mailbox_id)
    sealed = session.vault.seal_for_team("mailbox", "address", mailbox_id, address.wire)
    session.execute(update(Mailbox).where(Mailbox.id == mailbox_id).values(address_sealed=sealed))


def providers(session: Session, mailbox_ids: Iterable[int]) -> dict[int, str]:
    """Return the provider groups of some mailboxes, by id."""
    wanted = among(mailbox_ids)
    return dict(session.execute(select(Mailbox.id, Mailbox.provider).where(Mailbox.id == wanted)).all())


def _revive(session: Session, mailbox_id: int, address: EmailAddress) -> None:
    """Somebody of whom a fingerprint was left gives us their address anew: without it they could not even be asked."""
    facts = dict(zip(_COLUMNS, _row(session, mailbox_id, address), strict=True))
    session.execute(_REVIVE, facts)


def revive_all(session: Session, found: Iterable[tuple[int, EmailAddress]]) -> None:
    """Seal the addresses of those of some mailboxes of which a fingerprint alone was left."""
    addresses = dict(found)
    gone = select(Mailbox.id).where(Mailbox.id == among(addresses), Mailbox.address_sealed.is_(None))
    for mailbox_id in session.execute(gone).scalars().all() if addresses else ():
        _revive(session, mailbox_id, addresses[mailbox_id])


_REVIVE = text("""
    UPDATE mailbox SET address_sealed = :address_sealed, provider = :provider, domain_index = :domain_index
    WHERE id = :id AND address_sealed IS NULL
""")


def since(session: Session, mailbox_id: int) -> datetime:
    """Return since when a mailbox is known: with its number, what names it for ever. Raises UnknownMailbox."""
    found = session.execute(select(Mailbox.created_at).where(Mailbox.id == mailbox_id)).scalar_one_or_none()
    if found is None:
        raise UnknownMailbox
    return found


def all_since(session: Session) -> Iterable[tuple[int, datetime]]:
    """Yield each mailbox with the moment since which it is known."""
    query = select(Mailbox.id, Mailbox.created_at).order_by(Mailbox.id).execution_options(yield_per=10_000)
    return ((mailbox_id, at) for mailbox_id, at in session.execute(query))


def export(session: Session, whose: Whose) -> dict[str, Any]:
    """Return the address as we hold it, and whether others of its domain can be told by a digest."""
    held = session.get(Mailbox, whose.mailbox_id)
    digests = session.execute(select(func.count()).where(AddressIndex.mailbox_id == whose.mailbox_id)).scalar_one()
    if held is None:
        return {}
    address = whose.address.wire if whose.address else None
    return {
        "address": address,
        "mail_provider": held.provider,
        "address_known_since": held.created_at,
        "fingerprints_of_the_address": digests,
        "fingerprint_of_its_domain": bool(held.domain_index),
    }


def hold(session: Session, mailbox_ids: Iterable[int]) -> None:
    """Let nobody take up any of these mailboxes until the transaction ends: before it is asked whether anybody needs them."""
    these = select(Mailbox.id).where(Mailbox.id == among(mailbox_ids))
    session.execute(these.order_by(Mailbox.id).with_for_update())


def forget(session: Session, mailbox_ids: Iterable[int], *, keep_index: bool = False) -> None:
    """Forget the addresses of mailboxes that are nobody's: neither sealed nor by index is anything left of them.

    keep_index   the keyed digest stays, by which the same address is known again and turned away
    """
    gone = among(mailbox_ids)
    if not keep_index:
        session.execute(delete(AddressIndex).where(AddressIndex.mailbox_id == gone))
    session.execute(update(Mailbox).where(Mailbox.id == gone).values(address_sealed=None, domain_index=b""))


def reindex(session: Session, *, after: int, most: int = 500) -> tuple[int, int]:
    """Index anew the next addresses that the live key does not find; return the last mailbox looked at, and how many.

    after   the mailbox looked at last; (0, 0) is returned at the end
    """
    live = session.vault.index("")[0][0]
    facts = {"after": after, "live": live, "most": most}
    found = session.execute(_NOT_INDEXED, facts).all()
    rows, domains = [], []
    for mailbox_id, sealed in found:
        try:
            address = EmailAddress.parse(session.vault.unseal("mailbox", "address", mailbox_id, bytes(sealed)))
        except (CannotUnseal, BadAddress):
            continue
        digest = next(digest for key_id, digest in session.vault.index(address.normal) if key_id == live)
        rows.append({"key_id": live, "digest": digest, "mailbox_id": mailbox_id})
        domains.append({"id": mailbox_id, "domain": session.vault.domain_index(address.domain)})
    if rows:
        session.execute(postgresql.insert(AddressIndex).on_conflict_do_nothing(), rows)
        session.execute(text("UPDATE mailbox SET domain_index = :domain WHERE id = :id"), domains)
    return (found[-1].id, len(rows)) if found else (0, 0)


# A lock that nobody who points to a mailbox waits for, and an erasure does: what is erased is not indexed again.
_NOT_INDEXED = text("""
    SELECT m.id, m.address_sealed FROM mailbox m WHERE m.id > :after AND m.address_sealed IS NOT NULL AND NOT EXISTS (
        SELECT FROM address_index i WHERE i.mailbox_id = m.id AND i.key_id = :live
    ) ORDER BY m.id LIMIT :most FOR NO KEY UPDATE OF m SKIP LOCKED
""")


def known_by_alone(session: Session, key_id: int) -> int:
    """Return how many mailboxes are found by an index key and by no other."""
    query = text("""
        SELECT count(DISTINCT i.mailbox_id) FROM address_index i WHERE i.key_id = :key AND NOT EXISTS (
            SELECT FROM address_index o WHERE o.mailbox_id = i.mailbox_id AND o.key_id <> :key)
    """)
    return int(session.execute(query, {"key": key_id}).scalar_one())


def indexed(session: Session, key_id: int) -> int:
    """Return how many digests there are under an index key."""
    count = select(func.count()).select_from(AddressIndex).where(AddressIndex.key_id == key_id)
    return int(session.execute(count).scalar_one())


def not_indexed(session: Session) -> int:
    """Return how many addresses the live key does not find."""
    query = text("""
        SELECT count(*) FROM mailbox m WHERE m.address_sealed IS NOT NULL AND NOT EXISTS (
            SELECT FROM address_index i WHERE i.mailbox_id = m.id AND i.key_id = :live)
    """)
    return int(session.execute(query, {"live": session.vault.index("")[0][0]}).scalar_one())


def drop_index(session: Session, key_id: int, *, most: int = 5_000) -> int:
    """Delete some digests of an index key; return how many."""
    gone = text("""
        DELETE FROM address_index WHERE (key_id, digest) IN (
            SELECT key_id, digest FROM address_index WHERE key_id = :key LIMIT :most)
    """)
    return int(session.execute(gone, {"key": key_id, "most": most}).rowcount)  # type: ignore[attr-defined]


def forget_key(session: Session, purpose: str, key_id: int) -> None:
    """Expect a key no longer."""
    session.execute(delete(KeyCheck).where(KeyCheck.purpose == purpose, KeyCheck.key_id == key_id))


def check_keys(session: Session) -> None:
    """Remember the keys on first use; afterwards raise vault.WrongKeys when the key file is another one."""
    stored = list(session.execute(select(KeyCheck.purpose, KeyCheck.key_id, KeyCheck.proof)))
    session.vault.check(stored)
    known = {(purpose, key_id) for purpose, key_id, _ in stored}
    fresh = [proof for proof in session.vault.proofs() if (proof.purpose, proof.key_id) not in known]
    if fresh:
        session.execute(postgresql.insert(KeyCheck).on_conflict_do_nothing(), [proof._asdict() for proof in fresh])


def verify_keys(session: Session) -> None:
    """Raise vault.WrongKeys when the key file is not this database's; remember nothing."""
    session.vault.check(list(session.execute(select(KeyCheck.purpose, KeyCheck.key_id, KeyCheck.proof))))


def has_keys(session: Session) -> bool:
    """Whether this database was ever written under any key."""
    return session.execute(select(KeyCheck.key_id).limit(1)).first() is not None
