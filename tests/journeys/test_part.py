"""An alert to those who chose a topic, or are in a segment: fewer of its digest's readers, never others, and fixed by its lock."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from newsletter import database, languages
from newsletter.cli import reading
from newsletter.delivery.planning import OtherAudience, Portions
from newsletter.journeys import alert, drafting, retracting, segmenting, translating
from newsletter.journeys.drafting import Revision, Wish
from newsletter.journeys.narrowing import EVERYBODY, Part, SmallerPart
from newsletter.ledger.mailings import State
from newsletter.ledger.manifest import difference
from newsletter.operators.night import Fault
from newsletter.subscribers import segments, topics
from newsletter.subscribers.topics import UnknownTopic
from tests import house
from tests.fakes.program import Program
from tests.journeys import nights
from tests.journeys.alerting import status
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages
from tests.journeys.test_only import locked_as
from tests.journeys.test_translating import SUBJECTS, inbox, late
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers


def chosen(made, key, name, addresses):
    """Have these readers choose a topic."""
    with made.parts.database.transaction() as session:
        now = database.now(session)
        topics.add(session, key, name=name)
        for place in addresses:
            topics.choose(session, place, {*(one.key for one in topics.of(session, place)), key}, now=now)


@pytest.fixture
def water(newsletter, readers):
    return choose_water(newsletter)


def choose_water(made):
    """Return the numbers of those who choose water: two who read English, three who read Persian; one of all chooses the press."""
    ids = [row.id for row in rows(made, "SELECT id FROM subscriber ORDER BY id")]
    found = [*ids[3:5], *ids[5:8]]
    chosen(made, "water", "Water", found)
    chosen(made, "press", "The press", [ids[14]])
    return found


def rows(made, sql, **facts):
    with made.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def wish(files, *languages, **more):
    words = drafting.read_files([files[one] for one in languages])
    return Wish(words, house.DIGEST, part=Part(**more.pop("part", {})), **more)


def sent(made, wished):
    number = drafting.draft_words(made.parts, wished, by=None)
    alert.send_draft(made.parts, number)
    made.deliver("urgent")
    return number


@pytest.fixture
def program(newsletter, tmp_path, database_urls, sink):
    """The command line beside this product."""
    ours = {
        "NEWSLETTER_DATABASE_URL": database_urls.worker,
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
        "NEWSLETTER_POSTAL_ADDRESS": "7 Lantern Yard, London",
        "NEWSLETTER_RELAY_URL": sink.url,
    }
    return Program({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)} | ours)


def test_it_goes_to_those_who_chose_a_topic_and_take_the_digest(newsletter, sink, files, water):
    """What is about one river wakes nobody who asked for other things; whoever has left the digest is in no part of it."""
    with newsletter.parts.database.transaction() as session:
        session.execute(
            text("UPDATE subscription SET ended_at = now(), end_reason = 'left' WHERE subscriber_id = :id"),
            {"id": water[0]},
        )
    wished = wish(files, "en", "fa", part={"topics": ("water",)})
    assert drafting.rehearse(newsletter.parts, wished) == 4
    number = sent(newsletter, wished)
    assert sorted(inbox(sink)) == ["en4@example.org", "fa0@example.org", "fa1@example.org", "fa2@example.org"]
    assert inbox(sink)["fa0@example.org"] == [SUBJECTS["fa"]]
    assert status(newsletter, number).planned == 4
    locked = locked_as(newsletter, number)
    found = rows(newsletter, "SELECT id FROM topic WHERE key = 'water'")[0].id
    assert locked.audience["topics"] == [{"id": found, "key": "water", "name": "Water"}]
    assert (locked.count, locked.whole) == (4, 14)


def test_a_large_one_grows_to_its_part_and_no_further(newsletter, sink, files, water):
    """What begins with its first readers counts and adds the others: of its topic, as many as were locked."""
    newsletter.parts = replace(newsletter.parts, portions=Portions(large=3, first=2, huge=4, next=2))
    number = sent(newsletter, wish(files, "en", part={"topics": ("water",)}))
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert sorted(inbox(sink)) == [f"{one}@example.org" for one in ("en3", "en4", "fa0", "fa1", "fa2")]
    found = status(newsletter, number)
    assert (found.state, found.planned) == ("done", 5)


def test_any_of_several_topics_will_do(newsletter, sink, files, water):
    """Two topics are those of the one and those of the other: whoever writes of both means both."""
    sent(newsletter, wish(files, "en", part={"topics": ("water", "press")}))
    assert len(inbox(sink)) == 6


def test_a_segment_stays_while_an_alert_to_it_waits(newsletter, files, water):
    """The form that writes the alert anew would not find it among its choices, and write to everybody."""
    segmenting.add(newsletter.parts, "river", segmenting.said(topic=["water"]))
    number = drafting.draft_words(newsletter.parts, wish(files, "en", part={"segment": "river"}), by=None)
    for state in (State.DRAFT, State.LOCKED):
        if state is State.LOCKED:
            alert.lock(newsletter.parts, number)
        with pytest.raises(segmenting.SegmentInUse) as refusal:
            segmenting.remove(newsletter.parts, "river")
        assert f"“river”: {number}." in languages.say(refusal.value.message, "en", **refusal.value.facts)
        assert [one["key"] for one in segmenting.listed(newsletter.parts)] == ["river"]
    alert.stop(newsletter.parts, number)
    segmenting.remove(newsletter.parts, "river")
    assert segmenting.listed(newsletter.parts) == []


def test_it_goes_to_those_in_a_segment_with_all_its_conditions_locked(newsletter, sink, files, water):
    """A segment is a name; what is signed is what it means, with the segments that it names in turn."""
    segmenting.add(newsletter.parts, "river", segmenting.said(topic=["water"]))
    segmenting.add(newsletter.parts, "persian-river", segmenting.said(language=["fa"], **{"in": ["river"]}))
    wished = wish(files, "fa", part={"segment": "persian-river"})
    assert drafting.rehearse(newsletter.parts, wished) == 3
    number = sent(newsletter, wished)
    assert sorted(inbox(sink)) == ["fa0@example.org", "fa1@example.org", "fa2@example.org"]
    conditions = [{"language": "fa"}, {"in": [{"topic": "water"}]}]
    assert locked_as(newsletter, number).audience["segment"] == {"key": "persian-river", "all": conditions}


def test_whoever_gives_their_word_reads_which_part_it_is(newsletter, files, water, capsys):
    """Four of fifteen, and why: at the command line, and in the mail that asks for the word."""
    segmenting.add(newsletter.parts, "river", segmenting.said(topic=["water"], not_language=["ar"]))
    wished = wish(files, "en", part={"topics": ("water",), "segment": "river"})
    number = drafting.draft_words(newsletter.parts, wished, by=None)
    alert.lock(newsletter.parts, number)
    reading.read(newsletter, number)
    said = capsys.readouterr().err
    assert "to 5 readers" in said
    assert "Only to those who chose one of these topics: Water." in said
    assert "Only to those in the segment “river”: topic: water; not language: ar." in said


def test_a_change_of_the_part_is_a_difference_in_words(newsletter, files, water):
    """An approver who agreed to four reads what became of them, and no line of a program."""
    number = drafting.draft_words(newsletter.parts, wish(files, "en", part={"topics": ("press",)}), by=None)
    alert.lock(newsletter.parts, number)
    before = locked_as(newsletter, number)
    revision = Revision(drafting.read_files([files["en"]]), part=Part(("water",)))
    drafting.edit_words(newsletter.parts, number, revision)
    alert.lock(newsletter.parts, number)
    (audience,) = (one for one in difference(before, locked_as(newsletter, number)) if one.what == "audience")
    assert audience.before.endswith("topics: (press The press)")
    assert audience.after.endswith("topics: (water Water)")
    drafting.edit_words(newsletter.parts, number, Revision(revision.words))
    alert.lock(newsletter.parts, number)
    assert locked_as(newsletter, number).count == 5, "whoever edits the words alone widens nothing"
    drafting.edit_words(newsletter.parts, number, Revision(revision.words, part=EVERYBODY))
    alert.lock(newsletter.parts, number)
    assert locked_as(newsletter, number).count == 15


@pytest.mark.parametrize("forged", ["content - 'topics'", "jsonb_set(content::jsonb, '{topics,0,id}', '2')"])
def test_the_part_is_not_changed_behind_a_lock(newsletter, sink, files, water, forged):
    """Somebody with a worker's password makes of four readers all, or the readers of another topic."""
    number = drafting.draft_words(newsletter.parts, wish(files, "en", part={"topics": ("water",)}), by=None)
    alert.lock(newsletter.parts, number)
    written_over(newsletter, f"UPDATE mailing SET content = {forged} WHERE id = :id", id=number)
    with pytest.raises(OtherAudience):
        alert.release(newsletter.parts, number)
    assert alert.standing(newsletter.parts, number).state is State.LOCKED
    newsletter.deliver("urgent")
    assert sink.messages == []


