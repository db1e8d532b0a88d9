"""The one home of an address: found by blind index, sealed, opened only to write to it."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects import postgresql

from newsletter.addresses import EmailAddress
from newsletter.database import Session
from newsletter.errors import NotFound
from newsletter.models.mailbox import AddressIndex, KeyCheck, Mailbox


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
        return found
    mailbox_id = allocate(session, 1)[0]
    session.execute(_MAKE, row(session, mailbox_id, address))
    for key_id, digest in session.vault.index(address.normal):
        made = postgresql.insert(AddressIndex).values(key_id=key_id, digest=digest, mailbox_id=mailbox_id)
        if not session.execute(made.on_conflict_do_nothing()).rowcount:  # type: ignore[attr-defined]
            # Somebody was faster by a moment: theirs is the mailbox, ours goes.
            session.execute(text("DELETE FROM mailbox WHERE id = :id"), {"id": mailbox_id})
            return find_or_make(session, address)
    return mailbox_id


_MAKE = text("""
    INSERT INTO mailbox (id, address_sealed, provider, domain_index) OVERRIDING SYSTEM VALUE
    VALUES (:id, :address_sealed, :provider, :domain_index)
""")


def row(session: Session, mailbox_id: int, address: EmailAddress) -> dict[str, object]:
    """Return the columns of a new mailbox."""
    return {
        "id": mailbox_id,
        "address_sealed": session.vault.seal("mailbox", "address", mailbox_id, address.wire),
        "provider": address.provider,
        "domain_index": session.vault.domain_index(address.domain),
    }


def allocate(session: Session, count: int) -> Sequence[int]:
    """Return numbers for new mailboxes: a seal is bound to its row, so the number comes first."""
    taken = text("SELECT nextval(pg_get_serial_sequence('mailbox', 'id')) FROM generate_series(1, :n)")
    return list(session.execute(taken, {"n": count}).scalars())


def open(session: Session, mailbox_id: int) -> EmailAddress:
    """Return the address of a mailbox. Raises UnknownMailbox, vault.CannotUnseal."""
    sealed = session.execute(select(Mailbox.address_sealed).where(Mailbox.id == mailbox_id)).scalar_one_or_none()
    if sealed is None:
        raise UnknownMailbox
    return EmailAddress.parse(session.vault.unseal("mailbox", "address", mailbox_id, sealed))


def open_all(session: Session, mailbox_ids: Iterable[int]) -> dict[int, str]:
    """Return the addresses (wire form) of many mailboxes by id; erased ones are left out."""
    statement = select(Mailbox.id, Mailbox.address_sealed).where(Mailbox.id.in_(list(mailbox_ids)))
    unseal = session.vault.unseal
    return {
        mailbox_id: unseal("mailbox", "address", mailbox_id, sealed)
        for mailbox_id, sealed in session.execute(statement)
        if sealed is not None
    }


def check_keys(session: Session) -> None:
    """Remember the keys on first use; afterwards raise vault.WrongKeys when the key file is another one."""
    stored = list(session.execute(select(KeyCheck.purpose, KeyCheck.key_id, KeyCheck.proof)))
    session.vault.check(stored)
    known = {(purpose, key_id) for purpose, key_id, _ in stored}
    fresh = [proof for proof in session.vault.proofs() if (proof.purpose, proof.key_id) not in known]
    if fresh:
        session.execute(postgresql.insert(KeyCheck).on_conflict_do_nothing(), [proof._asdict() for proof in fresh])
