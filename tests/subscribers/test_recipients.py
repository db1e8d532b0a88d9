"""Who gets a mailing: everyone who asked for it, nobody who did not, each in a language they read."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from newsletter.subscribers import consent, pausing, recipients, suppression, unsubscribe
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.recipients import Detail
from newsletter.subscribers.subscriptions import Rhythm
from tests.subscribers.conftest import NOW, Lists

PEOPLE = (
    "email,name,language,time_zone\n"
    "ann@example.org,Ann,en-GB,Europe/London\nmaryam@gmail.com,مریم,FA,Asia/Tehran\nluc@example.net,Luc,fr,UTC\n"
)


def audience(
    lists: Lists,
    rhythms: tuple[str, ...] | None = None,
    languages: tuple[str, ...] = ("en", "fa"),
    *,
    urgent: bool = False,
) -> list[Any]:
    """Return the rows of the audience in the order in which the readers came in."""
    query = recipients.of_digest(lists.digest_id, rhythms=rhythms, languages=languages, urgent=urgent)
    with lists.database.transaction() as session:
        return sorted(session.execute(query).all(), key=lambda row: row.subscriber_id)


def test_everyone_who_takes_the_digest_is_there_with_what_planning_needs(lists: Lists) -> None:
    """Planning copies these rows as they are: mailbox, provider, edition, place in the reading, zone."""
    lists.bring(PEOPLE, had_to=12)
    rows = audience(lists)
    assert [(row.provider, row.edition, row.had_to, row.time_zone, row.excluded) for row in rows] == [
        ("other", "en", 12, "Europe/London", None),
        ("google", "fa", 12, "Asia/Tehran", None),
        ("other", "en", 12, "UTC", None),
    ]
    assert [(row.subscriber_id, row.mailbox_id) for row in rows] == [lists.reader(number) for number in range(3)]


def test_a_reader_of_an_unlisted_language_gets_the_first_edition(lists: Lists) -> None:
    """A digest in two languages still reaches those who read neither as their own."""
    lists.bring(PEOPLE)
    assert [row.edition for row in audience(lists, languages=("fr-FR",))] == ["fr-FR"] * 3
    assert [row.edition for row in audience(lists, languages=("ar", "fr"))] == ["ar", "ar", "fr"]


def test_an_issue_goes_to_its_rhythms_and_an_alert_to_all(lists: Lists) -> None:
    """A weekly reader must not get the daily issue; an alert cannot wait for anyone's rhythm."""
    lists.bring("email\nann@example.org\n", rhythm=Rhythm.WEEKLY)
    lists.bring("email\nbob@example.org\n", rhythm=Rhythm.DAILY)
    asked = (("weekly",), ("daily",), ("each", "daily", "weekly"), ("monthly",), None)
    assert [len(audience(lists, rhythms)) for rhythms in asked] == [1, 1, 2, 0, 2]


def test_whoever_left_is_no_part_of_the_audience(lists: Lists, reader: tuple[int, int]) -> None:
    """The plainest promise of all."""
    with lists.database.transaction() as session:
        unsubscribe.leave(session, reader[0], lists.digest_id, reason="unsubscribed", now=NOW)
    assert audience(lists) == []


def test_whoever_is_left_out_is_left_out_with_a_reason(lists: Lists, database_urls: Any) -> None:
    """ "Why did she not get it?" must have an answer."""
    lists.bring(PEOPLE)
    (_, ann_box), (_, maryam_box), (luc, _) = (lists.reader(number) for number in range(3))
    with lists.database.transaction() as session:
        suppression.add(session, ann_box, reason=suppression.Reason.DEAD, now=NOW)
        session.execute(text("UPDATE mailbox SET address_sealed = NULL WHERE id = :id"), {"id": maryam_box})
        withdrawn = (
            "INSERT INTO consent_event (subscriber_id, kind, purpose) VALUES (:s, 'withdrawn', 'x') RETURNING id"
        )
        event = session.execute(text(withdrawn), {"s": luc}).scalar_one()
        session.execute(
            text("UPDATE subscription SET granted_by = :e WHERE subscriber_id = :s"), {"e": event, "s": luc}
        )
    assert [row.excluded for row in audience(lists)] == ["suppressed", "erased", "no basis"]
    with lists.database.transaction() as session:
        query = recipients.of_digest(lists.digest_id, rhythms=None, languages=("en",), urgent=True)
        assert recipients.count(session, query) == 0
        suppression.lift(session, ann_box, by=suppression.Who.OPERATOR, why="mistake", now=NOW)
        assert recipients.count(session, query) == 1


def test_who_asked_for_less_gets_alerts_and_nothing_else(lists: Lists) -> None:
    """Emergencies only, and a pause, keep readers who would leave: one mail too many and they do; one alert too few is worse."""
    lists.bring("email\nann@example.org\n", rhythm=Rhythm.EMERGENCIES)
    lists.bring("email\nbob@example.org\ncem@example.org\n")
    (ann, _), (bob, _), (cem, _) = (lists.reader(number) for number in range(3))
    moment = lists.one("SELECT now()")
    with lists.database.transaction() as session:
        pausing.pause(session, bob, until=moment + timedelta(days=3), now=moment)
        session.execute(text("UPDATE subscriber SET paused_until = now() - interval '1 s' WHERE id = :c"), {"c": cem})
    assert [row.excluded for row in audience(lists, urgent=True)] == [None, None, None]
    assert [row.excluded for row in audience(lists)] == ["emergencies only", "paused", None]
    assert [row.excluded for row in audience(lists, ("weekly",))] == ["paused", None], "no issue is Ann's"
    with lists.database.transaction() as session:
        asked = [ann, bob, cem]
        assert recipients.barred(session, lists.digest_id, asked, urgent=True) == {}
        less = {ann: "emergencies only", bob: "paused"}
        assert recipients.barred(session, lists.digest_id, asked, urgent=False) == less
        pausing.resume(session, bob)
        assert recipients.barred(session, lists.digest_id, [bob], urgent=False) == {}