def written_over(made, sql, **facts):
    with made.parts.database.transaction() as session:
        session.execute(text(sql), facts)


def test_a_worker_halts_what_was_widened_after_it_was_let_go(newsletter, sink, files, water):
    """The last look is the worker's: the part stands in the lock."""
    number = drafting.draft_words(newsletter.parts, wish(files, "en", part={"topics": ("water",)}), by=None)
    alert.send_draft(newsletter.parts, number)
    written_over(newsletter, "UPDATE mailing SET content = content - 'topics' WHERE id = :id", id=number)
    newsletter.deliver("urgent")
    assert sink.messages == []
    assert status(newsletter, number).state == "paused"


def test_a_large_digest_is_not_cut_into_topics_each_to_few(made, tmp_path, author):
    """Topic by topic one person would reach them all: the limit for one is that of the whole digest."""
    house.add_readers(made, tmp_path, house.addresses(6))
    chosen(made, "water", "Water", [row.id for row in nights.ask(made, "SELECT id FROM subscriber LIMIT 2")])
    words = drafting.read_files(nights.write(tmp_path, nights.TEXT))
    wished = Wish(words, house.DIGEST, part=Part(("water",)))
    number = drafting.draft_words(made.parts, wished, by=author.id)
    locked = alert.lock(made.parts, number, by=author.id)
    assert (locked.count, locked.few, locked.codes) == (2, False, False)
    with pytest.raises(alert.NotEnough) as refused:
        alert.release(made.parts, number, by=author.id)
    assert refused.value.fault is Fault.LIMITED


