"""Requests that no browser sends: whatever comes, nothing breaks, nothing is repeated to anybody, and nobody is waited for."""

import asyncio
import logging
import re
import socket
from itertools import product

import pytest
from starlette.testclient import TestClient

from newsletter.database import DiskFull, NotMigrated
from newsletter.operators.roles import Role
from newsletter.web import create
from newsletter.web.security import Guard
from tests.web import scanning
from tests.web.visiting import BASE, inside, rows

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
SIGNUPS = "/api/v1/signups"
ANN = "ann@example.org"


@pytest.fixture
def pages(app):
    with TestClient(app, base_url=BASE, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def on(worker, made, tmp_path, now):
    """Return real links of every kind."""
    return scanning.ground(worker, tmp_path, now)


FIELDS = ("email", "name", "pending", "code", "address", "zone", "rhythm-weekly", "topic", "language", "style", "wording", "digest",
          "minutes", "provider", "segment", "part", "label", "until", "frame", "form")  # fmt: skip


def parts(value, *, names=FIELDS):
    """Return a form as multipart, each of these fields with this value."""
    heads = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() for name in names]
    return b"".join(head + value + b"\r\n" for head in heads) + b"--b--\r\n"


def test_an_address_that_is_none_is_no_address(pages) -> None:
    """`http://[` cannot be taken apart: before, one header made a failure of every form."""
    for path in ("/join", SIGNUPS, "/console/login"):
        for header in ("referer", "origin"):
            body = {"json": {"email": ANN}} if path == SIGNUPS else {"data": {"email": ANN}}
            assert pages.post(path, headers={header: "http://[x"}, **body).status_code < 500, (path, header)


CODECS = ("undefined", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-7", "zlib", "a\x00b")


def test_a_form_cannot_choose_how_it_is_read(pages, on) -> None:
    """Some of Python's codecs fail with an error of their own kind, and some make half a character that nothing can store."""
    paths = ("/join", "/join/code", "/console/login", f"/p/{on.fresh}/more", f"/p/{on.fresh}/own")
    for path, codec, value in product(paths, CODECS, (rb"\ud800", b"\xff.", b"+2AA-")):
        kind = f"multipart/form-data; boundary=b; Charset={codec}"
        answer = pages.post(path, content=parts(value), headers={"content-type": kind})
        assert answer.status_code < 500, (path, codec, value)


def test_what_no_column_holds_is_refused_where_all_else_is_as_it_should_be(pages, on) -> None:
    """PostgreSQL takes no NUL: a field that reached it as it came made a failure of the whole form."""
    whole = {"rhythm-weekly": "weekly", "language": "en", "zone": "UTC"}
    for name in ("topic", "language", "zone", "style", "wording", "rhythm-weekly", "rhythm-\0"):
        for value in ("a\0b", "x" * 5000):
            assert pages.post(f"/p/{on.fresh}/more", data=whole | {name: value}).status_code < 500, (name, value[:9])


def test_what_no_column_holds_is_no_failure_inside_the_console(pages, browse, crew, now) -> None:
    """Somebody of the team pastes a condition or a label out of another program, and what cannot be seen comes along."""
    _, browser = inside(browse, crew, now, *Role)
    usual = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())}
    own = {"form": browser.open("/console/account").form()}
    for name in ("minutes", "net", "provider", "form", "digest", "why", "which"):
        assert pages.get("/console/signups", params={name: "a\0b"}, headers=usual).status_code < 500, name
        asked = own | {"upto": "5", "by_form" if name == "form" else name: "a\0b"}
        assert pages.post("/console/signups/release", data=asked, headers=usual).status_code < 500, name
    for label in ("a\0b", "\0"):
        wanted = own | {"scope": "stop", "label": label}
        assert pages.post("/console/account/tokens", data=wanted, headers=usual).status_code == 200, label


def test_a_form_with_a_charset_is_still_read(pages, worker) -> None:
    """Old programs write it, and mean UTF-8."""
    kind = "multipart/form-data; charset=UTF-8; boundary=b"
    answer = pages.post("/join", content=parts(ANN.encode(), names=("email",)), headers={"content-type": kind})
    assert answer.status_code == 200
    assert rows(worker, "SELECT count(*) FROM signup") == [(1,)]


