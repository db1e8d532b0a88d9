"""One address, one mailbox, however it is spelt and whoever asks at the same moment."""

import threading

import pytest
from sqlalchemy import text

from newsletter import languages, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.database import Database, Session
from newsletter.vault import Keyring, Vault, WrongKeys
from tests.servers import Urls

ANN = EmailAddress.parse("Ann@Example.org")


def test_one_address_has_one_mailbox_however_it_is_spelt(session: Session) -> None:
    """Two mailboxes would mean two mails, and a suppression that misses one of them."""
    made = mailboxes.find_or_make(session, ANN)
    for spelling in ("ann@example.org", "ANN@EXAMPLE.ORG", '"ann"@example.org'):
        assert mailboxes.find_or_make(session, EmailAddress.parse(spelling)) == made
    assert mailboxes.find(session, EmailAddress.parse("anna@example.org")) is None


def test_an_address_comes_back_as_it_was_written(session: Session) -> None:
    """Some server may tell cases apart: mail goes to what the reader wrote."""
    assert mailboxes.open(session, mailboxes.find_or_make(session, ANN)).wire == "Ann@example.org"


def test_an_unknown_or_erased_mailbox_is_refused_in_words(session: Session) -> None:
    """Erased means erased: there is no address to be found any more."""
    erased = mailboxes.find_or_make(session, ANN)
    session.execute(text("UPDATE mailbox SET address_sealed = NULL"))
    for number in (erased, erased + 1):
        with pytest.raises(mailboxes.UnknownMailbox) as refusal:
            mailboxes.open(session, number)
        assert "no such mailbox" in languages.say(refusal.value.message)
    assert mailboxes.open_all(session, [erased, erased + 1]) == {}


def test_many_are_opened_at_once(session: Session) -> None:
    """A shard of two thousand is opened by one query."""
    made = {
        mailboxes.find_or_make(session, EmailAddress.parse(f"reader{number}@example.net")): number
        for number in range(20)
    }
    opened = mailboxes.open_all(session, made)
    assert opened == {box: f"reader{number}@example.net" for box, number in made.items()}


def test_many_are_found_or_made_at_once(session: Session) -> None:
    """A do-not-mail list of a million rows cannot ask for each; every different address gets one mailbox."""
    known = mailboxes.find_or_make(session, ANN)
    wanted = [EmailAddress.parse(text) for text in ("ann@example.org", "bob@example.org", "Bob@example.org")]
    boxes = mailboxes.find_or_make_all(session, wanted)
    assert len(boxes) == 2
    assert known in boxes
    assert sorted(mailboxes.find_or_make_all(session, wanted)) == sorted(boxes)
    assert mailboxes.find_or_make_all(session, []) == []


def test_the_provider_stands_in_clear_and_the_domain_does_not(session: Session) -> None:
    """Sending needs the group of the provider; nothing needs to know who has an address at a small domain."""
    mailboxes.find_or_make(session, EmailAddress.parse("ann@small-party.example"))
    mailboxes.find_or_make(session, EmailAddress.parse("bob@small-party.example"))
    rows = session.execute(text("SELECT provider, domain_index, address_sealed FROM mailbox")).all()
    assert {row.provider for row in rows} == {"other"}
    assert len({bytes(row.domain_index) for row in rows}) == 1
    assert all(b"small-party" not in bytes(value) for row in rows for value in row[1:])


def test_two_who_make_the_same_mailbox_at_once_get_one(database: Database) -> None:
    """Sign-up, import and a test mail may meet in the same second."""
    gate = threading.Barrier(4)
    found: list[int] = []

    def make() -> None:
        gate.wait()
        with database.transaction() as session:
            found.append(mailboxes.find_or_make(session, ANN))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 4
    assert len(set(found)) == 1
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM mailbox")).scalar_one() == 1


def test_a_strangers_keys_are_noticed_before_anything_is_written(database: Database, database_urls: Urls) -> None:
    """Data sealed under the wrong keys is lost: the first start remembers the right ones."""
    for _ in range(2):
        with database.transaction() as session:
            mailboxes.check_keys(session)
    stranger = Database(database_urls.worker, Vault(Keyring.make()))
    try:
        with pytest.raises(WrongKeys), stranger.transaction() as session:
            mailboxes.check_keys(session)
    finally:
        stranger.close()
