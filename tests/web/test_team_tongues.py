"""The team's pages in Persian and Arabic: whoever is woken at night reads, approves and stops in their own language."""

import html
import re

import pytest
from sqlalchemy import text

from newsletter import languages
from newsletter.operators import codes
from newsletter.operators.roles import Role
from newsletter.templating import bundled
from newsletter.web.wording import COUNTED, Voice
from tests.web.test_alerts import desk as desk
from tests.web.test_alerts import few as few
from tests.web.test_alerts import fingerprint
from tests.web.test_alerts import made as made
from tests.web.test_alerts import readers as readers
from tests.web.test_alerts import worker as worker
from tests.web.test_mandates import asked
from tests.web.test_signups import attack as attack
from tests.web.visiting import inside, rows, step

WORDS = {
    "digest": "weekly",
    "subject-fa": "کامیون‌ها در سارند",
    "text-fa": "چهارده کامیون کنار دروازه ایستاده‌اند.\n\n- به نمایندهٔ خود زنگ بزنید.",
    "label-fa-0": "نامه به نماینده",
    "url-fa-0": "https://sarand.example/act",
}
# What a page says in Latin letters in every language: names the campaign gave, its servers', and what is typed.
AS_IT_IS = (
    "Friends of Sarand",
    "The Weekly",
    "google، microsoft، yahoo",
    "QR",
    "UTC",
    "PIN",
    "JavaScript",
    "127.0.0.1",
)
EVERY = (Role.WRITER, Role.SENDER, Role.APPROVER, Role.DATA_OFFICER, Role.AUDITOR)
LOOKED_AT = (
    "/console",
    "/console/account",
    "/console/team",
    "/console/audit",
    "/console/alerts",
    "/console/alerts/new",
    "/console/mandates",
    "/console/mandates/new",
    "/console/signups",
    "/console/signups?which=all&net=x",
    "/console/prove?back=/console/account",
)


def visible(page: str) -> str:
    """Return what is read on a page and is not the campaign's own: neither isolated, nor code, nor what was written."""
    own = r'<(bdi|code|pre|textarea|script)\b.*?</\1>|<(span|option)[^>]* dir="(?:ltr|auto)".*?</\2>|\u2068.*?\u2069'
    page = re.sub(own, " ", page, flags=re.DOTALL)
    said = re.findall(r'(?:aria-label|data-sorry)="([^"]*)"', page)
    read = html.unescape(" ".join([re.sub(r"<[^>]*>", " ", page), *said]))
    for one in AS_IT_IS:
        read = read.replace(one, " ")
    # A command stands between quotation marks as it is typed.
    return re.sub(r"«[^»]*newsletter [^»]*»", " ", read)


def english(page: str) -> list[str]:
    """Return where two words in Latin letters follow each other."""
    return re.findall(r"[A-Za-z]{2,}(?:[ ,.:]+[A-Za-z]{2,})+", visible(page))


def understood(browser, language):
    assert f'<html lang="{language}" dir="rtl">' in browser.text, browser.path
    assert english(browser.text) == [], browser.path


@pytest.fixture
def speaks(worker):
    """Let the digest be in Persian, and every operator choose a language."""

    def choose(language):
        with worker.parts.database.transaction() as session:
            session.execute(text("UPDATE digest SET languages = '{fa,ar}'"))
            session.execute(text("UPDATE subscriber SET language = 'fa'"))
            session.execute(text("UPDATE operator SET language = :language"), {"language": language})

    return choose


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_every_page_is_in_its_reader_s_language(browse, crew, now, worker, speaks, language):
    """English in the middle of a Persian page is what is not understood at four in the morning."""
    _, browser = inside(browse, crew, now, *EVERY)
    speaks(language)
    for path in LOOKED_AT:
        assert browser.open(path).page.status_code in (200, 422), path
        understood(browser, language)
    browser.open("/console/account")
    for path, fields in (
        ("password", {"present": "x", "password": "y", "again": "z"}),
        ("tokens", {"scope": "stop", "label": "برنامه", "days": "9"}),
        ("recovery", {}),
    ):
        browser.post(f"/console/account/{path}", **fields)
        understood(browser, language)
        browser.open("/console/account")
    browser.post("/console/account/passkeys")
    assert browser.path == "/console/account/passkey"
    understood(browser, language)
    for gone in ("/console/alerts/4711", "/console/mandates/4711"):
        assert browser.open(gone).page.status_code == 404, gone
        understood(browser, language)


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_the_way_in_is_in_the_browser_s_language(browse, crew, now, language):
    """Before anybody is known there is only the phone to ask."""
    member = crew.member(Role.SENDER, name="مینا مرادی")
    browser = browse(headers={"accept-language": f"{language}-XX,en;q=0.5"})
    understood(browser.open("/console/login"), language)
    browser.knock(member, password="not this one")
    understood(browser, language)
    browser.knock(member)
    understood(browser, language)
    browser.post("/console/second", factor="totp", answer="000000")
    assert browser.problem
    understood(browser, language)
    _, token = crew.add(Role.SENDER, name="آرش")
    understood(browser.open(f"/e/{token}"), language)
    understood(browser.open("/e/nothing"), language)


