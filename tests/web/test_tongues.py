"""In which language public pages and their refusals are: the visitor's."""

import html
import re
from itertools import product

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from newsletter import languages
from newsletter.issues import digests
from newsletter.vault import CannotSeal
from newsletter.web import create, speaking
from tests.web.test_pages import link
from tests.web.test_pages import made as made
from tests.web.test_pages import pages as pages
from tests.web.test_pages import worker as worker

OPEN = ["/", "/help", "/privacy", "/join", "/archive/weekly"]
DAMAGED = "x" * 32
# Names, which stand as they are in every language.
NAMES = ("Friends of Sarand", "7 Lantern Yard, London", "The Weekly", "English", "UTC")


def said(page: str) -> str:
    """Return what a page shows, without names."""
    shown = html.unescape(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL))
    for name in (*NAMES, *re.findall(r"<h1><bdi>(.*?)</bdi>", page)):
        shown = shown.replace(name, "")
    return shown


def english(page: str) -> list[str]:
    """Return the English words of a page."""
    return re.findall(r"[A-Za-z]{2,}", said(page))


def test_an_open_page_is_wholly_in_the_language_of_a_link(pages):
    """English in the middle of a Persian page says that it is not for you."""
    for path, language in product(OPEN, ("fa", "ar")):
        page = pages.get(path, params={"language": language}).text
        assert f'lang="{language}" dir="rtl"' in page, path
        assert english(page) == [], path


def test_a_name_keeps_its_own_direction(pages):
    """“7 Lantern Yard” in a Persian page would become “Lantern Yard 7”."""
    for path in ("/help", "/privacy"):
        assert "<bdi>7 Lantern Yard, London</bdi>" in pages.get(path, params={"language": "fa"}).text


def test_an_open_page_is_in_the_browser_s_language_where_no_link_says_another(pages):
    """Whoever reads Arabic has said so to their browser already."""
    wish = {"accept-language": "ckb, ar;q=0.8, en;q=0.5"}
    for path in OPEN:
        answer = pages.get(path, headers=wish)
        assert (answer.headers["content-language"], answer.headers["vary"]) == ("ar", "accept-language"), path
        assert pages.get(path, params={"language": "fa"}, headers=wish).headers["content-language"] == "fa", path
        assert pages.get(path, headers={"accept-language": "de"}).headers["content-language"] == "en", path


def test_an_open_page_offers_the_other_languages_and_its_links_keep_the_one_chosen(pages):
    """There is no cookie that could remember it."""
    for path in OPEN:
        page = html.unescape(pages.get(path, params={"form": "spring", "language": "fa"}).text)
        for other in ("en", "ar"):
            assert f'href="?form=spring&language={other}"' in page, path
            assert languages.say("web.language-own", other) in page, path
        onward = re.findall(r'href="(/(?:help|privacy|join|archive/\w+)(?:\?[^"]*)?)"', page)
        assert [one for one in onward if not one.endswith("?language=fa")] == [], path


def test_what_a_form_sent_is_not_lost_by_a_choice_of_language(pages):
    """The links lead to pages; a form that was refused is filled in."""
    assert "?language=ar" not in pages.post("/join", data={"email": ""}).text


REFUSED = [
    ("GET", "/nowhere", None, 404),
    ("DELETE", "/help", None, 405),
    ("GET", f"/u/{DAMAGED}", None, 404),
    ("POST", f"/u/{DAMAGED}", {}, 404),
    ("POST", f"/u/{DAMAGED}/less", {"instead": "weekly"}, 404),
    ("POST", f"/u/{DAMAGED}/less", {"instead": "nonsense"}, 422),
    ("GET", f"/p/{DAMAGED}", None, 404),
    ("POST", f"/p/{DAMAGED}", {"action": "leave"}, 404),
    ("POST", f"/p/{DAMAGED}/pause", {"until": "never"}, 422),
    ("POST", f"/p/{DAMAGED}/own", {"name": "x"}, 404),
    ("GET", f"/p/{DAMAGED}/erase", None, 404),
    ("POST", f"/p/{DAMAGED}/export", {}, 404),
    ("GET", f"/c/{DAMAGED}", None, 404),
    ("GET", f"/h/{DAMAGED}", None, 404),
    ("GET", "/archive/unheard-of", None, 404),
    ("GET", "/alerts/999", None, 404),
    ("POST", "/join", {"email": ""}, 422),
    ("POST", "/join", {"email": "no address"}, 422),
    ("POST", "/join", {"email": "a@b@example.org"}, 422),
    ("POST", "/join", {"email": "ann@localhost"}, 422),
    ("POST", "/join/code", {"pending": "x", "code": "1"}, 422),
    ("POST", "/join", {"name": "x" * 70_000}, 413),
]


