"""A person is found by the reference in their footer; their address is never shown whole."""

import dataclasses
import re

import pytest
from sqlalchemy import text

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.subscribers import people, suppression, unsubscribe
from tests.subscribers.conftest import NOW, Lists


def test_a_person_is_found_by_the_reference_as_people_type_it(lists: Lists, reader: tuple[int, int]) -> None:
    """It is read out on the telephone and typed from paper."""
    reference = lists.one("SELECT reference FROM subscriber")
    assert re.fullmatch(r"[A-Z2-7]{8}", reference)
    with lists.database.transaction() as session:
        for typed in (
            reference,
            reference.lower(),
            f" {reference[:4]}-{reference[4:]} ",
            f"{reference[:4]} {reference[4:]}",
        ):
            assert people.find(session, typed).id == reader[0]


@pytest.mark.parametrize("reference", ["", "NOBODYXX", "A" * 300, "'; DROP TABLE subscriber", "maryam@example.org"])
def test_an_unknown_reference_is_refused_without_repeating_it(lists: Lists, reference: str) -> None:
    """People paste addresses everywhere; a refusal ends up in logs."""
    with pytest.raises(people.UnknownPerson) as refusal, lists.database.transaction() as session:
        people.find(session, reference)
    assert refusal.value.facts == {}
    assert languages.say(refusal.value.message).endswith(".")


def test_a_person_is_found_by_their_address(lists: Lists, reader: tuple[int, int]) -> None:
    """Who writes to the office rarely quotes a reference."""
    with lists.database.transaction() as session:
        assert people.find_by_address(session, EmailAddress.parse("MARYAM@example.org")).id == reader[0]
        with pytest.raises(people.UnknownPerson):
            people.find_by_address(session, EmailAddress.parse("nobody@example.org"))
        assert people.by_id(session, reader[0]) is not None
        assert people.by_id(session, 999) is None


def test_what_an_operator_sees_holds_no_whole_address(lists: Lists, reader: tuple[int, int]) -> None:
    """A screen in an open office, a ticket, a screenshot: none of them may give a reader away."""
    with lists.database.transaction() as session:
        suppression.add(session, reader[1], reason=suppression.Reason.DEAD, now=NOW)
        person = people.by_id(session, reader[0])
        assert person is not None
        shown = people.shown(session, person, digests={lists.digest_id: "weekly"})
    assert "maryam@" not in f"{shown} {person}"
    assert shown["address"] == "m…@e…"
    assert (shown["name"], shown["language"], shown["suppressed"]) == ("Maryam", "fa", ["dead"])
    assert shown["subscriptions"] == ["weekly weekly"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        person.name = "Somebody else"  # type: ignore[misc]


def test_an_erased_person_can_still_be_listed(lists: Lists, reader: tuple[int, int]) -> None:
    """A list that breaks at the first erased reader is no list."""
    with lists.database.transaction() as session:
        session.execute(text("UPDATE mailbox SET address_sealed = NULL"))
        assert [person.masked for person in people.list_(session)] == ["erased"]


def test_the_newest_are_listed_first_and_by_digest(lists: Lists) -> None:
    """The operator has just imported a list and wants to see whom."""
    other = lists.digest("other")
    lists.bring("email,name\nann@example.org,Ann\nbob@example.org,Bob\n")
    lists.bring("email,name\neve@example.org,Eve\nann@example.org,Ann\n", digest_id=other)
    with lists.database.transaction() as session:
        unsubscribe.leave(session, lists.reader(1)[0], None, reason="unsubscribed", now=NOW)
        assert [one.name for one in people.list_(session)] == ["Eve", "Bob", "Ann"]
        assert [one.name for one in people.list_(session, limit=1)] == ["Eve"]
        assert [one.name for one in people.list_(session, digest_id=other)] == ["Eve", "Ann"]
        assert [one.name for one in people.list_(session, digest_id=lists.digest_id)] == ["Ann"]