def test_no_answer_repeats_what_a_request_calls_our_host(pages, on) -> None:
    """A cache in front would lead everybody there: with the token of a mailed link in the path."""
    for path in (
        "/join/",
        "/console/",
        f"/u/{on.leave}/",
        f"/p/{on.fresh}/",
        "/console",
        "//evil.example/console",
        "/help",
    ):
        answer = pages.get(path, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
        assert "evil.example" not in answer.text + str(answer.headers), path
        assert re.fullmatch(r"/console/[a-z]+|", answer.headers.get("location", "")), path


def test_every_route_says_which_methods_it_takes(app, pages, on) -> None:
    """RFC 9110 §15.5.6: Allow with each 405; and HEAD is answered as GET is, without the body."""
    taken = {}
    for path, methods in scanning.routes(app):
        taken.setdefault(path, set()).update(methods)
    for path, (real, *_) in scanning.cases(on).items():
        for method in {"OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "FOO"} - taken[path]:
            answer = pages.request(method, real)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"], path
            assert {one.strip() for one in answer.headers["allow"].split(",")} <= taken[path], path
        if "HEAD" in taken[path]:
            assert pages.head(real).content == b"", path


HEADERS = (
    {"host": "["},
    {"host": b"\xff\xfe"},
    {"x-forwarded-for": "fe80::1%eth0, 127.0.0.1"},
    {"x-forwarded-for": b"\xff, ,127.0.0.1"},
    {"cookie": b'__Host-session=\xff; __Host-form="; ;;='},
    {"accept-language": b"\xff;q=,;;,-" + b"x" * 5000},
    {"authorization": b"Bearer \xff\xfe"},
    {"content-length": "9" * 5000},
    {"content-length": "-1"},
)
BODIES = (
    (FORM, b"email=%ff%fe&name=%00&pending=%ed%a0%80&form=\xff"),
    (FORM, b"a;b;c=d&=&&email&email=1&email=2&digest=" + b"9" * 4400),
    (FORM, b"a=b&" * 1200),
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=b", b"--c\r\n\r\n"),
    ("multipart/form-data; boundary=b", parts(b"\x00").replace(b"\r\n\r\n", b'; filename="x"\r\n\r\n')),
    (JSON, b"[" * 60_000),
    (b"\xff", b"\xff"),
)
PLACES = ("%00", "%ff", "%2f..%2f", "..", ";x=1", "9" * 25, "-1", "%0d%0aX: 1", "%", "1e3", "\u0663")


def walked(pages, app, on, places, headers, bodies, usual):
    """Ask each route by each of these; yield what failed."""
    taken = {}
    for path, methods in scanning.routes(app):
        taken.setdefault(path, set()).update(methods - {"HEAD"})
    for path, (real, *_) in scanning.cases(on).items():
        asked = [("GET", f"{real}?{'&'.join(f'{name}={one}' for name in QUERIES)}", {}, b"") for one in places]
        for method in sorted(taken[path]):
            asked += [(method, re.sub(r"\{[^}]*\}", one, path), {}, b"") for one in places if "{" in path]
            asked += [(method, real, one, b"") for one in headers]
        if "POST" in taken[path]:
            asked += [("POST", real, {"content-type": kind}, body) for kind, body in bodies]
        for method, where, more, body in asked:
            answer = pages.request(method, where, headers=usual | more, content=body)
            if answer.status_code >= 500:
                yield method, where[:100], str(more)[:80], body[:40]


QUERIES = (
    "language",
    "digest",
    "form",
    "before",
    "like",
    "frame",
    "translates",
    "updates",
    "back",
    "net",
    "since",
    "why",
)


def test_no_route_fails_whatever_is_asked_of_it(pages, app, on) -> None:
    """A failure is a page that is down for whoever needs it, and a hint for whoever looks for a way in."""
    assert list(walked(pages, app, on, PLACES[:3], HEADERS[:2], BODIES[:2], {})) == []


@pytest.mark.proof
@pytest.mark.parametrize("team", [False, True], ids=["from outside", "by somebody of the team"])
def test_no_route_fails_whatever_is_asked_of_it_long(pages, app, on, browse, crew, now, team) -> None:
    """The same with everything there is, and inside the console, with forms that are its own."""
    usual, bodies = {}, BODIES
    if team:
        _, browser = inside(browse, crew, now, *Role)
        usual = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())}
        own = browser.open("/console/account").form().encode()
        bodies = [(kind, body + b"&form=" + own if kind == FORM else body) for kind, body in BODIES]
    assert list(walked(pages, app, on, PLACES, HEADERS, bodies, usual)) == []


