"""What anyone may read of an alert, against somebody who has a worker's password: the words that were locked, or nothing."""

import hashlib
import json

import pytest
from sqlalchemy import text

from newsletter.journeys import alert, desk, previews, publicity
from newsletter.ledger import locks
from tests import house
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import books, by_code, locked
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import attacker, sending

FALSE = "# No lorries at Sarand\n\nNothing stands at the second gate.\n"
REWRITE = "UPDATE mailing SET content = jsonb_set(content, '{words,0}', to_jsonb(%s::text)) WHERE id = %s"
ADD = "INSERT INTO lock (mailing_id, number, fingerprint, manifest) VALUES (%s, 2, %s, %s)"
ELSEWHERE = (
    "UPDATE mailing SET content = jsonb_set(content, '{page}', '\"https://elsewhere.example/alerts/1\"') WHERE id = %s"
)


def as_worker(database_urls, statement, *values):
    with attacker(database_urls.worker) as worker:
        worker.execute(statement, values)


def articles(made):
    with made.parts.database.transaction() as session:
        return session.execute(text("SELECT title, excerpt, url FROM article WHERE kind = 'alert'")).all()


def shown(pages, number):
    """Whatever of it is public: page, message of CAP, and the mail in the archive."""
    page, cap = publicity.page(pages.parts, number), publicity.bulletin(pages.parts, number)
    mail = previews.shown(pages.parts, house.DIGEST, number, 1)
    return [page and str(page.body), cap and cap.decode(), mail and mail.html]


def test_words_written_over_after_the_release_are_shown_nowhere(
    made, pages, tmp_path, words, author, approver, sink, database_urls
):
    """Page, message of CAP and mail say what was approved, and that goes."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    as_worker(database_urls, REWRITE, FALSE, number)
    for said in shown(pages, number):
        assert "Fourteen lorries" in said
        assert "Nothing stands" not in said
    made.deliver("urgent")
    assert len(sink.messages) == 4
    assert all(b"Fourteen lorries" in message.content for message in sink.messages)


def test_words_written_over_before_the_approval_become_no_article(
    made, pages, tmp_path, words, author, approver, database_urls
):
    """Between lock and approval the approver reads the lock; what digests and the archive tell later is that, at its own page."""
    number = locked(made, tmp_path, words, author, 4)
    as_worker(database_urls, REWRITE, FALSE, number)
    as_worker(database_urls, ELSEWHERE, number)
    sending(made, number, author, approver)
    [(title, excerpt, url)] = articles(made)
    assert (title, url) == ("Lorries at Sarand", "")
    assert "Fourteen lorries" in excerpt
    assert all("Fourteen lorries" in said for said in shown(pages, number))


def test_an_article_leads_to_the_alert_s_own_page(made, tmp_path, words, author, approver):
    """The address that was locked with it."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    assert articles(made)[0].url.endswith(f"/alerts/{number}/en")


@pytest.mark.parametrize("lie", ["another lock", "another fingerprint", "a lock that is none"])
def test_of_what_went_otherwise_than_it_is_stored_nothing_is_shown(
    made, pages, tmp_path, words, author, approver, sink, database_urls, lie
):
    """A worker's role may add a lock, and point an alert to it; one added after the alert went is no part of it."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    with made.parts.database.transaction() as session:
        manifest = json.loads(session.execute(text("SELECT manifest FROM lock")).scalar_one())
    manifest["versions"][0]["words"], manifest["number"] = FALSE, 2
    false = json.dumps({"mailing": number, "number": 2} if lie == "a lock that is none" else manifest)
    mine = hashlib.sha256(false.encode()).digest()
    if lie != "another fingerprint":
        as_worker(database_urls, ADD, number, mine, false)
    as_worker(database_urls, "UPDATE mailing SET fingerprint = %s WHERE id = %s", mine, number)
    assert shown(pages, number) == [None, None, None]
    made.deliver("urgent")
    assert [message for message in sink.messages if b"lorries" in message.content] == []
    assert books(made, number).state == "paused"


def test_a_lock_that_nobody_can_read_hides_none_before_it(made, tmp_path, words, author, database_urls):
    """Brackets in brackets left an approver without page and without the difference."""
    number, nest = locked(made, tmp_path, words, author, 4), "[" * 2_000 + "]" * 2_000
    deep = f'{{"mailing":{number},"number":2,"count":{nest}}}'
    as_worker(database_urls, ADD, number, hashlib.sha256(deep.encode()).digest(), deep)
    with made.parts.database.transaction() as session:
        found = locks.before(session, number, 3, read=[])
        assert (found.manifest.number, found.between) == (1, 0)
        assert locks.most(session, number, [1, 2]) == 4


def test_the_archive_shows_no_bytes_that_were_not_locked(made, pages, tmp_path, words, author, approver, database_urls):
    """What a reader opens in the browser is a public page as well."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    alert.release(made.parts, number, by=author.id)
    edit = "UPDATE block SET data = convert_to(replace(convert_from(data, 'UTF8'), 'Fourteen', 'No'), 'UTF8')"
    as_worker(database_urls, edit)
    page, cap, mail = shown(pages, number)
    assert "Fourteen" in page
    assert "Fourteen" in cap
    assert mail is None


def test_an_approver_reads_every_language_that_they_sign(made, tmp_path, words, author, database_urls):
    """Whoever takes a text away beside the lock hides nothing of what is in it."""
    (tmp_path / "fa.md").write_text("---\nsubject: کامیون\nlanguage: fa\n---\nچهارده کامیون.\n")
    number = locked(made, tmp_path, [*words, str(tmp_path / "fa.md")], author, 4)
    as_worker(database_urls, "UPDATE mailing SET content = content #- '{words,1}' WHERE id = %s", number)
    assert [one.language for one in desk.shown(made.parts, number).texts] == ["en", "fa"]
