"""An alert that nobody would get passes no lock: it would be called done, and whoever sent it would go to bed."""

import pytest

from newsletter.issues import digests
from newsletter.journeys import alert, drafting, translating
from newsletter.journeys.drafting import Wish
from newsletter.journeys.fixing import ToNobody
from newsletter.journeys.narrowing import Part
from newsletter.ledger.mailings import State
from newsletter.subscribers import topics
from newsletter.subscribers.subscriptions import Rhythm
from tests import house

WORDS = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"
PERSIAN = "---\nlanguage: fa\n---\n# کامیون‌ها\n\nچهارده کامیون دم دروازه‌اند.\n"


def drafted(made, **more):
    return drafting.draft_words(made.parts, Wish((WORDS,), house.DIGEST, **more), by=None)


def refused(made, number):
    with pytest.raises(ToNobody) as found:
        alert.lock(made.parts, number)
    assert alert.standing(made.parts, number).state is State.DRAFT
    return found.value


def test_an_alert_to_nobody_is_not_locked(newsletter, tmp_path):
    """A digest of which all readers have left, or that is new: with the first reader it is an alert."""
    number = drafted(newsletter)
    found = refused(newsletter, number)
    assert (found.message, found.facts["digest"]) == ("alert.to-nobody", "The Weekly")
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    assert alert.lock(newsletter.parts, number).count == 1


def test_the_limit_that_leaves_nobody_is_named(newsletter, tmp_path):
    """The topic is right and nobody chose it: whoever reads “0” only must guess which of four limits it was."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    with newsletter.parts.database.transaction() as session:
        topics.add(session, "prisoners", name="Prisoners")
    found = refused(newsletter, drafted(newsletter, part=Part(("prisoners",)), only=("en",)))
    assert (found.message, found.facts["limits"]) == ("alert.to-nobody-limited", "en · Prisoners")


def test_what_follows_an_alert_is_for_its_page_as_well(newsletter, tmp_path, database_urls):
    """All have left who had it: its page still says that the camp is surrounded, until the update goes."""
    house.add_readers(newsletter, tmp_path, house.addresses(1))
    first = drafted(newsletter)
    alert.lock(newsletter.parts, first)
    alert.release(newsletter.parts, first)
    newsletter.deliver("urgent")
    house.by_owner(database_urls, "UPDATE subscription SET ended_at = now(), end_reason = 'link'")
    assert alert.lock(newsletter.parts, drafted(newsletter, updates=first)).count == 0


def test_who_waits_for_a_language_is_somebody(newsletter, tmp_path):
    """All read Persian and it comes later: the alert is begun in English, so that it can come."""
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "both", name="Both", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    people = tmp_path / "people.csv"
    people.write_text("email,language\nmina@sarand.example,fa\n")
    house.bring(newsletter, people, digest="both")
    wish = Wish((WORDS,), "both", later=("fa",))
    number = drafting.draft_words(newsletter.parts, wish, by=None)
    assert [one.waiting for one in translating.waiting(newsletter.parts, number)] == [1]
    assert alert.lock(newsletter.parts, number).count == 0
