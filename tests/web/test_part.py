"""Topics and a segment, chosen on a phone without a script, kept by the form, and read by whoever gives their word."""

import re

from newsletter import database
from newsletter.journeys import alert, segmenting
from newsletter.operators.roles import Role
from newsletter.subscribers import topics
from tests.web.test_alerts import WORDS, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.test_languages import speak
from tests.web.visiting import inside


def chosen(worker, *ids):
    with worker.parts.database.transaction() as session:
        topics.add(session, "water", name="Water & wells")
        topics.add(session, "press", name="The press")
        for one in ids:
            topics.choose(session, one, ["water"], now=database.now(session))


def ticked(page):
    return re.findall(r'name="topic-(\w+)" value="1" checked', page)


def selected(page):
    return re.findall(r'value="([\w-]+)" dir="ltr" selected', page)


def test_nothing_is_asked_where_there_is_nothing_to_choose(author, readers, worker):
    """Most organisations begin without topics: a form at night asks no more than it must."""
    readers(4)
    assert "Only to some of them" not in author.open("/console/alerts/new").text


def test_an_alert_is_limited_to_a_topic_and_a_segment(author, trustee, desk, readers, worker):
    """What was chosen is counted, kept, locked, shown to whoever approves, and taken away again."""
    readers(4)
    chosen(worker, 1, 2, 3)
    segmenting.add(worker.parts, "early", segmenting.said(topic=["water"], not_language=["fa"]))
    page = author.open("/console/alerts/new").text
    assert "Water &amp; wells" in page
    assert (ticked(page), selected(page)) == ([], [])
    number = written(author, part="chosen", segment="", **{"topic-water": "1"})
    here = f"/console/alerts/{number}"
    assert "Only to those who chose one of these topics: Water &amp; wells" in author.text
    assert "3 readers" in author.text
    author.post(f"{here}/lock")
    phone = trustee[1]
    assert "Only to those who chose one of these topics: Water &amp; wells" in phone.open(f"{here}/approve").text
    assert ticked(author.open(f"{here}/edit").text) == ["water"]
    author.post(f"{here}/edit", **WORDS, part="chosen", segment="early", **{"topic-water": "1"})
    author.post(f"{here}/lock")
    page = phone.open(f"{here}/approve").text
    assert "Only to those in the segment “early”" in page
    assert "topic: water\nnot language: fa" in page
    assert "segment: early" in page, "the difference to the lock before"
    page = author.open(f"{here}/edit").text
    assert (ticked(page), selected(page)) == (["water"], ["early"])
    author.post(f"{here}/edit", **WORDS, part="chosen", segment="")
    assert "Only to those who" not in author.open(here).text
    assert "4 readers" in author.text


def test_a_form_that_does_not_ask_changes_nothing(author, desk, readers, worker):
    """A page that was open since before there were topics must not widen an alert to everybody."""
    readers(4)
    chosen(worker, 1)
    number = written(author, part="chosen", segment="", **{"topic-water": "1"})
    here = f"/console/alerts/{number}"
    author.open(f"{here}/edit").post(f"{here}/edit", **WORDS)
    assert "Only to those who chose" in author.open(here).text
    author.open(f"{here}/edit").post(f"{here}/edit", **(WORDS | {"subject-en": ""}), part="chosen", segment="")
    assert author.problem
    assert ticked(author.text) == [], "what was chosen is kept where something else is wrong"


def test_a_form_of_before_widens_no_part(author, browse, crew, now, desk, readers, worker):
    """Two write at once: whoever sends the older form would send to all what the other has limited."""
    readers(4)
    chosen(worker, 1)
    number = written(author)
    here, other = f"/console/alerts/{number}", inside(browse, crew, now, Role.SENDER)[1]
    other.open(f"{here}/edit")
    author.open(f"{here}/edit").post(f"{here}/edit", **WORDS, part="chosen", segment="", **{"topic-water": "1"})
    other.post(f"{here}/edit", **WORDS, part="chosen", segment="")
    assert "while you were reading" in other.problem
    assert ticked(author.open(f"{here}/edit").text) == ["water"]


def test_what_is_not_there_is_refused_in_a_sentence(author, desk, readers, worker):
    """A field that somebody made up, or a topic that went meanwhile: the words stay, and no command is named."""
    readers(4)
    chosen(worker, 1)
    author.open("/console/alerts/new")
    author.post("/console/alerts", **WORDS, part="chosen", segment="none")
    assert "no segment “none” any more" in author.problem
    assert "Fourteen lorries" in author.text
    author.post("/console/alerts", **WORDS, part="chosen", segment="", **{"topic-air": "1"})
    assert "no topic “air” any more" in author.problem


def test_an_update_is_for_the_readers_of_what_it_follows(author, trustee, desk, readers, worker):
    """“Write an update” at night, to those at the river: the form must not be one to everybody without a word."""
    readers(2)
    chosen(worker, 1)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'")
    number = written(author, part="chosen", segment="", readers="chosen", **{"topic-water": "1", "only-en": "1"})
    alert.lock(worker.parts, number)
    alert.release(worker.parts, number)
    worker.deliver("urgent")
    for place in (f"updates={number}", f"like={number}"):
        page = author.open(f"/console/alerts/new?{place}").text
        assert ticked(page) == ["water"]
        assert re.findall(r'name="only-(\w+)" value="1" checked', page) == ["en"]
    as_it_is = {"part": "chosen", "segment": "", "readers": "chosen", "only-en": "1", "updates": str(number)}
    author.open(f"/console/alerts/new?updates={number}")
    written(author, **as_it_is, **{"topic-water": "1"})
    assert "more readers than alert" not in author.text
    wider = written(author, **as_it_is)
    assert f"more readers than alert {number}" in author.text
    author.post(f"/console/alerts/{wider}/lock")
    assert f"more readers than alert {number}" in trustee[1].open(f"/console/alerts/{wider}/approve").text
