"""What a theft would reveal is counted in the database that is there, and said in words a director reads."""

import pytest
from sqlalchemy import text

from newsletter.journeys import exposure
from tests import house
from tests.fakes.program import Program


@pytest.fixture
def made(newsletter, tmp_path):
    """Seven readers in one group, one by themselves, and two of another language."""
    house.add_readers(newsletter, tmp_path, house.addresses(10))
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE subscriber SET language = 'fa', time_zone = 'Europe/Oslo' WHERE id = 8"))
        session.execute(text("UPDATE subscriber SET language = 'ar' WHERE id > 8"))
    return newsletter


def test_those_who_hide_badly_are_counted(made):
    """A person who alone reads Persian in Oslo is known by that, however well their address is sealed."""
    found = exposure.radius(made.parts).crowd
    assert (found.people, found.groups, found.small_groups) == (10, 3, 2)
    assert (found.people_in_small_groups, found.alone) == (3, 1)
    assert [(one.language, one.zone, one.people) for one in found.rarest] == [
        ("fa", "Europe/Oslo", 1),
        ("ar", "UTC", 2),
    ]


def test_whoever_answers_for_it_reads_what_a_theft_means(made, tmp_path, database_urls):
    """The question of a director, an auditor or a reader: and if it is stolen? Each case has its answer, with figures."""
    program = Program(
        {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "NEWSLETTER_HOME": str(tmp_path / "home"),
            "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
            "NEWSLETTER_DATABASE_URL": database_urls.worker,
        }
    )
    document = program.json("privacy", "blast-radius")
    then = {one["what"]: " ".join(one["then"]) for one in document["stolen"]}
    assert list(then) == ["dump", "index", "pages", "key", "both"]
    assert "3 people are in 2 groups of fewer than 5" in then["dump"]
    assert "10 addresses, 10 names" in then["dump"]
    assert "test any list of addresses" in then["index"]
    assert "They take nobody's data out and erase nobody" in then["pages"]
    assert "each reader who opens a link" in then["pages"]
    assert "and no more" not in then["pages"]
    for more in (
        "return paths for every mail",
        "enough of these stop a mailing",
        "a no in anybody's name",
        "subscribe again",
    ):
        assert more in then["pages"], more
    assert "all 10 addresses" in then["both"]
    assert not any("{" in one for one in (*then.values(), *document["clear"].values()))
    assert "reader0" not in str(document)
    said, _ = program.run("privacy", "blast-radius")
    assert "and the whole key file" in said
    assert "fa · Europe/Oslo: 1" in said


def test_what_stands_in_clear_is_what_is_said(made, database_urls):
    """A column that a later change adds in clear must come into the answer, or the answer is a lie."""
    known = {name.partition(".")[0] for name in exposure.CLEAR}
    with made.parts.database.transaction() as session:
        columns = session.execute(
            text("""
                SELECT DISTINCT c.relname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid AND NOT c.relispartition
                WHERE f.contype = 'f' AND f.confrelid IN ('mailbox'::regclass, 'subscriber'::regclass)
            """)
        ).scalars()
        told_elsewhere = {"address_index", "signup", "reply", "operator"}
        unknown = set(columns) - known - told_elsewhere
    assert unknown <= SAME_AS_DELIVERY, unknown


SAME_AS_DELIVERY = {"returned", "full_mailbox", "fresh_link"}
"""What became of a mail, by mailbox: said with the deliveries."""


def test_the_pages_part_shows_in_the_answer(made, tmp_path, database_urls, sink):
    """Whether a break-in at the pages opens the list depends on one file: the answer looks which it is."""
    assert exposure.radius(made.parts).split is None
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    assert exposure.radius(made.parts).split is True
    web.close()
    keys = tmp_path / "keys" / "keys.json"
    whole = house.build(tmp_path, database_urls, sink.url, web=True, keys=keys)
    assert exposure.radius(made.parts).split is False
    whole.close()
