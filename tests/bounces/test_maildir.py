"""A folder of mail is worked off once, whatever happens in between."""

import shutil

import pytest
from sqlalchemy.exc import DataError, InternalError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnection
from structlog.testing import capture_logs

from newsletter.bounces import maildir
from newsletter.database import DatabaseUnreachable, DiskFull, NotMigrated
from tests.bounces.conftest import DOMAIN


@pytest.fixture
def box(tmp_path):
    for name in ("tmp", "new", "cur"):
        (tmp_path / name).mkdir()
    return tmp_path


def put(box, name, head=f"Delivered-To: leave@{DOMAIN}"):
    (box / "new" / name).write_bytes(f"Return-Path: <a@example.org>\n{head}\nSubject: x\n\nhello\n".encode())


def work(box, router, take):
    return maildir.Folder(box, router, take).work()


def names(box, folder):
    return sorted(file.name for file in (box / folder).iterdir())


def test_what_was_taken_in_lies_apart(box, router):
    """A second look must not find it again, and a mail program shows it as seen."""
    put(box, "1.host")
    put(box, "2.host:2,")
    taken = []
    assert work(box, router, taken.append) == 2
    assert work(box, router, taken.append) == 0
    assert (names(box, "new"), names(box, "cur")) == ([], ["1.host:2,S", "2.host:2,S"])
    assert [(one.sender, one.recipient) for one in taken] == [("a@example.org", f"leave@{DOMAIN}")] * 2


def test_a_kill_between_taking_and_moving_takes_it_twice(box, router):
    """Twice is harmless, never is not: the message is moved after it was taken, never before."""
    put(box, "1.host")

    class Killed(BaseException):
        pass

    def take(_mail):
        raise Killed

    with pytest.raises(Killed):
        work(box, router, take)
    assert names(box, "new") == ["1.host"]


@pytest.mark.parametrize(
    "failure",
    [
        DatabaseUnreachable("here"),
        DiskFull("here"),
        NotMigrated("here"),
        OperationalError("", {}, Exception("canceling statement due to lock timeout")),
        InternalError("", {}, Exception("cannot execute INSERT in a read-only transaction")),
        NoConnection("all connections are in use"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_the_database_cannot_take_stays(box, router, failure):
    """It restarts, is full, or somebody holds a lock: nothing may be set apart for what will pass."""
    put(box, "1.host")

    def take(_mail):
        raise failure

    assert work(box, router, take) == 0
    assert names(box, "new") == ["1.host"]


@pytest.mark.parametrize(
    "failure",
    [
        ValueError(),
        DataError("", {}, Exception("text fields cannot contain NUL bytes")),
        StatementError("surrogates not allowed", "", {}, UnicodeError()),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_message_that_breaks_us_holds_nobody_up(box, router, failure):
    """One strange mail must not stop all bounces behind it; it is flagged for somebody to look at."""
    put(box, "1.host")
    put(box, "2.host")
    taken = []

    def take(mail):
        taken.append(mail)
        if len(taken) == 1:
            raise failure

    assert work(box, router, take) == 2
    assert names(box, "cur") == ["1.host:2,FS", "2.host:2,S"]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (f"X-Original-To: leave@{DOMAIN}\nDelivered-To: vmail@host.example", [f"leave@{DOMAIN}"]),
        (
            f"To: Us <leave@{DOMAIN}>, x@example.net\nCc: postmaster@{DOMAIN}",
            [f"leave@{DOMAIN}", f"postmaster@{DOMAIN}"],
        ),
        (f"To: nobody@{DOMAIN}", []),
        ("To: undisclosed-recipients:;", []),
    ],
)
def test_for_whom_it_was_is_read_from_what_the_server_wrote(box, router, head, found):
    """A folder keeps no envelope."""
    put(box, "1.host", head)
    taken = []
    work(box, router, taken.append)
    assert [one.recipient for one in taken] == found


def test_what_cannot_be_moved_is_taken_in_once_and_moved_later(box, router):
    """A full disk took the whole intake with it; and what lies there must not be dealt with each second until there is room."""
    put(box, "1.host")
    put(box, "2.host")
    (box / "cur" / "1.host:2,S" / "in the way").mkdir(parents=True)
    taken = []
    folder = maildir.Folder(box, router, taken.append)
    with capture_logs() as said:
        assert [folder.work(), folder.work(), folder.work()] == [1, 0, 0], "the others are not held up"
    assert [line["event"] for line in said] == ["mail waits"], "once an hour, not each second"
    shutil.rmtree(box / "cur" / "1.host:2,S")
    assert folder.work() == 1
    assert (names(box, "new"), names(box, "cur")) == ([], ["1.host:2,S", "2.host:2,S"])
    assert len(taken) == 2


def test_what_cannot_be_read_now_is_not_set_apart(box, router):
    """A disk that stutters, or too many open files, says nothing of the message."""
    (box / "new" / "1.host").mkdir()
    put(box, "2.host")
    taken = []
    assert work(box, router, taken.append) == 1
    assert (names(box, "new"), names(box, "cur"), len(taken)) == (["1.host"], ["2.host:2,S"], 1)


def test_a_folder_that_is_away_is_looked_for_again(box, router):
    """A disk that is mounted again a minute later."""
    put(box, "1.host")
    folder = maildir.Folder(box, router, lambda _mail: None)
    (box / "new").rename(box / "elsewhere")
    assert folder.work() == 0
    (box / "elsewhere").rename(box / "new")
    assert folder.work() == 1


def test_a_folder_that_is_none_is_refused(tmp_path):
    """A misspelt path would be an intake that takes nothing in, for months."""
    with pytest.raises(maildir.NoMaildir):
        maildir.check(tmp_path)
