"""Leaving holds at once and for good; changing how often is not leaving."""

import pytest
from sqlalchemy import text

from newsletter import languages
from newsletter.database import Database
from newsletter.subscribers import consent, subscriptions, undoing, unsubscribe
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.vault import Keyring, Vault
from tests.servers import Urls
from tests.subscribers.conftest import NOW, Lists

EVENTS = "SELECT kind, basis, purpose FROM consent_event ORDER BY id"
OWN = "SELECT kind, basis, purpose FROM consent_event WHERE import_id IS NULL ORDER BY id"


def test_leaving_a_digest_ends_it_and_says_so(lists: Lists, reader: tuple[int, int]) -> None:
    """The wish itself is the proof that the next mail would be unlawful."""
    lists.bring("email\nmaryam@example.org\n", digest_id=lists.digest("other"))
    with lists.database.transaction() as session:
        assert unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW) == 1
        assert unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW) == 0
        assert [one.digest_id for one in subscriptions.of(session, reader[0])] != [lists.digest_id]
        assert len(subscriptions.of(session, reader[0])) == 1
    purpose = consent.of_digest(lists.digest_id)
    assert lists.ask(EVENTS)[-1] == ("withdrawn", None, purpose)
    assert len(lists.ask(EVENTS)) == 3


def test_who_leaves_what_an_undone_list_brought_has_left_it(
    lists: Lists, reader: tuple[int, int], database_urls: Urls, keyring: Keyring
) -> None:
    """The link in a mail that was sent before works for ever: the same list, brought again, must not mail them."""
    number = lists.one("SELECT max(id) FROM import_run")
    with lists.database.transaction() as session:
        consent.granted(session, reader[0], basis=Basis.CONSENT, purpose="topic:1", now=NOW)
        undoing.undo(session, number, suppressions_too=False, now=NOW)
    web = Database(database_urls.web, Vault(keyring))
    try:
        for _ in range(3):
            with web.transaction() as session:
                assert unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW) == 0
    finally:
        web.close()
    own = [(kind, purpose) for kind, _, purpose in lists.ask(OWN)]
    assert own == [("granted", "topic:1"), ("withdrawn", consent.of_digest(lists.digest_id))]
    assert lists.bring("email\nmaryam@example.org\n").rejected == 1


def test_who_was_erased_leaves_nothing_behind_by_leaving(lists: Lists, reader: tuple[int, int]) -> None:
    """Their links work for ever as well, and no number of nobody's is written down for it."""
    lists.ask("DELETE FROM subscription")
    lists.ask("DELETE FROM subscriber")
    with lists.database.transaction() as session:
        assert unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW) == 0
    assert len(lists.ask(EVENTS)) == 1


def test_leaving_everything_ends_all_and_twice_is_the_same(lists: Lists, reader: tuple[int, int]) -> None:
    """A mail client may send the one-click request again and again."""
    lists.bring("email\nmaryam@example.org\n", digest_id=lists.digest("other"))
    for ended in (2, 0, 0):
        with lists.database.transaction() as session:
            assert unsubscribe.leave(session, reader[0], None, reason="unsubscribed", now=NOW) == ended
    kinds = [event[0] for event in lists.ask(EVENTS)]
    assert kinds == ["granted", "granted", "withdrawn", "withdrawn", "withdrawn"]
    assert lists.ask(EVENTS)[-1][2] == consent.EVERYTHING


@pytest.mark.parametrize("everything", [True, False], ids=["everything", "one digest"])
def test_who_leaves_at_once_leaves_as_one_who_waits(
    lists: Lists, database_urls: Urls, keyring: Keyring, everything: bool
) -> None:
    """Pages let people leave by the one way, and the rest of the house by the other: the proof must not tell them apart."""
    lists.bring("email\nann@example.org\nbob@example.org\n")
    lists.bring("email\nann@example.org\nbob@example.org\n", digest_id=lists.digest("other"))
    ann, bob = lists.reader(0)[0], lists.reader(1)[0]
    digest = None if everything else lists.digest_id
    web = Database(database_urls.web, Vault(keyring))
    try:
        for _ in range(2):
            with web.transaction() as session:
                unsubscribe.leave(session, ann, digest, reason="unsubscribed", now=NOW)
                gone = {(bob, digest), (999, digest)}
                assert unsubscribe.leave_at_once(session, gone, reason="unsubscribed", now=NOW) == set()
    finally:
        web.close()
    said = (
        "SELECT kind, purpose FROM consent_event WHERE import_id IS NULL AND subscriber_id = :it ORDER BY purpose, id"
    )
    ended = "SELECT digest_id, ended_at, end_reason FROM subscription WHERE subscriber_id = :it ORDER BY 1"
    for sql in (said, ended):
        assert lists.ask(sql, it=bob) == lists.ask(sql, it=ann)
    assert lists.ask("SELECT 1 FROM consent_event WHERE subscriber_id = 999") == []


