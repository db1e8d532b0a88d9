"""Who must be left alone is left alone, with a reason that can be read and lifted."""

import io
from datetime import timedelta

import pytest

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.subscribers import suppression, tables
from newsletter.subscribers.suppression import Reason, SaidBy, Word
from tests.subscribers.conftest import NOW, Lists

DEAD, FULL = Word(Reason.DEAD, SaidBy.REPORT), Word(Reason.QUOTA, SaidBy.REPLY)
DAY = timedelta(days=1)


def test_a_mailbox_is_suppressed_once_a_reason(lists: Lists, reader: tuple[int, int]) -> None:
    """A server may say ten times that nobody is there; one entry is enough, and each reason counts by itself."""
    with lists.database.transaction() as session:
        assert suppression.add(session, reader[1], reason=Reason.COMPLAINT, now=NOW) is True
        assert suppression.add(session, reader[1], reason=Reason.COMPLAINT, now=NOW) is False
        assert suppression.weigh(session, reader[1], DEAD, now=NOW) is True
        assert suppression.weigh(session, reader[1], DEAD, now=NOW) is False
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


@pytest.mark.parametrize(
    ("days", "suppressed"),
    [((0, 7, 14), True), ((0, 7, 13), False), ((0, 14), False), ((0, 0.1, 0.2, 14), False), ((0, 7, 80), False)],
    ids=["three in a fortnight", "too soon", "twice", "retries of one day", "a year of peace between"],
)
def test_a_full_mailbox_is_left_alone_only_after_a_while(
    lists: Lists, reader: tuple[int, int], days: tuple[float, ...], suppressed: bool
) -> None:
    """Someone comes back from a long journey and makes room: they must not have been dropped after the first weekend."""
    with lists.database.transaction() as session:
        said = [suppression.weigh(session, reader[1], FULL, now=NOW + day * DAY) for day in days]
        assert said == [False] * (len(days) - 1) + [suppressed]
        assert suppression.reasons(session, reader[1]) == (["quota"] if suppressed else [])


@pytest.mark.parametrize(
    ("said_by", "arrived_by", "lifted"),
    [("reply", "reply", 1), ("reply", "report", 1), ("report", "report", 1), ("report", "reply", 0)],
)
def test_mail_that_arrives_later_lifts_what_servers_said(
    lists: Lists, reader: tuple[int, int], said_by: str, arrived_by: str, lifted: int
) -> None:
    """An address that works again is written to again; but a relay that queues takes everything, which proves nothing."""
    with lists.database.transaction() as session:
        suppression.weigh(session, reader[1], Word(Reason.DEAD, SaidBy(said_by)), now=NOW)
        suppression.weigh(session, reader[1], Word(Reason.COMPLAINT, SaidBy.REPORT), now=NOW)
        how = {"said_by": SaidBy(arrived_by), "now": NOW + DAY}
        assert suppression.arrived(session, [reader[1]], at=NOW - DAY, **how) == 0
        assert suppression.arrived(session, [reader[1]], at=NOW + DAY, **how) == lifted
        assert suppression.reasons(session, reader[1]) == ["dead"] * (1 - lifted) + ["complaint"]


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
    csv = (
        "name,email\nمریم,Maryam@Example.org\nN,never@example.com\nN,never@example.com\nX,nonsense\n".encode()
        + b"\xff,x\xff@example.org\n"
    )
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
