"""The proof of a permission is true: the words that stood before somebody, and where; and plainly when nobody knows of any."""

import email
import email.policy
import html
import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import consenting, joining, privacy
from newsletter.subscribers import agreements, consent, forms
from newsletter.subscribers.agreements import Agreement, Shown
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house

ANN = "ann@example.org"
WEEKLY = {"email": ANN, "digest": "weekly"}


@pytest.fixture
def browser(newsletter, tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client
    made.close()


@pytest.fixture
def confirm(newsletter, browser):
    """Go the way of the mail's link: look at the page, and press its button with what stands hidden beside it."""

    def press() -> str:
        joining.work(newsletter.parts)
        with newsletter.parts.database.transaction() as session:
            number = session.execute(text("SELECT max(id) FROM signup")).scalar_one()
        path = f"/c/{house.yes_link(newsletter, number)}"
        shown = browser.get(path).text
        assert browser.post(path, data=hidden(shown)).status_code == 200
        joining.work(newsletter.parts)
        return html.unescape(shown)

    return press


def hidden(page: str) -> dict[str, str]:
    """Return what a form gives back that nobody sees."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def read(newsletter, page: str) -> dict[str, str]:
    """Return what our form gives back when somebody has read it for a while: in less than two seconds nobody does."""
    with newsletter.parts.database.transaction() as session:
        [now] = session.execute(text("SELECT now()")).scalars()
        return hidden(page) | {"stamp": forms.stamp(session.vault, now=now - timedelta(seconds=20))}


def given(newsletter, address: str = ANN) -> list[dict]:
    """Return what a regulator is told of the permissions of somebody."""
    found = privacy.report(newsletter.parts, reference=None, address=EmailAddress.parse(address), by=None)
    return [one for one in found.entries if one["what"] == "permission given"]


def words(newsletter, language: str = "en") -> str:
    return consenting.wording(newsletter.parts, language)


def test_the_words_of_our_own_form_and_of_our_page_of_confirmation_are_the_proof(newsletter, browser, confirm) -> None:
    """Both are ours: what stood there is known to the letter, in the language in which it stood."""
    form = browser.get("/join?language=fa").text
    assert words(newsletter, "fa") in html.unescape(form)
    browser.post("/join", data=WEEKLY | read(newsletter, form))
    assert words(newsletter) in confirm()
    [told] = given(newsletter)
    assert (told["wording"], told["wording_shown"]) == (words(newsletter), "on our page of confirmation")
    assert told["wording_version"] == consent.version_of(words(newsletter))
    assert (told["wording_before"], told["wording_before_shown"]) == (words(newsletter, "fa"), "on our form")


def test_words_that_stood_in_both_places_are_told_once(newsletter, browser, confirm) -> None:
    """The usual case reads as one sentence."""
    browser.post("/join", data=WEEKLY | read(newsletter, browser.get("/join").text))
    confirm()
    [told] = given(newsletter)
    assert told["wording_shown"] == "on our page of confirmation and on our form"
    assert "wording_before" not in told


def test_the_page_of_the_figures_shows_the_words_too(newsletter, browser) -> None:
    """Who types the figures has seen no page of the mail's link."""
    look = browser.post("/join", data=WEEKLY).text
    assert words(newsletter) in html.unescape(look)
    joining.work(newsletter.parts)
    code = house.question(newsletter, 1).code
    with house.judging(newsletter):
        assert browser.post("/join/code", data=hidden(look) | {"code": code}).status_code == 200
    joining.work(newsletter.parts)
    [told] = given(newsletter)
    assert (told["wording_shown"], told["confirmed_by"]) == (Shown.CONFIRMING, "code")


@pytest.mark.parametrize("sent", [{}, {"wording_version": "0123456789ab"}])
def test_where_no_words_are_known_to_have_been_shown_the_proof_says_so(newsletter, browser, sent) -> None:
    """A program's form showed we know not what, and a mail of before held no words: today's must not stand there as theirs."""
    assert browser.post("/api/v1/signups", json={"email": ANN, "digests": ["weekly"]} | sent).status_code == 202
    joining.work(newsletter.parts)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE signup SET answered_wording = NULL"))
    assert joining.confirm_by_reply(newsletter.parts, 1)
    joining.work(newsletter.parts)
    [told] = given(newsletter)
    assert told["wording_shown"] == Shown.NOWHERE
    assert "wording" not in told
    assert told.get("wording_unknown") == sent.get("wording_version")


def test_the_page_of_confirmation_mends_what_a_program_did_not_show(newsletter, browser, confirm) -> None:
    """Whoever presses our button has our words before them, whatever the form was."""
    browser.post("/api/v1/signups", json={"email": ANN, "digests": ["weekly"]})
    confirm()
    [told] = given(newsletter)
    assert (told["wording"], told["wording_shown"]) == (words(newsletter), "on our page of confirmation")


def test_a_form_elsewhere_names_the_version_that_it_shows(newsletter, tmp_path, database_urls, sink) -> None:
    """A form stands on somebody's page for years: what it shows is the proof, not what we would print today."""
    snippet = joining.embedded(newsletter.parts, ["weekly"], language="ar", name="camp")
    then = words(newsletter, "ar")
    assert then in html.unescape(snippet)
    made = house.build(tmp_path, database_urls, sink.url, web=True, sensitive_cause="freedom of belief")
    with TestClient(create(made)) as later:
        later.post("/join", data={"email": ANN} | hidden(snippet))
        version = hidden(snippet)["wording"]
        later.post(
            "/api/v1/signups", json={"email": "ben@example.org", "digests": ["weekly"], "wording_version": version}
        )
    made.close()
    joining.work(newsletter.parts)
    for number in (1, 2):
        assert joining.confirm_by_reply(newsletter.parts, number)
    joining.work(newsletter.parts)
    [told] = given(newsletter, ANN)
    assert (told["wording"], told["wording_shown"]) == (then, f"{Shown.MAIL} and {Shown.ELSEWHERE}")
    [told] = given(newsletter, "ben@example.org")
    assert (told["wording_before"], told["wording_before_shown"]) == (then, Shown.ELSEWHERE)
    assert (told["wording"], told["wording_shown"]) == (words(newsletter), Shown.MAIL)


@pytest.mark.parametrize("language", ["en", "fa", "ar"])
def test_who_answers_the_mail_has_read_the_words_in_it(tmp_path, database_urls, sink, language) -> None:
    """Where the cause is sensitive a yes is none without express words: who only ever saw our mail must find them there."""
    made = house.build(tmp_path, database_urls, sink.url, sensitive_cause="freedom of belief")
    joining.ask(made.parts, Wish(ANN, language, {"weekly": "weekly"}, form="api"))
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    mail = email.message_from_bytes(sink.messages[-1].content, policy=email.policy.default)
    then = words(made, language)
    assert "freedom of belief" in then
    for kind in ("plain", "html"):
        body = re.sub("<[^>]*>", "", html.unescape(mail.get_body((kind,)).get_content()))
        assert " ".join(then.split()) in " ".join(body.split())
    made.close()
    # Since then an operator has said it by another name: the words that were read are the proof.
    later = house.build(tmp_path, database_urls, sink.url, sensitive_cause="freedom of the press")
    assert joining.confirm_by_reply(later.parts, 1)
    joining.work(later.parts)
    [told] = given(later)
    assert (told["wording"], told["wording_shown"], told["confirmed_by"]) == (then, Shown.MAIL, "reply")
    later.close()


def test_what_is_added_on_the_page_of_preferences_is_agreed_to_there(newsletter, browser, tmp_path) -> None:
    """The words stand above the button by which a digest is added; a form that somebody wrote by hand shows none."""
    house.add_readers(newsletter, tmp_path, [ANN])
    with newsletter.parts.database.transaction() as session:
        for key in ("news", "more"):
            digests.add(session, key, name=key.title(), languages=("en",), rhythm=Rhythm.EACH)
        [now] = session.execute(text("SELECT now()")).scalars()
    path = f"/p/{newsletter.parts.tokens.preferences(1, now=now)}"
    shown = browser.get(path).text
    assert html.unescape(shown).count(words(newsletter)) == 2
    usual = {"rhythm-weekly": "weekly", "language": "en", "zone": "UTC"}
    browser.post(f"{path}/more", data=usual | {"rhythm-news": "each"} | hidden(shown))
    browser.post(f"{path}/more", data=usual | {"rhythm-news": "each", "rhythm-more": "each"})
    _, first, second = given(newsletter)
    assert (first["wording"], first["wording_shown"]) == (words(newsletter), "on our page of preferences")
    assert (second["wording_shown"], "wording" in second) == (Shown.NOWHERE, False)
    assert words(newsletter) not in html.unescape(browser.get(path).text), "nothing is left to be agreed to"


def test_the_three_choices_show_the_words_too(newsletter, browser, tmp_path) -> None:
    """“Everything” adds what somebody did not have."""
    house.add_readers(newsletter, tmp_path, [ANN])
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.EACH)
        [now] = session.execute(text("SELECT now()")).scalars()
    path = f"/p/{newsletter.parts.tokens.preferences(1, now=now)}"
    fields = {"action": "level", "level": "everything"} | hidden(browser.get(path).text)
    browser.post(path, data=fields)
    assert given(newsletter)[-1]["wording_shown"] == Shown.PREFERENCES


