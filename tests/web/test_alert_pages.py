"""What an alert's page leads to and shows beside the buttons: its update, what would take it back, and what was looked at."""

import html
import json
import re
from datetime import timedelta

from sqlalchemy import text

from newsletter.campaigns import cap
from newsletter.campaigns.cap import Kind
from newsletter.composer.styles import Style
from newsletter.issues import digests
from newsletter.journeys import bulletins, styling
from newsletter.journeys import desk as desk_
from newsletter.journeys.heeding import Heeding
from newsletter.subscribers.styles import Wish
from newsletter.subscribers.subscriptions import Rhythm
from tests.campaigns.samples import INFO, named, said, xml
from tests.fakes import desk as at_desk
from tests.fakes.alerts import Alerts
from tests.web.test_alerts import WORDS, written
from tests.web.test_alerts import author as author
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import trustee as trustee
from tests.web.test_alerts import worker as worker
from tests.web.visiting import rows


def sent(author, readers):
    """Write an alert, send it, and return its number."""
    readers(2)
    number = written(author)
    author.post(f"/console/alerts/{number}/lock")
    author.post(f"/console/alerts/{number}/release")
    assert author.problem == ""
    return number


def test_an_update_is_written_on_the_phone(author, desk, readers, worker):
    """Better news at four in the morning goes under the mail that its readers had, without a shell."""
    number = sent(author, readers)
    author.open(f"/console/alerts/{number}")
    [place] = re.findall(r'href="(/console/alerts/new\?updates=\d+)"', author.text)
    author.open(place)
    assert f"It follows alert {number}" in author.text
    assert f"updates={number}&amp;frame=raid" in author.text
    author.post("/console/alerts", digest="weekly", updates=str(number), **{"text-en": "All are safe."})
    assert author.problem
    assert f'name="updates" value="{number}"' in author.text, "what it follows is not lost over a missing subject"
    newer = written(author, updates=str(number), **{"subject-en": "All are safe"})
    assert rows(worker, "SELECT updates FROM mailing WHERE kind = 'alert' ORDER BY id") == [(None,), (number,)]
    author.post(f"/console/alerts/{newer}/lock")
    author.post(f"/console/alerts/{newer}/release")
    assert author.problem == ""
    author.open(f"/console/alerts/new?updates={number}")
    author.post("/console/alerts", digest="weekly", updates=str(number), **{"subject-en": "x", "text-en": "y"})
    assert f"followed by alert {newer}" in author.problem


def test_what_would_take_it_back_is_read_before_it_goes(awaited):
    """One person may send it at four in the morning: whoever approves the alert approves it as well."""
    author, (_, phone), number = awaited
    phone.open(f"/console/alerts/{number}/approve")
    for shown in (author.open(f"/console/alerts/{number}?words=1").text, phone.text):
        [back] = re.findall(r"<details><summary>What would take it back</summary>(.*?)</details>", shown, re.DOTALL)
        assert "Please disregard: Lorries at Sarand" in back
        assert "Our alert “Lorries at Sarand” was wrong" in back


def test_what_was_not_looked_at_is_not_called_fine(author, desk, readers, worker):
    """“No name is spelled twice” under a Persian text nobody looked through, and twenty links of thirty, are false comfort."""
    with worker.parts.database.transaction() as session:
        digests.add(session, "hafte", name="Hafte", languages=("en", "fa"), rhythm=Rhythm.WEEKLY)
    links = "".join(f"\n- [{one}](https://127.0.0.1:9/{one})" for one in range(23))
    persian = {"subject-fa": "کامیون‌ها", "text-fa": "چهارده کامیون کنار دروازه است."}
    number = written(author, digest="hafte", **{"text-en": "Lorries." + links}, **persian)
    desk_.try_links(worker.parts, number)
    shown = author.open(f"/console/alerts/{number}").text
    assert "20 of 24 were tried." in shown
    assert "No name in Latin letters seems to be written in two ways." in shown
    assert "Not looked at in Persian: its letters have no capitals." in shown


def test_a_cancel_of_what_nobody_knows_stands_above_the_alerts(author, worker):
    """An authority takes back what we wrote under another name: held and seen by nobody, our alert would stand."""
    assert "Held" not in author.open("/console/alerts").text
    told = xml(identifier="U", msgType="Update", references="warnings.example,A,2026-06-01T02:00:00-00:00")
    for message in (told, cap.write(said("C", 4, Kind.CANCEL, named("A", 0)))):
        bulletins.take(worker.parts, message, act=Alerts())
    shown = author.open("/console/alerts").text
    [held] = re.findall(r'<section class="problem".*?</section>', shown, re.DOTALL)
    cancel, update = bulletins.held_words(worker.parts)
    assert (update.subject, cancel.subject) == ("Attack on a camp", "")
    for words in ("An update", update.subject, update.bulletin.name.sender, "A cancel", "whoever runs the machine"):
        assert words in held
    assert "newsletter alerts" not in held
    assert all(one.bulletin.name.sent.strftime("%d %B, %H:%M") in held for one in (cancel, update))


def test_a_slow_link_is_told_as_a_link(author, desk, readers, worker):
    """“Nothing was imported; try again later”, it said of a page that readers are to open."""
    readers(2)
    number = written(author)
    at_desk.rest(worker)  # else it writes what it finds over what is told here
    found = [["https://slow.example/", ["fetch.too-slow", {"host": "slow.example", "seconds": "6"}]]]
    with worker.parts.database.transaction() as session:
        statement = "UPDATE mailing SET content = jsonb_set(content::jsonb, '{links}', :links) WHERE id = :id"
        session.execute(text(statement), {"links": json.dumps(found), "id": number})
    for language, sentence in (
        ("en", "slow.example did not answer within 6 seconds. Open it yourself"),
        ("fa", "slow.example تا ۶ ثانیه پاسخ نداد"),
        ("ar", "لم يُجب slow.example خلال ٦ ثوانٍ"),
    ):
        with worker.parts.database.transaction() as session:
            session.execute(text("UPDATE operator SET language = :language"), {"language": language})
        shown = html.unescape(author.open(f"/console/alerts/{number}").text)
        assert sentence in shown.translate(str.maketrans("", "", "\u2066\u2067\u2068\u2069")), language
        assert "imported" not in shown, language