def test_the_audience_can_stand_inside_another_statement(lists: Lists) -> None:
    """A million rows are planned by INSERT … SELECT, without passing through Python."""
    lists.bring(PEOPLE)
    query = recipients.of_digest(lists.digest_id, rhythms=["weekly"], languages=("en", "o'ne"), urgent=False)
    sql = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))
    with lists.database.transaction() as session:
        raw: Any = session.connection().connection.driver_connection
        raw.execute(f"CREATE TEMPORARY TABLE planned AS {sql}")
        assert session.execute(text("SELECT count(*) FROM planned")).scalar_one() == 3


def test_details_are_opened_for_those_who_are_still_there(lists: Lists) -> None:
    """A message needs address, name and reference; an erased reader has none of them."""
    lists.bring(PEOPLE + "noname@example.org,,,\n")
    ids = [lists.reader(number)[0] for number in range(4)]
    with lists.database.transaction() as session:
        session.execute(text("UPDATE mailbox SET address_sealed = NULL WHERE id = :id"), {"id": lists.reader(2)[1]})
        found = recipients.details(session, [*ids, 999])
        assert recipients.details(session, []) == {}
    references = dict(lists.ask("SELECT id, reference FROM subscriber"))
    assert found == {
        ids[0]: Detail("ann@example.org", "Ann", references[ids[0]]),
        ids[1]: Detail("maryam@gmail.com", "مریم", references[ids[1]]),
        ids[3]: Detail("noname@example.org", "", references[ids[3]]),
    }


def test_the_last_look_hears_a_no_that_has_ended_nothing_yet(lists: Lists) -> None:
    """While somebody holds what a reader takes their no stands in the events alone, and they were told that nothing more comes."""
    lists.bring("email\n" + "".join(f"reader{number}@example.org\n" for number in range(4)))
    takes, said_no, to_all, came_back = (lists.reader(number)[0] for number in range(4))
    no = {(said_no, lists.digest_id), (to_all, None), (came_back, lists.digest_id), (takes, lists.digest("other"))}
    with lists.database.transaction() as session:
        consent.refused_by(session, no, now=NOW)
        purpose = consent.of_digest(lists.digest_id)
        consent.granted(session, came_back, basis=Basis.CONSENT, purpose=purpose, now=NOW)
        everybody = [takes, said_no, to_all, came_back]
        for urgent in (True, False):
            barred = recipients.barred(session, lists.digest_id, everybody, urgent=urgent)
            assert barred == {said_no: "unsubscribed", to_all: "unsubscribed"}


def test_the_last_look_finds_everyone_who_may_not_be_written_to_any_more(lists: Lists) -> None:
    """Hours lie between planning and sending; a wish made in between holds."""
    lists.bring("email\n" + "".join(f"reader{number}@example.org\n" for number in range(5)))
    stays, leaves, dead, erased, last = (lists.reader(number) for number in range(5))
    with lists.database.transaction() as session:
        unsubscribe.leave(session, leaves[0], lists.digest_id, reason="unsubscribed", now=NOW)
        suppression.add(session, dead[1], reason=suppression.Reason.DEAD, now=NOW)
        session.execute(text("UPDATE mailbox SET address_sealed = NULL WHERE id = :id"), {"id": erased[1]})
        asked = [stays[0], leaves[0], dead[0], erased[0], 999]
        assert recipients.barred(session, lists.digest_id, asked, urgent=False) == {
            leaves[0]: "unsubscribed",
            dead[0]: "suppressed",
            erased[0]: "erased",
            999: "erased",
        }
        assert recipients.barred(session, lists.digest_id, [], urgent=False) == {}
        assert recipients.barred(session, lists.digest("other"), [last[0]], urgent=True) == {last[0]: "unsubscribed"}


def test_a_digest_of_which_nothing_is_known_yet_is_looked_up_reader_by_reader(lists: Lists) -> None:
    """Its first alert may go a minute after its readers came in: to read all of them for each of them takes it two seconds."""
    people = "email\n" + "".join(f"r{number}@example.org\n" for number in range(1000))
    lists.bring(people)
    with lists.database.transaction() as session:
        session.execute(text("SELECT refresh_statistics(ARRAY['subscriber', 'subscription', 'mailbox'])"))
    other = lists.digest("daily")
    lists.bring(people, digest_id=other)
    read = text("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'subscription'")
    with lists.database.transaction() as session:
        ids = list(session.execute(text("SELECT id FROM subscriber")).scalars())
        before = session.execute(read).scalar_one()
        assert recipients.barred(session, other, ids, urgent=True) == {}
        assert session.execute(read).scalar_one() - before < 5 * len(ids)