def test_a_proof_of_before_says_that_nobody_wrote_down_where_its_words_stood(newsletter, tmp_path) -> None:
    """Until then the words of the day were kept, shown or not: a regulator must not be told that they were."""
    house.add_readers(newsletter, tmp_path, [ANN])
    with newsletter.parts.database.transaction() as session:
        [event] = session.execute(text("SELECT id FROM consent_event")).scalars()
        sealed = session.vault.seal("consent_detail", "details", event, json.dumps({"wording": "Yes.", "form": "api"}))
        session.execute(
            text("INSERT INTO consent_detail (event_id, details_sealed) VALUES (:event, :sealed)"),
            {"event": event, "sealed": sealed},
        )
    [told] = given(newsletter)
    assert told["wording_shown"] == Shown.UNRECORDED


def test_nobody_keeps_another_text_under_a_version(newsletter) -> None:
    """Else whoever writes into the database could say afterwards that thousands agreed to anything."""
    with newsletter.parts.database.transaction() as session:
        agreements.keep(session, [Agreement("I agree.")])
        agreements.keep(session, [Agreement("I agree.")])
    version = consent.version_of("I agree.")
    with pytest.raises(IntegrityError), newsletter.parts.database.transaction() as session:
        session.execute(text("INSERT INTO wording VALUES ('0123456789ab', 'I agree to everything.')"))
    with newsletter.parts.database.transaction() as session:
        assert agreements.kept(session, version) == Agreement("I agree.")
        assert agreements.kept(session, "0123456789ab") is None


def test_every_language_s_words_have_a_version_of_their_own(newsletter) -> None:
    """Who read Persian agreed to the Persian text."""
    assert len({one.version for one in consenting.today(newsletter.parts)}) == len(languages.spoken())
