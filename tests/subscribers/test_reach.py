"""Who may be mailed is counted as a mailing would find them: a number that is told to a board must not hold who gets nothing."""

import pytest
from sqlalchemy import text

from newsletter.subscribers import pausing, reach, recipients, suppression, unproven, unsubscribe
from newsletter.subscribers.subscriptions import Rhythm
from tests.subscribers.conftest import NOW, Lists


def would(lists: Lists, digest_id: int, *, urgent: bool) -> int:
    """Return how many a mailing to a digest would be written to."""
    query = recipients.of_digest(digest_id, rhythms=None, languages=["en"], urgent=urgent)
    with lists.database.transaction() as session:
        return recipients.count(session, query)


def test_who_may_be_mailed_is_counted_as_planning_counts(lists: Lists) -> None:
    """Three of four who take emergencies only are no readers of an issue; an alert goes to them, and to whoever pauses."""
    lists.bring("email\nweekly@example.org\npauses@example.org\nrested@example.org\ndead@example.org\n")
    lists.bring("email\nann@example.org\nbob@example.org\n", rhythm=Rhythm.EMERGENCIES)
    lists.bring("email\npauses@example.org\n", digest_id=(other := lists.digest("daily")), rhythm=Rhythm.DAILY)
    with lists.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        pausing.pause(session, lists.reader(1)[0], until=now + pausing.USUAL, now=now)
        pausing.pause(session, lists.reader(2)[0], until=NOW + pausing.USUAL, now=NOW)
        suppression.add(session, lists.reader(3)[1], reason=suppression.Reason.DEAD, now=NOW)
        found = reach.now(session)
    assert found.digests == {lists.digest_id: 2, other: 0}
    assert found.digests == {one: would(lists, one, urgent=False) for one in (lists.digest_id, other)}
    assert found.alerts == would(lists, lists.digest_id, urgent=True) == 5


@pytest.mark.parametrize("left", ["the digest", "everything"])
def test_who_left_is_not_asked_because_a_list_names_them(lists: Lists, left: str) -> None:
    """A question whether they want it is mail as well, and they have said that they want none."""
    lists.bring("email\nann@example.org\nbob@example.org\n", digest_id=(other := lists.digest("daily")))
    unproved = "email,optin_time\nann@example.org,\nbob@example.org,\n"
    number = lists.bring(unproved, evidence="", vouched=False).number
    with lists.database.transaction() as session:
        assert (reach.now(session).unproven, unproven.count(session, number)) == (2, 2)
        for one in (None,) if left == "everything" else (other, lists.digest_id):
            unsubscribe.leave(session, lists.reader(0)[0], one, reason="unsubscribed", now=NOW)
        unsubscribe.leave(session, lists.reader(1)[0], other, reason="unsubscribed", now=NOW)
        assert (reach.now(session).unproven, unproven.count(session, number)) == (1, 1)
        assert [one.address for one in unproven.waiting(session, number, most=9)] == ["bob@example.org"]
