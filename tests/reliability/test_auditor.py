"""The auditor itself: a judge that never convicts proves nothing."""

import pytest
from sqlalchemy import text

from newsletter.journeys import publish
from tests import house
from tests.reliability.auditor import audit


@pytest.fixture
def sent(estate):
    """A mailing to five, delivered."""
    made = estate.product()
    composed = house.issue(made, estate.folder, addresses=house.addresses(5))
    publish.send(made.parts, composed.issue)
    made.deliver("bulk", seconds=10)
    return made, estate.relay.record(), composed.mailing


def test_sound_books_are_found_sound(sent):
    """What every scenario ends with."""
    found = audit(*sent).sound()
    assert (found.accepted, found.planned, found.state) == (5, 5, "done")


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (lambda record: record[1:], "lost"),
        (lambda record: [*record, record[0]], "doubled"),
        (lambda record: [record[0] | {"what": "forgotten"}, *record[1:]], "lost"),
    ],
    ids=["missing", "twice", "thrown away"],
)
def test_a_record_that_differs_is_found(sent, tamper, fault):
    """One message of the five is missing, or is there twice."""
    made, record, number = sent
    found = audit(made, tamper(record), number)
    assert getattr(found, fault) == 1
    assert found.unlisted == (fault == "doubled"), "who has it twice is to stand on the list"
    with pytest.raises(AssertionError):
        found.sound()


def test_a_row_that_denies_what_the_server_has_is_found(sent):
    """The worst of books: it says not sent, and would send again."""
    made, record, number = sent
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET state = 'rejected' WHERE id = (SELECT min(id) FROM delivery)"))
        session.execute(text("UPDATE shard SET accepted = accepted - 1, rejected = rejected + 1"))
    assert audit(made, record, number).unrecorded == 1