def test_what_more_is_held_is_said_and_shown(author, worker):
    """An authority's system runs wild: the sixth that waits must not be taken for none."""
    for place in range(7):
        wrong = xml(
            identifier=f"U{place}", msgType="Update", references=f"warnings.example,A{place},2026-06-01T02:00:00-00:00"
        )
        bulletins.take(worker.parts, wrong, act=Alerts())
    page = author.open("/console/alerts").text
    assert page.count("An update") == bulletins.MOST_HELD == 5
    assert "2 more are not shown here." in page
    page = author.open("/console/alerts?all=1").text
    assert page.count("An update") == 7
    assert "not shown here" not in page
    assert len(bulletins.held(worker.parts)) == 7


def test_a_message_that_is_over_is_said_in_red(author, desk, readers, worker, now):
    """A warning of yesterday, taken in by mistake at night, looks like any other draft."""
    readers(2)
    told = INFO.replace("</certainty>", "</certainty><expires>{}</expires>")
    moments = (now - timedelta(hours=1), now + timedelta(hours=1))
    numbers = [
        bulletins.take(
            worker.parts,
            xml(identifier=f"E{place}", info=told.format(f"{at:%Y-%m-%dT%H:%M:%S}-00:00")),
            act=Heeding(worker.parts, "weekly"),
        ).mailing
        for place, at in enumerate(moments)
    ]
    page = author.open(f"/console/alerts/{numbers[0]}")
    assert "held until" in page.problem
    assert page.text.count("and that is over: it cannot be locked") == 2
    author.post(f"/console/alerts/{numbers[0]}/lock")
    assert "that is over" in author.problem
    page = author.open(f"/console/alerts/{numbers[1]}")
    assert page.problem == ""
    assert "No lock of this alert goes further" in page.text


def test_an_approver_reads_all_that_changed_since_the_first_lock(awaited):
    """Two locks in a row: the first changes a figure and where the button leads, the second a full stop."""
    author, (_, phone), number = awaited
    here = f"/console/alerts/{number}"
    assert "Since lock" not in phone.open(f"{here}/approve").text
    for words in ("Forty lorries stand at the gate.", "Forty lorries stand at the gate!"):
        author.open(f"{here}/edit")
        author.post(f"{here}/edit", **(WORDS | {"text-en": words, "url-en-0": "https://elsewhere.example/act"}))
        author.post(f"{here}/lock")
    page = phone.open(f"{here}/approve").text
    assert "Since lock 1, the first" in page
    assert "1 lock lies between." in page
    difference = "".join(re.findall(r'<pre class="difference">(.*?)</pre>', page, re.DOTALL))
    for part in ("-Fourteen", "+Forty lorries stand at the gate!", "+https://elsewhere.example/act"):
        assert part in html.unescape(difference)


def test_a_cancel_is_not_hidden_by_others_that_are_done_with(author, desk, readers, worker):
    """Twenty alerts that were taken back came since: the one that readers still have stood behind them, unseen."""
    number = sent(author, readers)
    with worker.parts.database.transaction() as session:
        for place in range(25):
            facts = {"id": number, "name": f"C{place}", "old": place < 3}
            session.execute(
                text("""
                WITH another AS (
                    INSERT INTO mailing (kind, lane, state, subject, content, digest_id, fingerprint)
                    SELECT kind, lane, CASE WHEN :old THEN 'done' ELSE 'cancelled' END, 'Another', content, digest_id, fingerprint
                    FROM mailing WHERE id = :id RETURNING id)
                INSERT INTO cap_message (identifier, sender, sent_at, kind, status, document, state, mailing_id)
                SELECT :name, 'warnings.example', now(), 'Cancel', 'Actual', '', 'applied', id FROM another
                """),
                facts,
            )
    assert len(bulletins.cancelled(worker.parts)) == 3
    page = author.open("/console/alerts").text
    assert "Cancelled by their issuer, and still with readers" in page
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE cap_message SET mailing_id = :id"), {"id": number})
    page = author.open("/console/alerts").text
    assert page.count(f'class="row" href="/console/alerts/{number}"') >= bulletins.MOST_CANCELLED
    assert "5 more are not shown here." in page
    assert "not shown here" not in author.open("/console/alerts?all=1").text


def test_what_readers_at_risk_get_is_one_press_away(author, trustee, desk, readers, worker):
    """Their version is locked with the others: whoever gives their word must be able to see what it shows of us."""
    readers(4)
    with worker.parts.database.transaction() as session:
        styling.apply(session, 1, Wish(Style.parse("dt")))
    number = written(author)
    here = f"/console/alerts/{number}"
    author.post(f"{here}/lock")
    for browser, page in ((author, f"{here}?words=1"), (trustee[1], f"{here}/approve")):
        shown = browser.open(page).text
        assert "As readers at risk get it" in shown
        [place] = re.findall(
            r'href="([^"]+/preview/\d+)">See version \d+ as a mail: neutral sender and subject · plain text<', shown
        )
        mail = browser.open(place)
        assert "Fourteen" in mail.text
        assert "<html" not in mail.text
