"""Where an issue ends: once, for each digest and rhythm."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from newsletter.errors import NewsletterError
from newsletter.issues import cutting
from newsletter.issues.cutting import NothingNew
from newsletter.journeys import publish
from tests import house


@pytest.fixture
def newsletter(tmp_path, database_urls):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9")
    yield made
    made.close()


def test_an_issue_covers_what_came_since_the_last_cut(newsletter, tmp_path):
    """No article twice, and none between two issues."""
    house.add_articles(newsletter, tmp_path, "One", "Two")
    first = publish.compose(newsletter.parts, house.DIGEST)
    house.add_articles(newsletter, tmp_path, "Three")
    second = publish.compose(newsletter.parts, house.DIGEST)
    assert (first.articles, second.articles) == (2, 1)


def test_nothing_new_is_said_and_not_sent(newsletter, tmp_path):
    """An empty newsletter is worse than none."""
    with pytest.raises(NothingNew):
        publish.compose(newsletter.parts, house.DIGEST)


def test_what_is_in_no_language_of_the_digest_makes_no_issue(newsletter, tmp_path):
    """An issue that says “two articles” and reaches nobody helps nobody; what readers cannot read is not counted."""
    house.add_articles(newsletter, tmp_path, "یک", "دو", language="fa")
    with pytest.raises(NothingNew):
        publish.compose(newsletter.parts, house.DIGEST)
    house.add_articles(newsletter, tmp_path, "One", language="en-GB")
    composed = publish.compose(newsletter.parts, house.DIGEST)
    assert (composed.issue, composed.articles, composed.variants) == (1, 1, 1)


def test_each_rhythm_has_its_own_cut(newsletter, tmp_path):
    """Daily readers have had on Wednesday what weekly ones get on Thursday."""
    house.add_articles(newsletter, tmp_path, "One")
    assert publish.compose(newsletter.parts, house.DIGEST, rhythm="daily").articles == 1
    assert publish.compose(newsletter.parts, house.DIGEST, rhythm="weekly").articles == 1


def test_two_who_compose_at_once_make_one_issue(newsletter, tmp_path):
    """Two people press the button; readers get one mail."""
    house.add_articles(newsletter, tmp_path, "One")

    def compose(_):
        try:
            return publish.compose(newsletter.parts, house.DIGEST)
        except NewsletterError as refusal:
            return refusal

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(compose, range(2)))
    assert sorted(type(one).__name__ for one in found) == ["Composed", "NothingNew"]


def test_a_new_reader_begins_after_the_last_cut(newsletter, tmp_path):
    """Who joins on Friday is not sent Thursday's news."""
    house.add_articles(newsletter, tmp_path, "One")
    publish.compose(newsletter.parts, house.DIGEST)
    with newsletter.parts.database.transaction() as session:
        digest = cutting.get(session, 1).digest_id
        assert cutting.last_cut(session, digest, "weekly") == 1
        assert cutting.last_cut(session, digest, "daily") == 1, "it would have come to them too"
        assert cutting.last_cut(session, digest, "monthly") == 0