def test_a_language_that_comes_later_keeps_to_the_same_part(newsletter, sink, files, water):
    """The others were not meant, and are not meant half an hour later; a retraction goes to whoever has it."""
    number = sent(newsletter, wish(files, "en", later=("fa",), part={"topics": ("water",)}))
    assert sorted(inbox(sink)) == ["en3@example.org", "en4@example.org"]
    assert [(one.language, one.waiting) for one in translating.waiting(newsletter.parts, number)] == [("fa", 3)]
    late(newsletter, [files["fa"]], number)
    assert len(inbox(sink)) == 5
    retracting.retract(newsletter.parts, number)
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert sorted(map(len, inbox(sink).values())) == [2] * 5


def test_an_update_leaves_out_nobody_who_is_to_hear_of_it(newsletter, files, water):
    """Whoever still waits for the first would hear of neither."""
    segmenting.add(newsletter.parts, "river", segmenting.said(topic=["water"]))
    segmenting.add(newsletter.parts, "papers", segmenting.said(topic=["press"]))
    first = sent(newsletter, wish(files, "en", part={"topics": ("water",)}))
    for part in ({"topics": ("press",)}, {"segment": "river"}):
        with pytest.raises(SmallerPart):
            drafting.draft_words(newsletter.parts, wish(files, "en", updates=first, part=part), by=None)
    for part in ({}, {"topics": ("water", "press")}):
        drafting.draft_words(newsletter.parts, wish(files, "en", updates=first, part=part), by=None)
    second = sent(newsletter, wish(files, "en", part={"segment": "river"}))
    with pytest.raises(SmallerPart):
        drafting.draft_words(newsletter.parts, wish(files, "en", updates=second, part={"segment": "papers"}), by=None)
    drafting.draft_words(newsletter.parts, wish(files, "en", updates=second, part={"segment": "river"}), by=None)


