"""Who leaves while a list comes in has left: neither of the two sees what the other writes, and the wish wins."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from newsletter import database as databases
from newsletter.database import Session
from newsletter.subscribers import consent, meanwhile, subscriptions, suppression, undoing, unsubscribe
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from tests.subscribers.conftest import NOW, Lists

ANN = "email\nann@example.org\n"
Leave = Callable[[], None]


@pytest.fixture
def ann(lists: Lists) -> int:
    """Ann, whose digest a list brought that was undone: she has something else, and takes nothing."""
    done = lists.bring(ANN)
    number, _ = lists.reader()
    with lists.database.transaction() as session:
        consent.granted(session, number, basis=Basis.CONSENT, purpose="topic:1", now=NOW)
        undoing.undo(session, done.number, suppressions_too=False, now=NOW)
    return number


def leave(session: Session, person: int, digest_id: int | None) -> None:
    """One click, or "everything"."""
    unsubscribe.leave(session, person, digest_id, reason="unsubscribed", now=databases.now(session))


def taken(lists: Lists, person: int) -> list[int]:
    """Return the digests that a reader takes by their row, which says more than the last look: that hears their no by itself."""
    with lists.database.transaction() as session:
        return [one.digest_id for one in subscriptions.of(session, person)]


@contextmanager
def on_the_way(lists: Lists, person: int, digest_id: int | None) -> Iterator[Leave]:
    """A wish that has found nothing to end and is not committed yet; calling what is yielded commits it."""
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()

    def wish() -> None:
        with lists.database.transaction() as session:
            leave(session, person, digest_id)
            begun.set()
            end.wait(30)
        ended.set()

    thread = threading.Thread(target=wish)
    thread.start()
    assert begun.wait(10)

    def commit() -> None:
        end.set()
        assert ended.wait(10)

    try:
        yield commit
    finally:
        end.set()
        thread.join(30)


@pytest.mark.parametrize("everything", [True, False], ids=["everything", "one click"])
@pytest.mark.parametrize("when", ["within a batch", "when all is read"])
def test_who_leaves_while_a_list_comes_in_has_left(lists: Lists, ann: int, when: str, everything: bool) -> None:
    """An import of a million takes a minute, and asks for each reader's last word once in it: she is told "done" and gets mail."""

    def click(*_: object) -> None:
        began = time.monotonic()
        with lists.database.transaction() as session:
            leave(session, ann, None if everything else lists.digest_id)
        assert time.monotonic() - began < 1, "and does not wait for the import"

    if when == "within a batch":
        done = lists.bring(ANN, progress=click)
        assert not done.reach or not done.reach.digests.get(lists.digest_id), "nor is she counted among its readers"
    else:
        lists.bring(ANN, before_commit=click)
    assert taken(lists, ann) == []
    assert lists.bring(ANN).rejected == 1, "nor does the next list bring her"
    assert lists.one("SELECT count(*) FROM import_run WHERE unheard_after IS NOT NULL") == 0


def test_a_wish_that_is_on_its_way_while_an_import_is_committed_counts(lists: Lists, ann: int) -> None:
    """It looked before the rows were there, and is written after they are: the import waits for it, and looks again."""
    with on_the_way(lists, ann, None) as commit:
        threading.Timer(0.5, commit).start()
        lists.bring(ANN)
    assert taken(lists, ann) == []


def test_what_an_import_did_not_live_to_heed_is_heeded_by_the_next_sweep(lists: Lists, ann: int) -> None:
    """Its process may be killed in that very moment, or the wish be on its way for long: the row says what is left to do."""
    with on_the_way(lists, ann, None) as commit:
        lists.bring(ANN)
        assert meanwhile.settle_all(lists.database) == 0
        commit()
    assert taken(lists, ann) == [lists.digest_id]
    assert meanwhile.settle_all(lists.database) == 1
    assert taken(lists, ann) == []
    assert meanwhile.settle_all(lists.database) == 0


def test_nobody_waits_behind_an_import_that_waits(lists: Lists, ann: int) -> None:
    """One wish on its way for long must not hold up everybody else's: leaving is immediate."""
    lists.bring("email\nbob@example.org\n")
    other, _ = lists.reader(1)
    with on_the_way(lists, ann, None):
        thread = threading.Thread(target=lambda: lists.bring(ANN))
        thread.start()
        slowest = 0.0
        while thread.is_alive():
            began = time.monotonic()
            with lists.database.transaction() as session:
                leave(session, other, lists.digest_id)
            slowest = max(slowest, time.monotonic() - began)
        thread.join()
    assert slowest < 1


def test_who_comes_back_by_their_own_hand_meanwhile_stays(lists: Lists, ann: int) -> None:
    """The last word counts, and not that there was another before it."""

    def change_her_mind(session: Session) -> None:
        leave(session, ann, None)
        now = databases.now(session)
        purpose = consent.of_digest(lists.digest_id)
        consent.granted(session, ann, basis=Basis.CONSENT, purpose=purpose, now=now)

    def click(*_: object) -> None:
        with lists.database.transaction() as session:
            change_her_mind(session)

    lists.bring(ANN, before_commit=click)
    assert taken(lists, ann) == [lists.digest_id]


def test_who_leaves_another_digest_meanwhile_keeps_this_one(lists: Lists, ann: int) -> None:
    """One digest less is not all of them."""
    other = lists.digest("monthly")

    def click(*_: object) -> None:
        with lists.database.transaction() as session:
            leave(session, ann, other)

    lists.bring(ANN, before_commit=click)
    assert taken(lists, ann) == [lists.digest_id]


def test_who_must_not_be_written_to_meanwhile_is_brought_into_nothing(lists: Lists, ann: int) -> None:
    """Else what the list brought would be mailed as soon as that is lifted, though no list brings in whoever is barred."""
    _, box = lists.reader()

    def complain(*_: object) -> None:
        with lists.database.transaction() as session:
            suppression.add(session, box, reason=Reason.COMPLAINT, now=databases.now(session))

    lists.bring(ANN, before_commit=complain)
    with lists.database.transaction() as session:
        assert subscriptions.of(session, ann) == []
        suppression.came_back(session, box, now=databases.now(session), answered_at=databases.now(session))
    assert taken(lists, ann) == []


def test_what_readers_have_of_their_own_is_not_touched(lists: Lists, ann: int) -> None:
    """She left, came back by a sign-up before the list, and the list names her: nothing of it is the import's to end."""
    with lists.database.transaction() as session:
        now = databases.now(session)
        event = consent.granted(session, ann, basis=Basis.CONSENT, purpose=consent.of_digest(lists.digest_id), now=now)
        subscriptions.take(session, ann, lists.digest_id, rhythm=Rhythm.WEEKLY, had_to=0, granted_by=event, now=now)
    lists.bring(ANN + "bob@example.org\n")
    assert taken(lists, ann) == [lists.digest_id]
    assert taken(lists, lists.reader(1)[0]) == [lists.digest_id]