def test_a_refusal_is_wholly_in_the_visitor_s_language(pages):
    """What went wrong must be understood by whom it went wrong for."""
    for (method, path, form, status), language in product(REFUSED, ("fa", "ar")):
        answer = pages.request(method, path, data=form, headers={"accept-language": language})
        assert answer.status_code == status, (method, path, form)
        assert english(answer.text) == [], (method, path, form)
        assert re.search(r"[\u0600-\u06ff]", answer.text), (method, path, form)


def test_a_page_s_own_language_is_that_of_its_refusals(pages, worker):
    """A Persian reader on a borrowed computer presses a button of a Persian page."""
    used = "/c/" + DAMAGED
    assert 'lang="fa"' in pages.post(used, data={"language": "fa"}, headers={"accept-language": "en"}).text
    assert 'lang="fa"' in pages.get(f"/u/{DAMAGED}?language=fa", headers={"accept-language": "en"}).text
    form = pages.get(f"/u/{link(worker)}").text
    assert f'action="/u/{link(worker)}?language=en"' in form
    assert pages.post(f"/u/{link(worker)}?language=fa").status_code == 200


def test_an_operator_s_sentence_is_no_public_page_s(pages):
    """“See them with newsletter digests list” helps nobody who came by a link, and is there in English alone."""
    page = pages.get("/archive/unheard-of").text
    assert languages.say("web.not-found") in html.unescape(page)
    assert not languages.for_readers(digests.UnknownDigest("unheard-of").message)


def test_a_refusal_that_is_kept_from_the_page_is_told_to_the_operator(made):
    """“The pages have no key for this” is theirs to mend, and the reader's page does not say it."""
    app = create(made)

    @app.get("/sealed")
    def sealed() -> None:
        raise CannotSeal("subscriber", "name")

    with TestClient(app, raise_server_exceptions=False) as client, capture_logs() as logged:
        page = client.get("/sealed").text
    assert html.escape(languages.say("web.failed")) in page
    assert [(one["event"], one["message"]) for one in logged] == [("refused", "vault.cannot-seal")]


def test_a_program_s_refusal_has_its_name_and_a_sentence_in_the_language_of_the_form(pages):
    """The organisation's own form shows the sentence to whoever filled it in."""
    body = {"email": "nobody", "language": "fa", "digests": ["weekly"]}
    answer = pages.post("/api/v1/signups", json=body).json()
    assert answer["error"] == "address.no-at"
    assert answer["sentence"] == languages.say("address.no-at", "fa")


def test_a_database_that_is_away_is_told_in_the_visitor_s_language(worker, tmp_path, database_urls):
    """It is the moment in which people try again and again."""
    from newsletter import assembly, settings

    chosen = settings.read(
        home=tmp_path / "home",
        keys=tmp_path / "keys" / "keys.json",
        database_url="postgresql+psycopg://nobody:x@127.0.0.1:9/none",
        redis_url=None,
        sender="Friends of Sarand <news@sarand.example>",
        postal_address="7 Lantern Yard, London",
    )
    with TestClient(create(assembly.assemble(chosen, role="web")), raise_server_exceptions=False) as client:
        answer = client.get("/", headers={"accept-language": "fa"})
        assert answer.status_code == 503
        assert english(answer.text) == []


@pytest.mark.parametrize(
    ("asked", "accepted", "found"),
    [
        ("fa", "ar", "fa"),
        ("fa-AF", "", "fa"),
        ("", "ar-EG,ar;q=0.9", "ar"),
        ("", "en;q=0.4, fa;q=0.9", "fa"),
        ("", "fa;q=0, ar;q=0.1", "ar"),
        ("de", "*", "en"),
        ("../../etc", "fa;q=high, \x00", "en"),
        ("", "", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_else_the_best_liked(asked, accepted, found):
    """RFC 9110 §12.5.4; whatever else stands there is no language of ours."""
    assert speaking.chosen(asked, accepted) == found
