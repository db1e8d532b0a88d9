"""Who must be left alone is left alone, with a reason that can be read and lifted."""

import io

import pytest

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.subscribers import suppression, tables
from newsletter.subscribers.suppression import Reason
from tests.subscribers.conftest import NOW, Lists


def test_a_mailbox_is_suppressed_once_a_reason(lists: Lists, reader: tuple[int, int]) -> None:
    """A server may say ten times that nobody is there; one entry is enough, and each reason counts by itself."""
    with lists.database.transaction() as session:
        assert suppression.add(session, reader[1], reason=Reason.COMPLAINT, now=NOW) is True
        assert suppression.add(session, reader[1], reason=Reason.COMPLAINT, now=NOW) is False
        assert suppression.weigh_dead(session, reader[1]) is True
        assert suppression.weigh_dead(session, reader[1]) is False
        assert suppression.reasons(session, reader[1]) == ["complaint", "dead"]


def test_lifting_keeps_the_entries_and_says_why(lists: Lists, reader: tuple[int, int]) -> None:
    """Later somebody asks why this address is written to again."""
    with lists.database.transaction() as session:
        suppression.add(session, reader[1], reason=Reason.DEAD, now=NOW)
        assert suppression.lift(session, reader[1], why="she wrote to us", now=NOW) == 1
        assert suppression.lift(session, reader[1], why="again", now=NOW) == 0
        assert suppression.reasons(session, reader[1]) == []
        assert suppression.add(session, reader[1], reason=Reason.DEAD, now=NOW) is True
    rows = lists.ask("SELECT reason, lifted_why FROM suppression ORDER BY id")
    assert rows == [("dead", "she wrote to us"), ("dead", None)]


def test_the_list_shows_whom_without_showing_the_address(lists: Lists, reader: tuple[int, int]) -> None:
    """An operator looks over the list with others in the room."""
    with lists.database.transaction() as session:
        suppression.add(session, reader[1], reason=Reason.DEAD, now=NOW)
        orphan = mailboxes.find_or_make(session, EmailAddress.parse("never@example.com"))
        suppression.add(session, orphan, reason=Reason.NEVER_AGAIN, now=NOW)
        newest, oldest = suppression.listed(session, limit=10)
        assert len(suppression.listed(session, limit=1)) == 1
    assert newest == {"reference": None, "address": "n…@e…", "reason": "never again", "since": NOW}
    assert (oldest["address"], oldest["reason"]) == ("m…@e…", "dead")
    assert oldest["reference"] == lists.one("SELECT reference FROM subscriber")


def test_a_list_suppresses_addresses_known_and_unknown(lists: Lists, reader: tuple[int, int]) -> None:
    """A do-not-mail list from an older system holds for those who will come, too."""
    csv = b"name,email\nM,Maryam@Example.org\nN,never@example.com\nN,never@example.com\nX,nonsense\n\xff,x\xff@example.org\n"
    counts = suppression.import_csv(lists.database, io.BytesIO(csv))
    assert counts == tables.Counts(read=5, added=2, unchanged=1, rejected=2)
    again = suppression.import_csv(lists.database, io.BytesIO(csv))
    assert again == tables.Counts(read=5, unchanged=3, rejected=2)
    with lists.database.transaction() as session:
        assert suppression.reasons(session, reader[1]) == ["never again"]
    assert lists.one("SELECT count(*) FROM mailbox WHERE address_sealed IS NULL") == 0


def test_a_dry_run_suppresses_nobody(lists: Lists) -> None:
    """Looking first must be free."""
    csv = b"email\nann@example.org\n"
    assert suppression.import_csv(lists.database, io.BytesIO(csv), dry_run=True).added == 1
    assert lists.one("SELECT count(*) FROM mailbox") == 0


def test_a_file_without_addresses_is_refused(lists: Lists) -> None:
    """A do-not-mail list that was silently not read would be the worst of lists."""
    with pytest.raises(tables.BadTable):
        suppression.import_csv(lists.database, io.BytesIO(b"address\nann@example.org\n"))
