"""One person after the other is the list as well: a few are shown in clear to one alone, more takes two."""

from datetime import timedelta

import pytest

from newsletter import database
from newsletter.issues import digests
from newsletter.journeys import exporting, finding, privacy, unmasking
from newsletter.operators import audit
from newsletter.operators.roles import Role
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.operators.crew import Crew

ALONE, READERS = 3, 16


@pytest.fixture
def build(tmp_path, database_urls, sink):
    """Return what builds a house of readers in which one may take so many alone."""
    built = []

    def build(alone=ALONE):
        built.append(house.build(tmp_path, database_urls, sink.url, export_alone_up_to=alone))
        house.add_readers(built[-1], tmp_path, house.addresses(READERS))
        return built[-1]

    yield build
    for one in built:
        one.close()


@pytest.fixture
def made(build):
    return build()


@pytest.fixture
def officers(made):
    crew = Crew(made.parts.database, made.parts.database)
    return crew.member(Role.DATA_OFFICER), crew.member(Role.DATA_OFFICER, name="Omid")


def references(made, by):
    return [one["reference"] for one in finding.newest(made.parts, digest=None, by=by, limit=READERS)]


def report(made, reference, by):
    return privacy.report(made.parts, reference=reference, address=None, by=by).address


def export(made, reference, by):
    return privacy.exported(made.parts, reference=reference, address=None, by=by)["address"]


def code(made, member):
    with made.parts.database.transaction() as session:
        return member.code(database.now(session))


def rows(made, act):
    with made.parts.database.transaction() as session:
        return [row.facts for row in audit.listed(session, limit=500) if row.act == act]


def agreed(made, officer, other):
    """Let another agree to an export of everybody; return its number."""
    asked = exporting.ask(made.parts, by=officer.id, reason="the regulator asks about many")
    exporting.approve(made.parts, asked.export, by=other.id, code=code(made, other))
    return asked.export


def taken(made, everybody, by, *acts):
    """Take out whom these acts give away; return their addresses."""
    out = set()
    for reference in everybody:
        for act in acts:
            try:
                out.add(act(made, reference, by))
            except unmasking.NeedsAnother:
                continue
    return out


def test_a_list_taken_person_by_person_takes_two(made, officers):
    """A loop over references gave one officer every address beneath every limit, unmarked, and nobody else heard of it."""
    officer, other = officers
    everybody = references(made, officer.id)
    assert len(taken(made, everybody, officer.id, report, export)) == ALONE
    assert len(taken(made, everybody, other.id, report)) == ALONE, "what one was shown is nothing to another"
    with pytest.raises(unmasking.NeedsAnother) as refused:
        report(made, everybody[-1], officer.id)
    assert (refused.value.message, refused.value.facts) == ("people.needs-another", {"most": ALONE})
    refusals = [facts for facts in rows(made, "person.reported") if facts.get("refused")]
    assert len(refusals) == (READERS - ALONE) * 2 + 1, "whoever is refused has asked as well"
    assert {facts["entries"] for facts in refusals} == {0}


def test_the_same_person_counts_once(made, officers):
    """Who answers one complaint reads one person's report again and again, and hands out what is held of them as well."""
    officer, _ = officers
    everybody = references(made, officer.id)
    for _ in range(ALONE + 2):
        assert report(made, everybody[0], officer.id) == export(made, everybody[0], officer.id)
    for reference in everybody[1:ALONE]:
        assert report(made, reference, officer.id)
    with pytest.raises(unmasking.NeedsAnother):
        export(made, everybody[ALONE], officer.id)
    assert report(made, everybody[0], officer.id), "whom one has seen one may see"


def test_once_another_agrees_it_goes(made, officers):
    """A regulator may ask about many in a month: two people answer, for as many as they agreed to and an hour long."""
    officer, other = officers
    everybody = references(made, officer.id)
    taken(made, everybody, officer.id, report)
    number = agreed(made, officer, other)
    assert [bool(export(made, one, officer.id)) for one in everybody[ALONE:6]] == [True] * 3
    assert [facts["export"] for facts in rows(made, "person.exported") if "refused" not in facts] == [number] * 3
    taken(made, everybody, other.id, report)
    with pytest.raises(unmasking.NeedsAnother):
        report(made, everybody[ALONE], other.id)


