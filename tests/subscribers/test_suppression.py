"""Who must be left alone is left alone, with a reason that can be read and lifted."""

import io
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from newsletter import mailboxes
from newsletter.addresses import EmailAddress
from newsletter.subscribers import suppression, tables
from newsletter.subscribers.suppression import MAY_LIFT, Lifted, Reason, SaidBy, Who, Word
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
        how = {"by": Who.OPERATOR, "now": NOW}
        assert suppression.lift(session, reader[1], why="she wrote to us", **how) == Lifted((Reason.DEAD,))
        assert suppression.lift(session, reader[1], why="again", **how) == Lifted()
        assert suppression.reasons(session, reader[1]) == []
        assert suppression.add(session, reader[1], reason=Reason.DEAD, now=NOW) is True
    rows = lists.ask("SELECT reason, lifted_why FROM suppression ORDER BY id")
    assert rows == [("dead", "she wrote to us"), ("dead", None)]


# Written out, not reckoned: what the issue says, against the table of the code and the constraint of the database.
TABLE = {
    (Who.PERSON, "left"): True,
    (Who.PERSON, "dead"): True,
    (Who.PERSON, "quota"): True,
    (Who.PERSON, "complaint"): False,
    (Who.PERSON, "never again"): False,
    (Who.ANSWERED, "left"): True,
    (Who.ANSWERED, "dead"): True,
    (Who.ANSWERED, "quota"): True,
    (Who.ANSWERED, "complaint"): True,
    (Who.ANSWERED, "never again"): True,
    (Who.OPERATOR, "left"): False,
    (Who.OPERATOR, "dead"): True,
    (Who.OPERATOR, "quota"): True,
    (Who.OPERATOR, "complaint"): False,
    (Who.OPERATOR, "never again"): False,
    (Who.ARRIVAL, "left"): False,
    (Who.ARRIVAL, "dead"): True,
    (Who.ARRIVAL, "quota"): True,
    (Who.ARRIVAL, "complaint"): False,
    (Who.ARRIVAL, "never again"): False,
    (Who.IMPORT, "left"): False,
    (Who.IMPORT, "dead"): False,
    (Who.IMPORT, "quota"): False,
    (Who.IMPORT, "complaint"): False,
    (Who.IMPORT, "never again"): False,
}


@pytest.mark.parametrize(("who", "reason"), [(who, reason) for who in Who for reason in Reason])
def test_who_may_lift_what(lists: Lists, reader: tuple[int, int], who: Who, reason: Reason) -> None:
    """Nobody but the person takes back what the person said; the database refuses whoever tries it past the code."""
    may = TABLE[who, str(reason)]
    assert (reason in MAY_LIFT[who]) is may
    with lists.database.transaction() as session:
        suppression.add(session, reader[1], reason=reason, now=NOW)
        done = suppression.lift(session, reader[1], by=who, why="a test", now=NOW)
        assert done == (Lifted((reason,)) if may else Lifted((), (reason,)))
        assert suppression.reasons(session, reader[1]) == ([] if may else [reason])
    forced = "UPDATE suppression SET lifted_at = now(), lifted_why = 'x', lifted_by = :who WHERE lifted_at IS NULL"
    if not may:
        with pytest.raises(IntegrityError):
            lists.ask(forced, who=str(who))
        with pytest.raises(IntegrityError):
            lists.ask("UPDATE suppression SET lifted_at = now(), lifted_why = 'x', lifted_by = NULL")


@pytest.mark.parametrize(("answered", "stays"), [(True, ()), (False, (Reason.COMPLAINT, Reason.NEVER_AGAIN))])
def test_a_person_who_comes_back_is_taken_at_their_word(
    lists: Lists, reader: tuple[int, int], answered: bool, stays: tuple[Reason, ...]
) -> None:
    """What they once said so strongly is outweighed by an answer to a mail, and by nothing less."""
    with lists.database.transaction() as session:
        for reason in Reason:
            suppression.add(session, reader[1], reason=reason, now=NOW)
        done = suppression.came_back(session, reader[1], now=NOW, answered_at=NOW if answered else None)
        assert set(done.lifted) == set(Reason) - set(stays)
        assert done.kept == stays
        assert suppression.came_back(session, 4711, now=NOW, answered_at=NOW) == Lifted()


def test_a_list_that_names_somebody_again_lifts_nothing(lists: Lists, reader: tuple[int, int]) -> None:
    """An old list is imported once more every spring: whoever left, complained or died stays so."""
    with lists.database.transaction() as session:
        for reason in Reason:
            suppression.add(session, reader[1], reason=reason, now=NOW)
    lists.bring("email,name,language\nmaryam@example.org,Maryam,fa\n")
    with lists.database.transaction() as session:
        assert suppression.reasons(session, reader[1]) == [str(reason) for reason in Reason]


@pytest.mark.parametrize("why", ["", "  ", "ann@example.org phoned"])
def test_lifting_wants_a_reason_without_an_address(lists: Lists, reader: tuple[int, int], why: str) -> None:
    """The words stand in clear, and somebody reads them in three years."""
    with lists.database.transaction() as session, pytest.raises(suppression.BadWhy):
        suppression.lift(session, reader[1], by=Who.OPERATOR, why=why, now=NOW)


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
