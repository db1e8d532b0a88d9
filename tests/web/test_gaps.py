"""A frame's gaps on a phone: a field for each, and what is open, or breaks the frame, is said as the text is saved."""

import html
import re

from newsletter.journeys import alert, drafting
from tests import house
from tests.journeys import nights
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.visiting import rows

SAID = {
    "who": "2,900 people",
    "place": "Sarand",
    "what has happened, in one sentence": "Fourteen lorries stand at the second gate.",
    "how many": "2,900",
    "who told us": "the camp council",
    "what time": "02:10",
}


def gaps(browser, language="en"):
    """Return what the fields of a form are labelled with, by their names, and what stands in them."""
    labels = dict(re.findall(rf'<label for="(says-{language}-\d+)"[^>]*>([^<]*)</label>', browser.text))
    values = dict(re.findall(rf'<input id="(says-{language}-\d+)"[^>]*value="([^"]*)"', browser.text))
    return {html.unescape(label): (name, html.unescape(values[name])) for name, label in labels.items()}


def fields(browser, said, language="en"):
    """Return what the form of a page sends, where its gaps are filled."""
    hidden = dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', browser.text))
    typed = dict(re.findall(rf'name="((?:subject|headline)-{language})"[^>]*value="([^"]*)"', browser.text))
    text = re.search(rf'<textarea id="text-{language}"[^>]*>(.*?)</textarea>', browser.text, re.DOTALL)[1]
    sent = {name: html.unescape(value) for name, value in (hidden | typed | {f"text-{language}": text}).items()}
    sent.pop("form")
    return sent | {name: said.get(label, value) for label, (name, value) in gaps(browser, language).items()}


def filled(author, said, **more):
    """Begin with a frame, fill its gaps and save it."""
    author.open("/console/alerts/new?frame=raid")
    return author.post("/console/alerts", **(fields(author, said) | more))


def words_of(worker):
    [(words,)] = rows(worker, "SELECT content -> 'words' ->> 0 FROM mailing WHERE kind = 'alert'")
    return words


def test_each_gap_is_a_field_and_a_word_is_typed_once(author, desk, readers, worker):
    """Braces in a text are nothing for a thumb at night; and the place stands in it three times."""
    readers(1)
    author.open("/console/alerts/new?frame=raid")
    assert list(gaps(author)) == list(SAID)
    filled(author, SAID)
    assert author.problem == ""
    assert re.fullmatch(r"/console/alerts/\d+", author.path)
    words = words_of(worker)
    assert "subject: 2,900 people are in danger at Sarand\n" in words
    assert "2,900 people are at Sarand. This is known from the camp council, at 02:10." in words
    author.post(f"{author.path}/lock")
    assert author.problem == ""
    [(frame,)] = rows(worker, "SELECT manifest::jsonb -> 'versions' -> 0 ->> 'frame' FROM lock")
    assert frame.startswith("raid@")


def test_what_is_open_is_said_as_it_is_saved_with_its_place(author, desk, readers, worker):
    """It was said at the lock, minutes later, or by another who could not know what was to stand there."""
    readers(1)
    filled(author, SAID | {"how many": "", "what time": "  "})
    assert author.page.status_code == 422
    assert "“raid”: how many, what time" in author.problem
    assert "“[how many] people are at Sarand. This is known from the camp council" in author.problem
    assert list(gaps(author)) == ["how many", "what time"], "the others are filled, and stand in the text"
    assert rows(worker, "SELECT count(*) FROM mailing") == [(0,)]
    author.post("/console/alerts", **fields(author, SAID))
    assert author.problem == ""
    assert "2,900 people are at Sarand." in words_of(worker)


def test_a_gap_that_says_too_much_is_named_and_kept(author, desk, readers, worker):
    """A link in a gap breaks the frame: whoever typed it learns which field it is, and finds it as it was."""
    readers(1)
    filled(author, SAID | {"who told us": "www.council.example"})
    assert "the gap “who told us” takes up to 300 characters" in author.problem
    assert gaps(author)["who told us"][1] == "www.council.example"
    assert len(gaps(author)) == 1


def test_words_that_leave_the_frame_are_said_as_they_are_saved(author, desk, readers, worker):
    """Somebody improved a fixed sentence; at the lock it is too late to ask them. Without the frame they may."""
    readers(1)
    author.open("/console/alerts/new?frame=raid")
    better = {"text-en": fields(author, SAID)["text-en"].replace("no rumour", "no rumours")}
    filled(author, SAID, **better)
    assert "does not keep to it" in author.problem
    assert "“Without the frame”" in author.problem
    assert rows(worker, "SELECT count(*) FROM mailing") == [(0,)]
    author.post("/console/alerts", **(fields(author, {}) | {"free-en": "1"}))
    assert author.problem == ""
    assert "frame:" not in words_of(worker)
    assert "no rumours" in words_of(worker)


def test_the_lock_refuses_what_came_by_another_door(author, desk, readers, worker, tmp_path):
    """A file from the command line is not asked as it is drafted."""
    readers(1)
    text = re.sub(r"\{\{.*?\}\}", "Sarand", worker.parts.house.frames("frames/raid.md"))
    path = nights.write(tmp_path, text.replace("no rumour", "send money"))
    number = drafting.draft(worker.parts, path, digest_key=house.DIGEST)
    author.open(f"/console/alerts/{number}").post(f"/console/alerts/{number}/lock")
    assert "does not keep to it" in author.problem
    assert alert.standing(worker.parts, number).locked is None