@pytest.mark.parametrize("over", ["an hour later", "once it was taken", "for as many as were agreed to"])
def test_what_was_agreed_to_ends(made, officers, database_urls, tmp_path, over):
    """A yes of this morning, or to sixty people, is not one to everybody who joins from now on."""
    officer, other = officers
    everybody = references(made, officer.id)
    taken(made, everybody, officer.id, report)
    number = agreed(made, officer, other)
    assert report(made, everybody[ALONE], officer.id)
    if over == "an hour later":
        house.by_owner(database_urls, "UPDATE list_export SET approved_at = approved_at - interval '61 minutes'")
    elif over == "once it was taken":
        exporting.take(made.parts, number, str(tmp_path / "all.csv"), by=officer.id, code=code(made, officer))
    else:
        house.by_owner(database_urls, "UPDATE list_export SET people = 1")
        assert report(made, everybody[ALONE], officer.id), "the same one again"
    with pytest.raises(unmasking.NeedsAnother):
        report(made, everybody[ALONE + 1], officer.id)


def test_a_yes_of_which_nobody_was_told_opens_nobody(made, officers, tmp_path):
    """Two who agree in silence, to an export so small that its asker needs no second one, have told nobody."""
    officer, other = officers
    everybody = references(made, officer.id)
    with made.parts.database.transaction() as session:
        digests.add(session, "tiny", name="Tiny", languages=("en",), rhythm=Rhythm.WEEKLY)
    house.add_readers(made, tmp_path, ["one@example.org"], digest="tiny")
    asked = exporting.ask(made.parts, by=officer.id, reason="a look", digest="tiny")
    assert asked.alone
    exporting.approve(made.parts, asked.export, by=other.id, code=code(made, other))
    assert len(taken(made, everybody, officer.id, report)) == ALONE


def test_who_was_shown_counts_with_what_is_taken_out(build, tmp_path):
    """Half of a list by its file and half by reports is the whole list."""
    made = build(alone=READERS + 1)
    officer = Crew(made.parts.database, made.parts.database).member(Role.DATA_OFFICER)
    everybody = references(made, officer.id)
    assert exporting.ask(made.parts, by=officer.id, reason="a move").alone
    assert len(taken(made, everybody[:2], officer.id, report)) == 2
    assert not exporting.ask(made.parts, by=officer.id, reason="a move").alone


@pytest.mark.parametrize("alone", [0, READERS])
def test_a_few_are_shown_on_any_day(build, tmp_path, alone):
    """A regulator's question is answered by one person, where every export takes two and where the list was taken just now."""
    made = build(alone)
    officer = Crew(made.parts.database, made.parts.database).member(Role.DATA_OFFICER)
    everybody = references(made, officer.id)
    if alone:
        asked = exporting.ask(made.parts, by=officer.id, reason="a move")
        path = str(tmp_path / "all.csv")
        exporting.take(made.parts, asked.export, path, by=officer.id, code=code(made, officer))
    assert len(taken(made, everybody, officer.id, report)) == unmasking.FEW


def test_a_month_later_it_counts_no_more(made, officers):
    """Whoever answers a few questions every month never needs a second person."""
    officer, _ = officers
    everybody = references(made, officer.id)
    with made.parts.database.transaction() as session:
        for days, mailbox in ((31, 1001), (31, 1002), (31, 1003), (29, 1004)):
            then = database.now(session) - timedelta(days=days)
            audit.append(session, "person.reported", by=officer.id, now=then, mailbox=mailbox, entries=1)
    assert len(taken(made, everybody, officer.id, export)) == ALONE - 1


def test_before_there_is_a_team_nothing_is_counted(made):
    """There is no second person then, and whoever types has the keys."""
    everybody = references(made, None)
    assert len(taken(made, everybody, None, report)) == READERS
    assert not any("refused" in facts for facts in rows(made, "person.reported"))
