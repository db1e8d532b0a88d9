"""A drill needs nobody's word: so whoever has a worker's password would call anything a drill, and must get nowhere by it."""

import pytest

from newsletter.campaigns import drills
from newsletter.journeys import drilling, publish
from newsletter.operators.roles import Role
from tests import house
from tests.journeys.nights import ask
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_forging import attacker, audited, refused

READER = "reader1@example.org"


@pytest.fixture
def team(crew):
    return [crew.member(Role.SENDER), crew.member(Role.APPROVER, name="Noor Holm")]


@pytest.fixture
def mailing(made, tmp_path, team):
    """A drill that was composed a moment ago, beside readers and a digest of theirs; its worker comes in a moment."""
    house.issue(made, tmp_path, addresses=house.addresses(4))
    number = drilling.drill(made.parts)
    with made.parts.database.transaction() as session:
        found = drills.get(session, number).mailing
    assert found is not None
    return found


def forced(made, database_urls, number, *statements):
    """Do as somebody with the owner's password would, whom the database refuses nothing; then let the worker come."""
    with attacker(database_urls.owner) as owner:
        for statement in statements:
            owner.execute(statement, {"drill": number})
    made.deliver("urgent")
    return ask(made, "SELECT state FROM mailing WHERE id = :n", n=number)[0].state


# The mailbox and the number of a reader.
ONE = "(SELECT max(mailbox_id) FROM subscriber)"
THEM = "(SELECT max(id) FROM subscriber)"
TWISTED = {
    "a reader's mailbox": f"""
        UPDATE delivery SET mailbox_id = {ONE} WHERE id = (SELECT min(id) FROM delivery WHERE mailing_id = %(drill)s)
    """,
    "a reader's address behind the team's": f"UPDATE delivery SET subscriber_id = {THEM} WHERE mailing_id = %(drill)s",
    "a reader made an operator": f"UPDATE operator SET mailbox_id = {ONE} WHERE id = (SELECT min(id) FROM operator)",
    "other words": """
        UPDATE variant SET head = (SELECT head FROM variant WHERE mailing_id <> %(drill)s LIMIT 1),
            blocks = (SELECT blocks FROM variant WHERE mailing_id <> %(drill)s LIMIT 1) WHERE mailing_id = %(drill)s
    """,
    "another's text": """
        UPDATE delivery SET variant_id = (SELECT max(id) FROM variant WHERE mailing_id <> %(drill)s) WHERE mailing_id = %(drill)s
    """,
    "another's seal": """
        UPDATE drill SET terms_sealed = sha256(terms_sealed) WHERE mailing_id = %(drill)s
    """,
    "no drill at all": "UPDATE drill SET mailing_id = NULL, terms_sealed = NULL WHERE mailing_id = %(drill)s",
}


@pytest.mark.parametrize("what", TWISTED)
def test_what_was_twisted_reaches_no_reader(made, mailing, sink, database_urls, what):
    """The seal names mailing, mailboxes and bytes, and the worker looks at each row: it halts and writes down why."""
    state = forced(made, database_urls, mailing, TWISTED[what])
    assert [message for message in sink.messages if message.recipient.startswith("reader")] == []
    assert b"The well runs dry" not in b"".join(message.content for message in sink.messages)
    assert state == "paused"
    assert len(audited(made)) == 1


def test_readers_that_were_put_beside_the_team_get_nothing(made, mailing, sink, database_urls):
    """A row more in a drill of ours, with a shard of its own, as whoever planned it would write."""
    add = f"""
        WITH s AS (INSERT INTO shard (mailing_id, lane, provider, size, not_before)
            VALUES (%(drill)s, 'urgent', 'other', 1, now() - interval '1 hour') RETURNING id)
        INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, occasion, shard_id, position)
        SELECT d.month, d.mailing_id, d.variant_id, {ONE}, '', s.id, 0
        FROM delivery d, s WHERE d.mailing_id = %(drill)s LIMIT 1
    """
    forced(made, database_urls, mailing, add)
    assert [message for message in sink.messages if message.recipient.startswith("reader")] == []
    assert len(audited(made)) == 1


@pytest.mark.parametrize("kind", ["drill", "notice", "test"])
def test_a_digest_by_any_other_name_stays_out_of_the_lane(made, tmp_path, sink, database_urls, kind):
    """No kind is a key to the urgent lane: a drill has its seal, and mail to single people has no business there."""
    issue = house.issue(made, tmp_path, addresses=house.addresses(2))
    number = publish.send(made.parts, issue.issue)
    state = forced(
        made,
        database_urls,
        number,
        f"UPDATE mailing SET lane = 'urgent', kind = '{kind}', digest_id = NULL WHERE id = %(drill)s",
        "UPDATE shard SET lane = 'urgent' WHERE mailing_id = %(drill)s",
    )
    assert (sink.messages, state) == ([], "paused")


def test_an_old_drill_is_not_sent_again(made, mailing, sink, database_urls):
    """Its seal says until when: nobody fills the team's mailboxes with last month's."""
    with made.parts.database.transaction() as session:
        terms = drills.terms(session, mailing)
    assert len(terms.mailboxes) == 2
    with attacker(database_urls.owner) as owner:
        row = owner.execute("SELECT id FROM drill").fetchone()
    with made.parts.database.transaction() as session:
        old = drills.Terms(mailing, terms.sender, terms.until - 2 * drills.KEEPS, terms.mailboxes, terms.versions)
        drills.send(session, row[0], old)
    assert forced(made, database_urls, mailing) == "paused"
    assert sink.messages == []


def test_the_pages_role_makes_no_drill_and_lights_no_lamp(made, mailing, database_urls):
    """Whoever takes the pages over neither sends one nor says that it arrived, nor stops one."""
    with attacker(database_urls.web) as web:
        refused(web, "INSERT INTO drill (day) VALUES (now())")
        refused(web, "UPDATE drill SET ended_at = now(), first_at = now(), accepted = 2")
        refused(web, "INSERT INTO mailing (kind, lane) VALUES ('drill', 'urgent')")
        assert web.execute("SELECT stop_mailing(%s)", (mailing,)).fetchone() == (None,)
        silence = "UPDATE delivery SET state = 'cancelled', reason = 'unsubscribed' WHERE mailing_id = %s"
        refused(web, silence, (mailing,))
