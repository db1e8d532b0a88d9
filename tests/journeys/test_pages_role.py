"""What whoever has the pages' role, and writes SQL, can do to a reader: docs/privacy.md says it, and no more is possible."""

import psycopg
import pytest

from newsletter.addresses import EmailAddress
from newsletter.journeys import leaving, privacy
from tests import house
from tests.journeys import traces

ANN = "ann@example.org"
GRANT = "INSERT INTO consent_event (subscriber_id, kind, basis, purpose) VALUES (1, 'granted', 'consent', 'digest:1') RETURNING id"
TAKE = "INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by) VALUES (1, 1, 'weekly', %s)"


@pytest.fixture
def made(newsletter, tmp_path):
    """Ann came by a list, and left everything."""
    house.add_readers(newsletter, tmp_path, [ANN])
    with newsletter.parts.database.transaction() as session:
        leaving.end(session, 1, None)
    return newsletter


@pytest.fixture
def pages(made, database_urls):
    with psycopg.connect(traces.plain(database_urls.web), autocommit=True) as connection:
        yield connection


def told(made):
    """Return what a regulator is told of permissions."""
    found = privacy.report(made.parts, reference=None, address=EmailAddress.parse(ANN), by=None).entries
    return [(one["what"], one.get("by", "")) for one in found if one["what"].startswith("permission")]


@pytest.mark.parametrize(
    "forged",
    [
        "INSERT INTO consent_event (subscriber_id, kind, purpose, undoes) VALUES (1, 'withdrawn', 'digest:1', 1)",
        "INSERT INTO consent_event (subscriber_id, kind, purpose, import_id) VALUES (1, 'withdrawn', 'digest:1', 1)",
        "INSERT INTO suppression (mailbox_id, reason) VALUES (1, 'complaint')",
        "INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by, ended_at, end_reason)"
        " VALUES (1, 1, 'weekly', 1, now(), 'sign-up undone')",
        "INSERT INTO subscriber (mailbox_id, reference) VALUES (1, 'ABCDEFGH')",
    ],
)
def test_it_says_nothing_for_an_operator_a_list_or_a_provider(made, pages, forged) -> None:
    """A regulator is told who took a permission back: a broken page must not put that on the team, or on somebody's provider."""
    before = told(made)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        pages.execute(forged)
    assert told(made) == before
    assert {by for what, by in before if what == "permission withdrawn"} == {"the person"}


def test_it_subscribes_again_who_had_left_as_the_docs_say(made, pages) -> None:
    """The page of preferences does so by a fresh link, with this role: what is possible must stand in docs/privacy.md."""
    [event] = pages.execute(GRANT).fetchone()
    pages.execute(TAKE, (event,))
    assert told(made)[-1] == ("permission given", "")
