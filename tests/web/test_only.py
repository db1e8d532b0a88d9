"""Whom an alert is for, ticked on a phone, and shown to whoever gives their word for it."""

import re

from newsletter.operators.roles import Role
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


def ticked(page):
    return re.findall(r'name="only-(\w+)" value="1" checked', page)


def test_an_alert_is_limited_by_ticks(author, trustee, desk, readers, worker):
    """All are ticked at first; who takes a tick away sees for whom it is then, and so does whoever approves."""
    readers(4)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa' WHERE id < 4")
    assert ticked(author.open("/console/alerts/new").text) == ["en", "fa"]
    number = written(author, readers="chosen", **{"only-fa": "1"})
    assert "Only to those who read: Persian." in author.text
    assert "3 readers" in author.text
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    assert "Only to those who read: Persian." in trustee[1].open(f"{here}/approve").text
    assert ticked(author.open(f"{here}/edit").text) == ["fa"]
    author.post(
        f"{here}/edit", readers="chosen", **{"digest": "weekly", "subject-en": "Lorries", "text-en": "Fourteen."}
    )
    assert "Tick at least one language" in author.problem
    ticks = {"only-fa": "1", "only-en": "1"}
    author.open(f"{here}/edit")
    author.post(f"{here}/edit", readers="chosen", digest="weekly", **{"subject-en": "L", "text-en": "F."}, **ticks)
    assert "Only to those who read" not in author.open(here).text
    assert "4 readers" in author.text


def test_a_form_of_before_widens_nothing(author, browse, crew, now, desk, readers, worker):
    """Two write at once: whoever sends the older form would send to all what the other has limited, without a word."""
    readers(4)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa' WHERE id < 4")
    number = written(author, readers="chosen", **{"only-en": "1", "only-fa": "1"})
    here, other = f"/console/alerts/{number}", inside(browse, crew, now, Role.SENDER)[1]
    other.open(f"{here}/edit")
    author.open(f"{here}/edit").post(f"{here}/edit", readers="chosen", **WORDS, **{"only-fa": "1"})
    assert ticked(author.open(f"{here}/edit").text) == ["fa"]
    other.post(f"{here}/edit", readers="chosen", **WORDS, **{"only-en": "1", "only-fa": "1"})
    assert "while you were reading" in other.problem
    assert ticked(author.open(f"{here}/edit").text) == ["fa"]
    # Nor is it locked by whoever has not seen for whom it is.
    stale = author.open(here)
    other.open(f"{here}/edit").post(f"{here}/edit", readers="chosen", **WORDS, **{"only-en": "1", "only-fa": "1"})
    stale.post(f"{here}/lock")
    assert stale.problem
    assert "Draft" in stale.text