def endless(pages, path, kind=FORM):
    return pages.post(path, content=iter([b"rhythm=" + b"x" * 10_000] * 40), headers={"content-type": kind})


def test_a_body_in_chunks_without_end_is_called_too_large(pages, on) -> None:
    """Cut off in the middle, half a form must not be taken for a whole one, nor the cut for a failure of ours."""
    mine = f"/p/{on.fresh}"
    for path in ("/join", mine, f"{mine}/more", f"{mine}/own", "/console/login", "/hooks/ses", SIGNUPS):
        answer = endless(pages, path, JSON if path == SIGNUPS else FORM)
        assert answer.status_code == 413, path
        assert answer.headers["content-type"] == (JSON if path == SIGNUPS else "text/plain; charset=utf-8"), path
        assert answer.headers["x-content-type-options"] == "nosniff", path


def test_a_length_that_is_too_large_is_refused_before_anything_is_read(pages) -> None:
    """For a program in its own words, for a form in plain ones."""
    said = pages.post(SIGNUPS, content=b"x" * 70_000, headers={"content-type": JSON})
    assert (said.status_code, said.json()["error"]) == (413, "api.too-large")
    assert pages.post("/join", content=b"x" * 70_000).headers["content-type"].startswith("text/plain")


def test_who_stops_in_the_middle_of_a_body_is_no_failure_of_ours(app, worker) -> None:
    """A phone in a tunnel: nothing is half done, and the log that people read at night holds no surprise."""
    seen = []
    watching = logging.Handler(logging.ERROR)
    watching.emit = seen.append
    logging.getLogger().addHandler(watching)
    before = rows(worker, "SELECT count(*) FROM signup")
    with scanning.served(app) as base:
        for path, kind in (("/join", FORM), (SIGNUPS, JSON), ("/p/x/more", FORM), ("/hooks/ses", FORM), ("/u/x", FORM)):
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 400\r\n\r\n"
            with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=5) as line:
                line.sendall(head.encode() + b'{"email": "ann@')
                line.shutdown(socket.SHUT_WR)
                while line.recv(4096):
                    pass
    logging.getLogger().removeHandler(watching)
    assert [one.getMessage() for one in seen] == []
    assert rows(worker, "SELECT count(*) FROM signup") == before


@pytest.mark.parametrize(("path", "kind"), [("/join", "text/plain; charset=utf-8"), (SIGNUPS, JSON)])
def test_a_body_that_does_not_come_is_not_waited_for(path, kind) -> None:
    """A thousand connections that say a letter a minute would be the door for nobody else."""
    sent = []

    async def waiting(_scope, receive, send):
        assert (await receive())["more_body"]
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half a form"})

    async def talk():
        pieces = asyncio.Queue()
        pieces.put_nowait({"type": "http.request", "body": b"a=", "more_body": True})
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}

        async def send(message):
            sent.append(message)

        await Guard(waiting, https=True, patience=0.05)(scope, pieces.get, send)

    asyncio.run(talk())
    start, body = sent
    assert start["status"] == 408
    assert (b"content-type", kind.encode()) in start["headers"]
    assert b"minute" in body["body"]


# What programs send