def test_a_language_is_chosen_on_the_account_page(browse, crew, now, worker):
    """The choice goes with the person, to any phone; without one the browser is asked."""
    _, browser = inside(browse, crew, now, Role.SENDER)
    assert '<html lang="en" dir="ltr">' in browser.open("/console/account").text
    browser.post("/console/account/language", language="ar")
    understood(browser, "ar")
    assert rows(worker, "SELECT language FROM operator") == [("ar",)]
    assert browser.post("/console/account/language", language="tlh").page.status_code == 422
    browser.open("/console/account").post("/console/account/language", language="")
    assert '<html lang="en" dir="ltr">' in browser.text


def test_a_night_in_persian(browse, crew, now, desk, readers, worker, sink, speaks):
    """Written, locked, read and approved on two phones, and sent: each step in Persian, each refusal too."""
    readers(4)
    _, author = inside(browse, crew, now, Role.SENDER)
    member, phone = inside(browse, crew, now, Role.APPROVER)
    speaks("fa")
    author.open("/console/alerts/new")
    author.post("/console/alerts", digest="weekly", **{"subject-fa": "x", "label-fa-0": "y"})
    assert author.page.status_code == 422
    understood(author, "fa")
    author.open("/console/alerts/new").post("/console/alerts", **WORDS)
    here = author.path
    assert "۴ خواننده" in author.text
    understood(author, "fa")
    author.post(f"{here}/lock")
    assert "قفل‌شده، در انتظار تأیید کسی" in author.text
    understood(author, "fa")
    seen = re.search(r'class="figure">([0-9a-f ]{14})<', author.text)[1]
    phone.open(f"{here}/approve")
    assert f'<bdi dir="ltr"><code class="figure">{seen}</code></bdi>' in phone.text, "read aloud from left to right"
    understood(phone, "fa")
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer="000000")
    assert phone.problem == languages.say("operator.wrong-factor", "fa")
    persian = step(member, now, 1).translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    phone.post(f"{here}/approve", fingerprint=fingerprint(phone), factor="totp", answer=persian)
    assert (phone.problem, phone.path) == ("", here)
    assert "تأییدشده" in phone.text
    author.open(here)
    assert "ارسال همین حالا به ۴ خواننده" in author.text
    author.post(f"{here}/release")
    assert "۰ از ۴ تحویل شده" in author.text
    understood(author, "fa")
    worker.deliver("urgent")
    assert len(sink.messages) == 4
    understood(author.open(here), "fa")
    understood(author.open(f"{here}?retract=1"), "fa")
    author.post(f"{here}/pause")
    assert author.page.status_code == 409
    understood(author, "fa")


