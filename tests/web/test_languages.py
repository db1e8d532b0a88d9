"""Languages of an alert that come later, added on a phone and stopped with it."""

import html
import re

from sqlalchemy import text

from newsletter.journeys import drafting
from newsletter.journeys.drafting import Wish
from newsletter.operators.roles import Role
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.test_alerts import written
from tests.web.visiting import inside


def test_a_language_is_added_on_a_phone(author, desk, readers, worker, sink):
    """English goes, Persian waits; its author adds it by three buttons, with the counts before their eyes."""
    readers(2)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa' WHERE id = 2")
    number = written(author, **{"later-fa": "1"})
    here = f"/console/alerts/{number}"
    assert "Persian: 1 waits" in author.text
    assert "nothing in" not in author.text
    assert "Add a language" not in author.text
    assert re.search(r'name="later-fa"[^>]* checked', author.open(f"{here}/edit").text)
    author.open(here)
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    worker.deliver("urgent")
    assert len(sink.messages) == 1
    assert "Add a language" in author.open(here).text
    assert "Left to wait for a later language (Persian): 1" in author.text
    page = author.open(f"/console/alerts/new?translates={number}").text
    assert "Persian: 1 waits for it, 0 had another language" in page
    assert 'name="subject-en"' not in page
    fields = {"digest": "weekly", "translates": str(number), "for": "also-had"}
    author.post("/console/alerts", **fields, **{"subject-fa": "کامیون‌ها", "text-fa": "چهارده کامیون."})
    late = int(re.fullmatch(r"/console/alerts/(\d+)", author.path)[1])
    assert f"A language of alert no. {number}" in author.text
    assert "1 reader" in author.text
    assert "ترجمهٔ پیام ما" in author.open(f"/console/alerts/{late}/preview/2").text
    page = author.open(f"/console/alerts/{late}/edit").text
    assert ('name="subject-fa"' in page, 'name="subject-en"' in page, 'name="later-fa"' in page) == (True, False, False)
    author.open(f"/console/alerts/{late}")
    author.post(f"/console/alerts/{late}/lock")
    author.post(f"/console/alerts/{late}/release")
    assert "Stop its later languages" in author.open(here).text
    worker.deliver("urgent")
    assert len(sink.messages) == 2
    page = author.open(here).text
    assert f"A language that came later: alert no. {late}" in page
    assert "Stop its later languages" not in page
    assert "Add a language" not in page


def test_one_button_stops_the_later_languages_of_an_alert_that_has_gone(author, desk, readers, worker):
    """Whoever sees on the alert's own page that it is wrong need not look for its translations."""
    readers(2)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa'")
    number = written(author, **{"later-fa": "1"})
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    fields = {
        "digest": "weekly",
        "translates": str(number),
        "for": "waiting",
        "subject-fa": "کامیون",
        "text-fa": "کامیون.",
    }
    author.post("/console/alerts", **fields)
    late = author.path
    author.open(here)
    author.post(f"{here}/stop")
    assert author.problem == ""
    assert "Given up" in author.open(late).text


def test_one_button_pauses_the_later_languages_and_one_lets_them_go_on(
    author, browse, crew, now, desk, readers, worker, sink
):
    """The alert has gone in English; its Persian is halted and let go from the page that everybody knows."""
    readers(2)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'", "UPDATE subscriber SET language = 'fa' WHERE id = 2")
    number = written(author, **{"later-fa": "1"})
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    author.post(f"{here}/release")
    worker.deliver("urgent")
    fields = {"digest": "weekly", "translates": str(number), "for": "waiting"}
    author.post("/console/alerts", **fields, **{"subject-fa": "کامیون", "text-fa": "کامیون."})
    late = author.path
    author.post(f"{late}/lock")
    author.post(f"{late}/release")
    _, auditor = inside(browse, crew, now, Role.AUDITOR)
    assert f'action="{here}/pause"' in auditor.open(here).text
    assert auditor.page.headers["refresh"] == "3", "the language goes, and the page follows it"
    auditor.post(f"{here}/pause")
    assert auditor.problem == ""
    assert "refresh" not in auditor.page.headers
    assert f'action="{here}/pause"' not in auditor.text
    assert f'action="{here}/resume"' not in auditor.text, "whoever may not send lets nothing go"
    assert "It was paused together with the alert" in author.open(late).text
    assert "It halted by itself" not in author.text
    worker.deliver("urgent")
    assert len(sink.messages) == 1
    author.open(here)
    author.post(f"{here}/resume")
    worker.deliver("urgent")
    assert len(sink.messages) == 2
    assert "It was paused" not in author.open(late).text


def test_a_language_is_refused_where_the_alert_takes_none(author, desk, readers, worker):
    """The page says why, and keeps what was written."""
    readers(2)
    speak(worker, "UPDATE digest SET languages = '{en,fa}'")
    number = written(author)
    fields = {
        "digest": "weekly",
        "translates": str(number),
        "for": "waiting",
        "subject-fa": "کامیون",
        "text-fa": "کامیون.",
    }
    author.post("/console/alerts", **fields)
    assert "no language is added to it" in html.unescape(author.problem)


def speak(made, *statements):
    with made.parts.database.transaction() as session:
        for one in statements:
            session.execute(text(one))


def test_a_version_in_a_language_the_digest_does_not_list_survives_an_edit_on_a_phone(author, desk, readers, worker):
    """Drafted at a desk in two languages, mended at night on a phone: the Arabic must not vanish with the typo."""
    readers(2)
    words = [
        "---\nsubject: Lorries\nlanguage: en\n---\nFourten.\n",
        "---\nsubject: شاحنات\nlanguage: ar\n---\nأربع عشرة.\n",
    ]
    number = drafting.draft_words(worker.parts, Wish(tuple(words), "weekly"), by=None)
    page = author.open(f"/console/alerts/{number}/edit").text
    assert re.search(r'name="subject-ar" value="شاحنات"|name="subject-ar"[^>]*value="شاحنات"', page)
    both = {"subject-en": "Lorries", "text-en": "Fourteen.", "subject-ar": "شاحنات", "text-ar": "أربع عشرة."}
    author.post(f"/console/alerts/{number}/edit", digest="weekly", **both)
    assert "Fourteen." in author.open(f"/console/alerts/{number}/preview/1").text
    assert "أربع عشرة." in author.open(f"/console/alerts/{number}/preview/2").text
