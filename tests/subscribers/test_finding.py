"""Finding people by what is sealed and by what is not."""

import statistics
import time
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from newsletter.addresses import EmailAddress
from newsletter.journeys import moving_in
from newsletter.subscribers import finding, topics
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.finding import Query
from tests import house


def found(made, **more):
    with made.parts.database.transaction() as session:
        return [one.name for one in finding.find(session, Query(**more), limit=10).people]


@pytest.fixture
def people(newsletter, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(
        "email,name,language,area\nann@example.org,Ann Müller-Łoś,en,S14000021\nmaryam@example.org,مريم كريمي,fa,\n"
        "ben@example.org,Ben,en-GB,Argyll & Bute\n",
        encoding="utf-8",
    )
    moving_in.import_subscribers(
        newsletter.parts, str(path), digest_key="weekly", permission=moving_in.Permission(Basis.IMPORTED, "a test")
    )
    return newsletter


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("MULLER", ["Ann Müller-Łoś"]),
        ("los ann", ["Ann Müller-Łoś"]),
        # Typed on a Persian keyboard, kept as an Arabic one has it.
        ("مریم", ["مريم كريمي"]),
        ("nobody", []),
        ("100%", []),
    ],
)
def test_a_name_is_found_however_it_is_typed(people, written, names):
    """On the telephone nobody spells out the umlaut."""
    assert found(people, name=written) == names


def test_every_condition_narrows(people):
    """Address, reference, language, area, topic, digest, day: alone and together."""
    made = people
    with made.parts.database.transaction() as session:
        number, reference = session.execute(text("SELECT id, reference FROM subscriber ORDER BY id LIMIT 1")).one()
        today = session.execute(text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
        topic = topics.add(session, "water", name="Water")
        topics.choose(session, number, ["water"], now=session.execute(text("SELECT now()")).scalar_one())
        [digest] = session.execute(text("SELECT id FROM digest")).scalars()
    ann = ["Ann Müller-Łoś"]
    assert found(made, address=EmailAddress.parse("ANN@example.org")) == ann
    assert found(made, address=EmailAddress.parse("zoe@example.org")) == []
    assert found(made, reference=f"{reference[:4]}-{reference[4:]}".lower()) == ann
    assert found(made, area="S14000021") == ann
    assert found(made, area="Argyll & Bute") == ["Ben"]
    assert found(made, topic_id=topic.id) == ann
    assert found(made, language="EN") == ["Ben", "Ann Müller-Łoś"]
    assert found(made, language="e%") == []
    assert len(found(made, digest_id=digest, since=today, until=today)) == 3
    assert found(made, digest_id=digest + 1) == []
    assert found(made, since=today + timedelta(days=1)) == []
    assert found(made, until=today - timedelta(days=1)) == []
    assert len(found(made, since=date.min, until=date.max)) == len(found(made, since=date.min)), "and no day follows it"
    assert found(made, language="en", name="ben") == ["Ben"]


@pytest.mark.proof
@pytest.mark.short
def test_forty_thousand_names_are_looked_through_in_under_a_second(newsletter, tmp_path):
    """Somebody waits on the telephone."""
    house.add_readers(newsletter, tmp_path, house.addresses(40_000), name="Nadia Müller")
    with newsletter.parts.database.transaction() as session:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert finding.find(session, Query(name="muller 39999"), limit=10).count == 1
            took.append(time.perf_counter() - began)
    print(f"40,000 names: {statistics.median(took):.3f} s median")
    assert statistics.median(took) < 1.0
