"""Parts of the readership: what data says is what a query finds, counted to the last reader."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.ledger import planning
from newsletter.subscribers import people as readers
from newsletter.subscribers import recipients, segments
from newsletter.subscribers.segments import BadSegment, Condition, Joined, Segment, Word
from tests.servers import Servers
from tests.subscribers.conftest import Lists, for_many

FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
Person = dict[str, Any]


@pytest.fixture(scope="module")
def readership(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lists, list[Person]]]:
    """Two hundred people, made once: whoever counts them changes nothing, but for the segments that all name alike."""
    with for_many(servers, tmp_path_factory.mktemp("rejects")) as (lists, _):
        yield lists, _people(lists)


def _people(lists: Lists) -> list[Person]:
    """Make two hundred people: what each takes, chose, reads and had, drawn by lot; some are suppressed."""
    lists.digest("daily")
    for key in ("water", "press"):
        lists.ask("INSERT INTO topic (key, name) VALUES (:key, :key)", key=key)
    lists.ask("SELECT deliveries_of_month('2026-03-01')")
    for _ in range(2):
        lists.ask("INSERT INTO mailing (kind, lane, created_at) VALUES ('mailing', 'bulk', '2026-03-02')")
    lists.bring("email\n" + "".join(f"reader{number}@example.org\n" for number in range(200)))
    draw = random.Random(7)
    return [_person(lists, number, box, draw) for number, box in lists.ask("SELECT id, mailbox_id FROM subscriber")]


def _person(lists: Lists, number: int, box: int, draw: random.Random) -> Person:
    person = {
        "language": draw.choice(["en", "en-GB", "fa", "fr"]),
        "joined": FIRST + timedelta(days=draw.randrange(100)),
        "digests": {key for key in ("weekly", "daily") if draw.random() < 0.7},
        "topics": {key for key in ("water", "press") if draw.random() < 0.4},
        "had": {mailing for mailing in (1, 2) if draw.random() < 0.5},
        "suppressed": draw.random() < 0.1,
    }
    facts = {"id": number, "box": box}
    lists.ask(
        "UPDATE subscriber SET language = :language, created_at = :joined WHERE id = :id",
        language=person["language"], joined=person["joined"], **facts,
    )  # fmt: skip
    grant = "(SELECT min(id) FROM consent_event WHERE subscriber_id = :id)"
    if "daily" in person["digests"]:
        lists.ask(
            "INSERT INTO subscription (subscriber_id, digest_id, rhythm, granted_by)"
            f" SELECT :id, d.id, 'daily', {grant} FROM digest d WHERE key = 'daily'",
            id=number,
        )
    if "weekly" not in person["digests"]:
        lists.ask(
            "UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE subscriber_id = :id AND rhythm = 'weekly'",
            id=number,
        )
    for key in person["topics"]:
        lists.ask(
            f"INSERT INTO interest (subscriber_id, topic_id, granted_by) SELECT :id, t.id, {grant} FROM topic t WHERE key = :key",
            key=key, id=number,
        )  # fmt: skip
    for mailing in person["had"]:
        lists.ask(
            "INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, position, state)"
            " VALUES ('2026-03-01', :mailing, 1, :box, :id, 0, 'accepted')",
            mailing=mailing, **facts,
        )  # fmt: skip
    if person["suppressed"]:
        lists.ask("INSERT INTO suppression (mailbox_id, reason) VALUES (:box, 'left')", box=box)
    return person


CASES: dict[str, tuple[list[dict[str, Any]], Callable[[Person], bool]]] = {
    "everybody": ([], lambda p: True),
    "digest": ([{"digest": "weekly"}], lambda p: "weekly" in p["digests"]),
    "not digest": ([{"not": {"digest": "weekly"}}], lambda p: "weekly" not in p["digests"]),
    "both digests": ([{"digest": "weekly"}, {"digest": "daily"}], lambda p: len(p["digests"]) == 2),
    "topic": ([{"topic": "water"}], lambda p: "water" in p["topics"]),
    "not topic": ([{"digest": "daily"}, {"not": {"topic": "press"}}],
                  lambda p: "daily" in p["digests"] and "press" not in p["topics"]),
    "language": ([{"language": "en"}], lambda p: p["language"].startswith("en")),
    "not language": ([{"digest": "weekly"}, {"not": {"language": "fa"}}],
                     lambda p: "weekly" in p["digests"] and p["language"] != "fa"),
    "joined": ([{"joined": {"from": "2026-02-01", "before": "2026-03-01"}}],
               lambda p: date(2026, 2, 1) <= p["joined"].date() < date(2026, 3, 1)),
    "had": ([{"had": 1}, {"not": {"had": 2}}], lambda p: p["had"] == {1}),
    "in": ([{"in": "english"}, {"digest": "weekly"}],
           lambda p: p["language"].startswith("en") and "water" not in p["topics"] and "weekly" in p["digests"]),
    "not in": ([{"not": {"in": "english"}}], lambda p: not (p["language"].startswith("en") and "water" not in p["topics"])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_segment_holds_whom_it_says_to_the_last(readership: tuple[Lists, list[Person]], name: str) -> None:
    """A mail to the wrong two hundred is worse than none, and "about" is no number."""
    lists, people = readership
    data, meant = CASES[name]
    expected = sum(bool(p["digests"]) and not p["suppressed"] and meant(p) for p in people)
    digests = dict(lists.ask("SELECT key, id FROM digest"))
    with lists.database.transaction() as session:
        segments.add(session, "english", segments.from_data([{"language": "en"}, {"not": {"topic": "water"}}]))
        segment = segments.from_data(data)
        assert segments.count(session, segment, digests=digests) == expected
        assert 0 < expected < len(people)
        # As the audience of a mailing: those of them who take its digest.
        whole = recipients.of_digest(lists.digest_id, rhythms=None, languages=("en",), urgent=True)
        narrow = whole.where(recipients.among(segments.members(session, segment, digests=digests)))
        takers = sum("weekly" in p["digests"] and not p["suppressed"] and meant(p) for p in people)
        assert recipients.count(session, narrow) == takers
        assert planning.literal(narrow)


def _holds(person: Person, said: dict[str, Any], kept: dict[str, list[dict[str, Any]]]) -> bool:
    """What a condition says of a person, as simply as it can be put."""
    ((word, value),) = said.items()
    match word:
        case "not":
            return not _holds(person, value, kept)
        case "digest" | "topic":
            return value in person[f"{word}s"]
        case "had":
            return value in person["had"]
        case "language":
            return str(person["language"]).partition("-")[0] == value
        case "in":
            return all(_holds(person, one, kept) for one in (kept[value] if isinstance(value, str) else value))
        case _:
            day = person["joined"].date().isoformat()
            return value.get("from", "") <= day < value.get("before", "9")


def _drawn(draw: random.Random, kept: dict[str, list[dict[str, Any]]], deep: int = 0) -> list[dict[str, Any]]:
    """Return up to four conditions of any kind, each perhaps turned round."""
    days = sorted((FIRST + timedelta(days=draw.randrange(100))).date().isoformat() for _ in range(2))
    one: dict[str, Callable[[], Any]] = {
        "digest": lambda: draw.choice(["weekly", "daily"]),
        "topic": lambda: draw.choice(["water", "press"]),
        "language": lambda: draw.choice(["en", "fa", "fr", "ar"]),
        "joined": lambda: draw.choice([{"from": days[0]}, {"before": days[1]}, {"from": days[0], "before": days[1]}]),
        "had": lambda: draw.choice([1, 2]),
        "in": lambda: _drawn(draw, kept, deep + 1) if deep < 2 and draw.random() < 0.5 else draw.choice(sorted(kept)),
    }
    plain = [{word: one[word]()} for word in draw.choices(sorted(one), k=draw.randrange(5))]
    return [{"not": said} if draw.random() < 0.4 else said for said in plain]


def test_any_segment_is_counted_as_one_would_by_hand(readership: tuple[Lists, list[Person]]) -> None:
    """Conditions meet in ways that no list of examples names; each query is chosen by which of them stand together."""
    lists, people = readership
    draw, kept = random.Random(11), dict[str, list[dict[str, Any]]]()
    digests = dict(lists.ask("SELECT key, id FROM digest"))
    kept["english"] = [{"language": "en"}, {"not": {"topic": "water"}}]
    kept["others"] = [{"not": {"in": "english"}}, {"digest": "weekly"}]
    found = set[int]()
    with lists.database.transaction() as session:
        for key, data in kept.items():
            segments.add(session, key, segments.from_data(data))
        for _ in range(200):
            data = _drawn(draw, kept)
            mailed = (person for person in people if person["digests"] and not person["suppressed"])
            by_hand = sum(all(_holds(person, one, kept) for one in data) for person in mailed)
            assert segments.count(session, segments.from_data(data), digests=digests) == by_hand, data
            found.add(by_hand)
    assert len(found) > 25, "not one answer to all of them"


CONDITIONS = st.one_of(
    st.sampled_from(
        [
            Condition(Word.DIGEST, "weekly"),
            Condition(Word.TOPIC, "water"),
            Condition(Word.LANGUAGE, "fa"),
            Condition(Word.IN, "other"),
        ]
    ),
    st.builds(Condition, st.just(Word.HAD), st.integers(1, 2**40), st.booleans()),
    st.builds(Condition, st.just(Word.JOINED), st.builds(Joined, st.dates(), st.dates() | st.none()), st.booleans()),
)


@given(st.lists(CONDITIONS, max_size=5))
def test_a_segment_survives_as_data(conditions: list[Condition]) -> None:
    """It is kept as JSON for years; what comes out must be what went in."""
    segment = Segment((*conditions, Condition(Word.IN, Segment(tuple(conditions)), True)))
    assert segments.from_data(json.loads(json.dumps(segments.as_data(segment)))) == segment


@pytest.mark.parametrize(
    "data",
    [
        None, {}, ["weekly"], [{}], [{"digest": "weekly", "topic": "water"}], [{"shoe size": 38}], [{"digest": "'; --"}],
        [{"digest": 1}], [{"topic": None}], [{"language": "english!"}], [{"had": 0}], [{"had": "1"}], [{"had": True}],
        [{"joined": {}}], [{"joined": {"from": "soon"}}], [{"joined": {"until": "2026-01-01"}}], [{"joined": "2026-01-01"}],
        [{"in": 3}], [{"not": "weekly"}], [{"not": {"not": {"digest": "weekly"}}}],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(data: Any) -> None:
    """Data comes from files and from other programs."""
    with pytest.raises(BadSegment) as refusal:
        segments.from_data(data)
    assert languages.say(refusal.value.message, "en", **refusal.value.facts) != refusal.value.message


def test_a_segment_that_nests_without_end_is_refused() -> None:
    """Nobody means that, and it would end in a recursion."""
    data: Any = [{"digest": "weekly"}]
    for _ in range(50):
        data = [{"in": data}]
    with pytest.raises(BadSegment):
        segments.from_data(data)
    nots: Any = {"digest": "weekly"}
    for _ in range(100_000):
        nots = {"not": nots}
    with pytest.raises(BadSegment):
        segments.from_data([nots])


def test_what_no_mailing_could_keep_is_not_kept_at_all(lists: Lists) -> None:
    """A chain that is counted for months and fails on the evening of the mailing: it is said when it is made."""
    with lists.database.transaction() as session:
        segments.add(session, "s0", segments.from_data([{"digest": "weekly"}]))
        for number in range(1, 11):
            segments.add(session, f"s{number}", segments.from_data([{"in": f"s{number - 1}"}]))
        for wrong in ([{"in": "s10"}], [{"not": {"in": "s9"}}, {"not": {"in": "s10"}}], [{"not": {"in": "s9"}}]):
            with pytest.raises(BadSegment) as refusal:
                segments.add(session, "deeper", segments.from_data(wrong))
            assert refusal.value.message == "segment.too-deep"
        for key in ("s10", "s0"):
            spelled = segments.spelled(
                session, segments.from_data([{"digest": "weekly"}, *segments.as_data(segments.by_key(session, key))])
            )
            assert segments.from_data(segments.as_data(spelled)) == spelled


def test_a_key_never_changes_what_it_means(lists: Lists) -> None:
    """Somebody schedules a mailing to it; it must not become another hundred people behind their back."""
    first, other = ([{"language": language}] for language in ("fa", "en"))
    with lists.database.transaction() as session:
        segments.add(session, "persian", segments.from_data(first))
        segments.add(session, "persian", segments.from_data(first))
        with pytest.raises(segments.SegmentExists):
            segments.add(session, "persian", segments.from_data(other))
        assert segments.listed(session) == {"persian": segments.from_data(first)}


def test_a_segment_cannot_hold_itself(lists: Lists) -> None:
    """Whom it names must be there before."""
    with lists.database.transaction() as session, pytest.raises(segments.UnknownSegment):
        segments.add(session, "loop", segments.from_data([{"in": "loop"}]))


def test_a_segment_goes_when_no_other_names_it(lists: Lists) -> None:
    """A slip of the pen must not stand among the choices of an alert for ever; nor may what names it lose its meaning."""
    with lists.database.transaction() as session:
        for key, data in (
            ("persian", [{"language": "fa"}]),
            ("some", [{"not": {"in": "persian"}}]),
            ("deep", [{"in": [{"in": "persian"}]}]),
            ("persian-too", [{"language": "fa"}]),
        ):
            segments.add(session, key, segments.from_data(data))
        with pytest.raises(segments.SegmentNamed) as refusal:
            segments.remove(session, "persian")
        assert "persian”: deep, some." in languages.say(refusal.value.message, "en", **refusal.value.facts)
        for key in ("some", "deep", "persian"):
            segments.remove(session, key)
        assert list(segments.listed(session)) == ["persian-too"]
        with pytest.raises(segments.UnknownSegment):
            segments.remove(session, "persian")
        segments.add(session, "persian", segments.from_data([{"language": "en"}]))


def test_what_is_kept_with_a_mailing_names_no_other_segment(lists: Lists) -> None:
    """It must mean the same when it goes as when it was written."""
    with lists.database.transaction() as session:
        segments.add(session, "persian", segments.from_data([{"language": "fa"}]))
        segments.add(session, "some", segments.from_data([{"not": {"in": "persian"}}]))
        spelled = segments.spelled(session, segments.from_data([{"in": "some"}]))
    assert segments.as_data(spelled) == [{"in": [{"not": {"in": [{"language": "fa"}]}}]}]


@pytest.mark.parametrize("data", [[{"digest": "nothing"}], [{"topic": "nothing"}], [{"not": {"digest": "nothing"}}]])
def test_a_name_that_is_not_there_is_refused_and_not_everybody(lists: Lists, data: Any) -> None:
    """A misspelt topic under "not" would otherwise be the whole list."""
    with lists.database.transaction() as session, pytest.raises(BadSegment):
        segments.count(session, segments.from_data(data), digests={"weekly": lists.digest_id})


def test_a_language_is_found_however_lists_and_readers_wrote_it(lists: Lists) -> None:
    """Three people read Persian; a mail to the one whose list wrote it small would miss two, and no number would say so."""
    lists.bring(
        "email,language\nann@example.org,FA\nbob@example.org,fa\nmaryam@example.org,Fa-arab-ir\nluc@example.org,\n"
    )
    with lists.database.transaction() as session:
        readers.settle(session, lists.reader(1)[0], language="FA", time_zone="UTC")
        for data in ([{"language": "fa"}], [{"digest": "weekly"}, {"language": "fa"}]):
            assert segments.count(session, segments.from_data(data), digests={"weekly": lists.digest_id}) == 3
    assert [row[0] for row in lists.ask("SELECT language FROM subscriber ORDER BY id")] == [
        "fa",
        "fa",
        "fa-Arab-IR",
        "en",
    ]
    lists.bring("email\nold@example.org\n", language="FA")
    assert lists.one("SELECT language FROM subscriber ORDER BY id DESC LIMIT 1") == "fa"


def test_who_had_a_mailing_whose_rows_are_gone_is_refused_and_not_everybody(lists: Lists) -> None:
    """Who had not had an issue of two years ago would be the whole list, though half of it had it."""
    lists.bring("email\nann@example.org\nbob@example.org\n")
    lists.ask("SELECT deliveries_of_month('2024-03-01')")
    lists.ask("INSERT INTO mailing (kind, lane, created_at) VALUES ('mailing', 'bulk', '2024-03-02')")
    lists.ask(
        "INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, position, state)"
        " SELECT '2024-03-01', 1, 1, mailbox_id, id, 0, 'accepted' FROM subscriber ORDER BY id LIMIT 1"
    )

    def count(*data: Any) -> int:
        with lists.database.transaction() as session:
            return segments.count(session, segments.from_data(list(data)), digests={"weekly": lists.digest_id})

    assert (count({"had": 1}), count({"not": {"had": 1}})) == (1, 1)
    assert lists.one("SELECT forget_deliveries()") == 1
    for gone in ({"had": 1}, {"not": {"had": 1}}, {"not": {"in": [{"had": 1}]}}):
        with pytest.raises(BadSegment, match="rows-gone") as refusal:
            count(gone)
    assert "400 days" in languages.say(refusal.value.message, "en", **refusal.value.facts)