def test_a_mandate_is_read_and_signed_in_arabic(browse, crew, now, desk, worker, speaks):
    """What one signs in the evening is what another may send at night: both must have understood it."""
    holder, phone = inside(browse, crew, now, Role.SENDER)
    member, trustee = inside(browse, crew, now, Role.APPROVER)
    speaks("ar")
    phone.open("/console/mandates/new")
    understood(phone.post("/console/mandates", holder=str(holder.id), digest="weekly"), "ar")
    assert phone.problem
    here = asked(phone, holder, frame="raid-ar", cause="مخيم سارند")
    understood(phone, "ar")
    understood(trustee.open(here), "ar")
    understood(trustee.post(f"{here}/sign", factor="totp", answer=step(member, now, 1)), "ar")
    assert "ينتظر التوقيع: ١ من ٢" in trustee.text
    understood(trustee.post(f"{here}/end"), "ar")


def test_held_sign_ups_are_counted_in_arabic(browse, crew, now, attack, speaks):
    """Four are held: whoever lets them through reads how many in the form their language has for it."""
    attack(14)
    _, browser = inside(browse, crew, now, Role.DATA_OFFICER)
    speaks("ar")
    page = browser.open("/console/signups").text
    assert "السماح بمرور ٤ تسجيلات" in page
    understood(browser.post("/console/signups/release", upto=re.search(r'name="upto" value="(\d+)"', page)[1]), "ar")
    assert "سُمح بمرور ٤ تسجيلات" in browser.text


def test_the_team_s_mail_is_in_the_language_of_each(browse, crew, now, desk, readers, worker, sink, speaks):
    """Whoever is asked to approve reads the request in a mail first."""
    readers(4)
    _, author = inside(browse, crew, now, Role.SENDER)
    for _ in range(2):
        crew.member(Role.APPROVER, name="مینا مرادی")
    speaks("fa")
    with worker.parts.database.transaction() as session:
        session.execute(text("UPDATE operator SET language = NULL WHERE id = (SELECT max(id) FROM operator)"))
    author.open("/console/alerts/new").post("/console/alerts", **WORDS)
    author.post(f"{author.path}/lock")
    said = rows(
        worker,
        "SELECT subject, language FROM mailing m JOIN variant v ON v.mailing_id = m.id WHERE kind = 'notice' ORDER BY 2",
    )
    assert [(language, subject.split()[0]) for subject, language in said] == [("en", "Alert"), ("fa", "هشدار")]


@pytest.mark.parametrize("path", sorted((bundled() / "web" / "console").glob("*.html")), ids=lambda path: path.name)
def test_a_page_of_the_team_holds_no_words_of_its_own(path):
    """Nobody can translate what stands in no catalogue."""
    page = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    said = re.findall(r'(?:aria-label|alt|title|placeholder)="([^"]*)"', page)
    assert re.findall(r"[^\W\d_]{2,}", " ".join([re.sub(r"<[^>]*>", " ", page), *said])) == []


@pytest.mark.parametrize("message", COUNTED)
def test_a_refusal_that_tells_a_number_has_arabic_s_forms(message):
    """Three minutes, eleven minutes and a hundred are three words; two is one without a number."""
    facts = {"mailing": 7, "hours": 0, "minutes": 0, "shortest": 0}
    voice = Voice("ar")
    said = [voice.refusal(message, **(facts | {COUNTED[message]: count})) for count in (0, 1, 2, 3, 11)]
    assert len(set(said)) == 5
    assert voice.refusal(message, **(facts | {COUNTED[message]: "11"})) == said[-1], "as an errand keeps it"


def test_names_keep_their_direction_inside_a_sentence():
    """A Latin name in a Persian line turns the words around it, where nothing isolates it."""
    assert Voice("fa").t("console-hello", name="Mina") == "سلام \u2068Mina\u2069"
    assert Voice("fa").t("console-hello", name="مینا") == "سلام مینا"
    assert Voice("en").t("console-hello", name="Mina") == "Hello, Mina"
    assert Voice("en").listed(["Mina", "مینا"]) == "Mina, \u2068مینا\u2069"


@pytest.mark.parametrize("digits", ["۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩"])
def test_a_code_may_be_typed_in_a_phone_s_own_digits(digits, now):
    """A Persian or Arabic keyboard offers no others."""
    secret = codes.read_secret(codes.new_secret())
    typed = codes.hotp(secret, codes.step_of(now)).translate(str.maketrans("0123456789", digits))
    assert codes.matching_step(secret, typed, now=now, used=None) == codes.step_of(now)