def test_the_no_of_who_is_held_is_said_at_once_and_once(lists: Lists) -> None:
    """Somebody is at one of two readers: the other has left, and of the held one stands what keeps mail away; no call waits."""
    lists.bring("email\nann@example.org\nbob@example.org\n")
    ann, bob = lists.reader(0)[0], lists.reader(1)[0]
    gone = {(ann, None), (bob, lists.digest_id)}

    def leave() -> set[int]:
        with lists.database.impatient(1) as session:
            return unsubscribe.leave_at_once(session, gone, reason="unsubscribed", now=NOW)

    with lists.database.transaction() as other:
        other.execute(text("SELECT id FROM subscription WHERE subscriber_id = :it FOR UPDATE"), {"it": ann}).all()
        assert (leave(), leave()) == ({ann}, {ann})
        assert lists.ask("SELECT subscriber_id FROM subscription WHERE ended_at IS NULL") == [(ann,)]
        with lists.database.transaction() as session:
            assert consent.refusing(session, [ann, bob], lists.digest_id) == {ann, bob}
    assert leave() == set()
    assert lists.ask("SELECT 1 FROM subscription WHERE ended_at IS NULL") == []
    weekly = consent.of_digest(lists.digest_id)
    said = [("withdrawn", weekly), ("withdrawn", weekly), ("withdrawn", consent.EVERYTHING)]
    assert lists.ask("SELECT kind, purpose FROM consent_event WHERE import_id IS NULL ORDER BY purpose") == said


def test_whoever_comes_back_by_their_own_wish_is_let_in(lists: Lists, reader: tuple[int, int]) -> None:
    """Leaving keeps lists away, not the reader."""
    with lists.database.transaction() as session:
        unsubscribe.leave(session, reader[0], None, reason="unsubscribed", now=NOW)
        purpose = consent.of_digest(lists.digest_id)
        consent.granted(session, reader[0], basis=Basis.CONSENT, purpose=purpose, now=NOW)
    assert lists.bring("email\nmaryam@example.org\n").changed == 1


def test_the_pages_may_let_a_reader_leave(
    lists: Lists, reader: tuple[int, int], database_urls: Urls, keyring: Keyring
) -> None:
    """The web process has fewer rights than a worker; these are among them."""
    web = Database(database_urls.web, Vault(keyring))
    try:
        with web.transaction() as session:
            subscriptions.change_rhythm(session, reader[0], lists.digest_id, rhythm=Rhythm.DAILY, now=NOW)
            assert unsubscribe.leave(session, reader[0], None, reason="unsubscribed", now=NOW) == 1
    finally:
        web.close()


@pytest.mark.parametrize("change", ["UPDATE consent_event SET basis = 'consent'", "DELETE FROM consent_event"])
def test_the_proof_of_a_permission_cannot_be_changed(lists: Lists, reader: tuple[int, int], change: str) -> None:
    """What can be edited proves nothing."""
    with pytest.raises(Exception, match="permission denied"), lists.database.transaction() as session:
        session.execute(text(change))


def test_mail_without_a_permission_is_impossible(lists: Lists, reader: tuple[int, int]) -> None:
    """A subscription that rests on nothing cannot even be written down."""
    sql = "INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by) VALUES (:s, :d, 'daily', :e)"
    other = lists.digest("other")
    for event in (None, 999):
        with pytest.raises(Exception, match=r"null value|foreign key"), lists.database.transaction() as session:
            session.execute(text(sql), {"s": reader[0], "d": other, "e": event})


def test_a_change_of_rhythm_opens_a_new_row_at_the_same_place(lists: Lists, reader: tuple[int, int]) -> None:
    """Nobody may miss an article, or get one twice, because they asked for mail less often."""
    with lists.database.transaction() as session:
        subscriptions.moved(session, lists.digest_id, [reader[0]], had_to=17)
        subscriptions.change_rhythm(session, reader[0], lists.digest_id, rhythm=Rhythm.MONTHLY, now=NOW)
        (mine,) = subscriptions.of(session, reader[0])
    assert (mine.rhythm, mine.had_to, mine.digest_id) == (Rhythm.MONTHLY, 17, lists.digest_id)
    rows = lists.ask("SELECT rhythm, end_reason, granted_by FROM subscription ORDER BY id")
    assert rows == [("weekly", "rhythm changed", 1), ("monthly", None, 1)]


def test_a_rhythm_of_nothing_cannot_be_changed(lists: Lists, reader: tuple[int, int]) -> None:
    """Changing how often must not subscribe anybody."""
    with pytest.raises(subscriptions.NotSubscribed) as refusal, lists.database.transaction() as session:
        subscriptions.change_rhythm(session, reader[0], lists.digest("other"), rhythm=Rhythm.DAILY, now=NOW)
    assert languages.say(refusal.value.message).endswith(".")


def test_what_readers_have_had_only_moves_forward(lists: Lists) -> None:
    """Outcomes are written late and out of order; an old one must not make a reader get articles again."""
    lists.bring("email\nann@example.org\nbob@example.org\neve@example.org\n", had_to=5)
    ann, bob, eve = (lists.reader(number)[0] for number in range(3))
    with lists.database.transaction() as session:
        unsubscribe.leave(session, eve, lists.digest_id, reason="unsubscribed", now=NOW)
        assert subscriptions.moved(session, lists.digest_id, [ann, bob, eve], had_to=9) == 2
        assert subscriptions.moved(session, lists.digest_id, [ann], had_to=7) == 0
        assert subscriptions.moved(session, lists.digest_id, [], had_to=99) == 0
        assert [subscriptions.of(session, one)[0].had_to for one in (ann, bob)] == [9, 9]
    assert lists.one("SELECT had_to FROM subscription WHERE subscriber_id = :eve", eve=eve) == 5
