"""What readers at risk ask for: kept as they said it, and never a name against their will."""

import psycopg
import pytest
from sqlalchemy import make_url, text

from newsletter.composer.styles import Style
from newsletter.subscribers import recipients, styles, unsubscribe
from newsletter.subscribers.styles import NobodyThere, Wish
from tests.subscribers.conftest import NOW, Lists

DISCREET = Wish(Style(discreet=True, text=True))


def choose(lists: Lists, number: int, wish: Wish) -> bool:
    """Choose as the reader who came in as the number-th."""
    with lists.database.transaction() as session:
        return styles.choose(session, lists.reader(number)[0], wish)


def test_a_wish_is_kept_and_said_again(lists: Lists, reader: tuple[int, int]) -> None:
    """The page of preferences shows what holds; pressing twice changes nothing."""
    with lists.database.transaction() as session:
        assert styles.of(session, reader[0]) == Wish(Style())
        assert styles.choose(session, reader[0], DISCREET)
        assert styles.of(session, reader[0]) == DISCREET
        assert not styles.choose(session, reader[0], DISCREET)
        with pytest.raises(NobodyThere):
            styles.of(session, reader[0] + 1)


def test_a_name_that_must_not_be_kept_is_deleted_and_stays_away(lists: Lists, reader: tuple[int, int]) -> None:
    """A name in a list is what a raid looks for; the next import of an old list must not bring it back."""
    assert choose(lists, 0, Wish(Style(), nameless=True))
    assert lists.one("SELECT name_sealed FROM subscriber") is None
    lists.bring("email,name,postcode\nmaryam@example.org,Maryam,N1 0AA\n", overwrite=True)
    assert lists.ask("SELECT name_sealed, postcode_sealed IS NOT NULL FROM subscriber") == [(None, True)]
    again = lists.bring("email,name,postcode\nmaryam@example.org,Maryam,N1 0AA\n", overwrite=True)
    assert (again.changed, again.unchanged) == (0, 1), "an import says what it did"
    with lists.database.transaction() as session:
        assert recipients.details(session, [reader[0]])[reader[0]].name == ""
    assert choose(lists, 0, Wish(Style()))
    lists.bring("email,name\nmaryam@example.org,Maryam\n", overwrite=True)
    assert lists.one("SELECT name_sealed IS NOT NULL FROM subscriber"), "who changes their mind is greeted again"


def test_the_pages_may_write_a_wish_and_no_address(lists: Lists, reader: tuple[int, int], database_urls) -> None:  # type: ignore[no-untyped-def]
    """A hole in a page must not turn a reader to another mailbox, or give them another reference."""
    url = make_url(database_urls.web).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as web:
        web.execute("UPDATE subscriber SET style = 'dt', nameless = true")
        assert web.execute("SELECT style, name_sealed FROM subscriber").fetchall() == [("dt", None)]
        for forbidden in ("reference = 'AAAAAAAA'", "mailbox_id = 1", "area = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                web.execute(f"UPDATE subscriber SET {forbidden}")
        for unknown in ("td", "x", "dd"):
            with pytest.raises(psycopg.errors.CheckViolation):
                web.execute("UPDATE subscriber SET style = %s", [unknown])


def test_the_styles_of_a_digest_are_those_of_its_readers(lists: Lists) -> None:
    """A version is composed for somebody: not for those who left, and not for another digest's readers."""
    lists.bring("email\nann@example.org\nben@example.org\ncy@example.org\n")
    other = lists.digest("daily")
    lists.bring("email\ndan@example.org\n", digest_id=other)
    for number, code in enumerate(("d", "dt", "d", "m")):
        choose(lists, number, Wish(Style.parse(code)))
    with lists.database.transaction() as session:
        assert styles.of_readers(session, lists.digest_id) == ["d", "dt"]
        assert styles.of_readers(session, other) == ["m"]
        unsubscribe.leave(session, lists.reader(1)[0], lists.digest_id, reason="unsubscribed", now=NOW)
        assert styles.of_readers(session, lists.digest_id) == ["d"]


def test_those_without_a_style_are_not_looked_at(lists: Lists) -> None:
    """A million readers without a style must not make each alert wait for the few who have one."""
    lists.bring("email\n" + "".join(f"r{number}@example.org\n" for number in range(3000)))
    choose(lists, 7, DISCREET)
    with lists.database.transaction() as session:
        session.execute(text("SELECT refresh_statistics(ARRAY['subscriber', 'subscription'])"))
        plan = session.execute(
            text(
                "EXPLAIN SELECT DISTINCT style FROM subscriber s WHERE s.style <> '' AND EXISTS (SELECT FROM subscription b"
                " WHERE b.subscriber_id = s.id AND b.digest_id = :digest AND b.ended_at IS NULL)"
            ),
            {"digest": lists.digest_id},
        ).scalars()
        assert "styles_of_readers" in "\n".join(plan)


def test_what_was_had_is_answered_in_the_style_of_now(lists: Lists) -> None:
    """Who had an alert in the open and asks for discretion since then gets what takes it back discreetly."""
    lists.bring("email\nann@example.org\nben@example.org\n")
    choose(lists, 0, DISCREET)
    with lists.database.transaction() as session:
        audience = recipients.of_digest(lists.digest_id, rhythms=None, languages=("en",), urgent=True)
        bare = audience.with_only_columns(*(one for one in audience.selected_columns if one.key != "style"))
        found = session.execute(recipients.styled(bare)).all()
        assert {row.subscriber_id: row.style for row in found} == {lists.reader(0)[0]: "dt", lists.reader(1)[0]: ""}
        assert recipients.styles(session, [lists.reader(0)[0], lists.reader(1)[0]]) == {lists.reader(0)[0]: "dt"}