def test_what_follows_an_alert_is_for_its_readers_unless_somebody_says_more(newsletter, files, water, program):
    """At night nobody repeats every option: an update to five must not wake ten who never heard of the first."""
    first = sent(newsletter, wish(files, "en", part={"topics": ("water",)}))
    says = ("alerts", "draft", files["en"], "--to", house.DIGEST, "--updates", first)
    same, (_, said) = program.json(*says)["mailing"], program.run(*says)
    assert "more readers" not in said
    assert alert.lock(newsletter.parts, same).count == 5
    _, said = program.run(*says, "--everybody")
    assert f"more readers than alert {first}" in " ".join(said.split())
    wider = program.json(*says, "--everybody")["mailing"]
    assert alert.lock(newsletter.parts, wider).count == 15
    assert drafting.rehearse(newsletter.parts, replace(wish(files, "en", updates=first), part=None)) == 5


def test_what_is_not_there_is_said_as_it_is_written(newsletter, files, water):
    """A topic that nobody can have chosen, a segment that is none, one that names a digest that is gone: not first at its lock."""
    with newsletter.parts.database.transaction() as session:
        segments.add(session, "gone", segmenting.said(digest=["never"]))
    for part, wrong in (
        ({"topics": ("air",)}, UnknownTopic),
        ({"segment": "none"}, segments.UnknownSegment),
        ({"segment": "gone"}, segments.BadSegment),
    ):
        with pytest.raises(wrong):
            drafting.draft_words(newsletter.parts, wish(files, "en", part=part), by=None)


def test_the_command_line_takes_both(newsletter, files, water, program):
    """One line at night; and status says whom it was for."""
    segmenting.add(newsletter.parts, "persian", segmenting.said(language=["fa"]))
    words = ("alerts", "send", files["fa"], "--to", house.DIGEST, "--topic", "water", "--segment", "persian")
    assert program.json(*words, "--dry-run")["would_send"] == 3
    number = program.json(*words)["mailing"]
    found = program.json("alerts", "status", number)
    assert (found["topics"], found["segment"], found["audience"]) == (["water"], "persian", 3)
    _, said = program.run("alerts", "send", files["ar"], "--translates", number, "--topic", "water", code=2)
    assert "--topic" in said


def test_whom_it_is_for_is_changed_by_an_edit_and_kept_by_one_that_says_nothing(newsletter, files, water, program):
    """A topic too few is found as somebody reads it again: there is no need to begin anew, nor for a phone."""
    number = program.json("alerts", "draft", files["fa"], "--to", house.DIGEST, "--topic", "water")["mailing"]

    def narrowed(*words):
        program.json("alerts", "edit", number, files["fa"], *words)
        found = program.json("alerts", "status", number)
        return found["topics"], found["only"]

    assert narrowed() == (["water"], [])
    assert narrowed("--topic", "press", "--only", "fa") == (["press"], ["fa"])
    assert narrowed() == (["press"], ["fa"])
    assert narrowed("--everybody") == ([], [])
