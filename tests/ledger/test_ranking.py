"""Best readers first: what a provider sees first of us decides what it does with the rest."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from newsletter.journeys import publish
from tests import house

OLD, NEW = 210, 250


@pytest.fixture
def patient(newsletter):
    """The product with a relay elsewhere, as planning sees it."""
    return replace(newsletter.parts, tranche_pause=timedelta(minutes=15))


def issue(newsletter, patient, tmp_path, title):
    house.add_articles(newsletter, tmp_path, title)
    composed = publish.compose(newsletter.parts, house.DIGEST)
    publish.send(patient, composed.issue)
    return composed.mailing


def go_on(newsletter):
    newsletter.sweep()
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE shard SET not_before = now()"))
    newsletter.deliver("bulk", seconds=10)


def test_the_first_tranche_is_of_those_with_whom_all_was_well(newsletter, sink, patient, tmp_path):
    """Who had the last issue without trouble comes before who never had one, the latest before the first; trouble comes last."""
    house.add_readers(newsletter, tmp_path, [f"old{n:03}@example.org" for n in range(OLD)])
    # Every twentieth of the old ones is refused for good, for a reason that is not theirs.
    sink.refuse = lambda one: (
        "550 5.7.1 policy" if one in {f"old{n:03}@example.org" for n in range(0, OLD, 20)} else None
    )
    issue(newsletter, patient, tmp_path, "The well runs dry")
    go_on(newsletter)
    go_on(newsletter)
    assert len(sink.messages) == OLD - 11
    sink.refuse = lambda _recipient: None
    house.add_readers(newsletter, tmp_path, [f"new{n:03}@example.org" for n in range(NEW)])
    sink.messages.clear()
    mailing = issue(newsletter, patient, tmp_path, "It rains")
    newsletter.deliver("bulk", seconds=10)
    first = [message.recipient.partition("@")[0] for message in sink.messages]
    well = {f"old{n:03}" for n in range(OLD)} - {f"old{n:03}" for n in range(0, OLD, 20)}
    assert len(first) == 200
    assert set(first) == well | {f"new{NEW - 1}"}, "199 of whom all was well, and who joined last"
    order = text(
        "SELECT d.subscriber_id FROM delivery d JOIN shard s ON s.id = d.shard_id WHERE d.mailing_id = :mailing"
        " ORDER BY s.not_before, s.id, d.position"
    )
    with newsletter.parts.database.transaction() as session:
        rest = list(session.execute(order, {"mailing": mailing}).scalars())[200:]
    assert rest[: NEW - 1] == list(range(OLD + NEW - 1, OLD, -1))
    assert set(rest[NEW - 1 :]) == {n + 1 for n in range(0, OLD, 20)}, "those with trouble at the end"


def test_whose_mail_came_back_is_not_among_the_best(newsletter, sink, patient, tmp_path):
    """The relay took it, and an hour later it came back: to the provider that is the same refusal."""
    house.add_readers(newsletter, tmp_path, [f"old{n:03}@example.org" for n in range(250)])
    first = issue(newsletter, patient, tmp_path, "The well runs dry")
    go_on(newsletter)
    go_on(newsletter)
    with newsletter.parts.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO returned (mailing_id, mailbox_id, fate, came_at) SELECT mailing_id, mailbox_id, 'failed', now()"
                " FROM delivery WHERE mailing_id = :first AND mailbox_id <= 60"
            ),
            {"first": first},
        )
    sink.messages.clear()
    house.add_readers(newsletter, tmp_path, [f"new{n:03}@example.org" for n in range(30)])
    issue(newsletter, patient, tmp_path, "It rains")
    newsletter.deliver("bulk", seconds=10)
    begun = [message.recipient for message in sink.messages]
    assert len(begun) == 200
    assert {f"old{n:03}@example.org" for n in range(60)}.isdisjoint(begun)