SHAPES = (
    (b'{"email": "ann@example.org", "email": "ben@example.org"}', "which of the two is meant, nobody knows"),
    (b'{"email": "ann@example.org", "digests": [NaN]}', "JSON knows no such number"),
    (b"[" * 60_000, "nested deeper than Python reads"),
    (b'{"email": ' + b"1" * 5000 + b"}", "more digits than Python reads"),
    (b'{"email": "\xff@example.org"}', "no UTF-8"),
    ('{"email": "ann@example.org"}'.encode("utf-16"), "no UTF-8"),
    (b'{"email": "\\ud800@example.org"}', "half a character"),
    (b'{"email": "ann\\u0000@example.org"}', "a NUL"),
    (b'{"email": "ann@example.org", "name": "Ann\\r\\nBcc: all"}', "a line end"),
    (b'{"email": "ann@example.org", "name": "\\u202eAnn"}', "turns what follows around"),
    (b'{"email": "ann@example.org", "digest": "weekly"}', "a misspelt field"),
    (b'{"email": "ann@example.org", "digests": "weekly"}', "no list"),
    (b'{"email": ["ann@example.org"]}', "a list"),
    (b"null", "nothing"),
    (b"", "no body"),
)


def test_a_body_of_another_shape_is_refused_in_the_api_s_own_words(pages, worker) -> None:
    """By 422 and a sentence that names the place and none of what was sent; never by a failure, never half."""
    for body, why in SHAPES:
        answer = pages.post(SIGNUPS, content=body, headers={"content-type": JSON})
        assert answer.status_code == 422, why
        assert answer.json().keys() == {"error", "sentence"}, why
        assert "ann" not in answer.text.lower(), why
    assert rows(worker, "SELECT count(*) FROM signup") == [(0,)]


def test_a_field_that_we_do_not_know_is_not_repeated(pages) -> None:
    """Its name may be an address: an answer ends up in somebody's log."""
    answer = pages.post(SIGNUPS, json={"email": ANN, "ben@example.org": 1})
    assert answer.json() == {
        "error": "api.not-understood",
        "sentence": "The request does not fit /api/v1/openapi.json. What is wrong: body (extra_forbidden).",
    }


def test_a_body_that_is_called_something_else_is_not_json(pages) -> None:
    """A form of another site can send text/plain without asking; JSON it can not."""
    for kind in ("text/plain", FORM, "application/xml", ""):
        answer = pages.post(SIGNUPS, content=b'{"email": "ann@example.org"}', headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]) == (415, "api.not-json"), kind


def test_a_refusal_is_in_the_language_that_was_asked_for(pages) -> None:
    """Who passes it on to the person who typed the figures need not translate it."""
    wrong = {"pending": "x" * 22, "code": "000000"}
    said = pages.post(f"{SIGNUPS}/code", json=wrong, headers={"accept-language": "fa-IR, en;q=0.5"}).json()
    assert said["error"] == "joining.no-try-left"
    assert re.search("[\u0600-\u06ff]", said["sentence"])


# What is ours to mend


def test_trouble_with_the_database_is_not_told_to_strangers(made) -> None:
    """A full disk is no conflict of whoever asked, and at which host our database stands is nobody's business."""
    app = create(made)

    @app.get("/u/{trouble}/of/ours")
    @app.get("/api/v1/{trouble}/of/ours")
    def troubled(trouble: str):
        raise {"disk": DiskFull, "tables": NotMigrated}[trouble]("db.inside.example:5432/news")

    for path in ("/u/disk/of/ours", "/u/tables/of/ours", "/api/v1/disk/of/ours", "/api/v1/tables/of/ours"):
        answer = TestClient(app, base_url=BASE, raise_server_exceptions=False).get(path)
        assert answer.status_code == 503, path
        assert "inside" not in answer.text, path


def test_a_failure_of_ours_is_told_to_a_program_as_json(made) -> None:
    """A watchdog that parses the answer must not die of a page."""
    app = create(made)

    @app.get("/api/v1/surprise")
    def surprise():
        raise ZeroDivisionError

    answer = TestClient(app, base_url=BASE, raise_server_exceptions=False).get("/api/v1/surprise")
    assert (answer.status_code, answer.json()["error"]) == (500, "web.failed")
    assert answer.headers["cache-control"] == "no-store"


def test_what_is_the_same_for_all_may_be_kept_and_what_is_not_may_not(pages) -> None:
    """The script of the form said so of itself, and the guard took it back."""
    for path in ("/join.js", "/style.css", "/api/v1/openapi.json"):
        assert pages.get(path).headers["cache-control"] == "public, max-age=3600", path
    for path in ("/join", "/api/v1/me", "/console/login"):
        assert pages.get(path).headers["cache-control"] == "no-store", path
