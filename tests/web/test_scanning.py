"""Scanners follow every link in every mail, before its reader does and fifty at a time: whatever they look at, nothing changes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from newsletter.operators.roles import Role
from tests.web import scanning
from tests.web.visiting import inside

AT_ONCE = 50

# A route whose GET or HEAD writes something stands here with its reason. There is none.
EXCEPTIONS: dict[str, str] = {}


@pytest.fixture
def on(worker, made, tmp_path, now):
    """Return real links of every kind."""
    return scanning.ground(worker, tmp_path, now)


@pytest.fixture
def cookie(browse, crew, now):
    """Return the session of somebody of the team who may do everything: their browser looks ahead, too."""
    _, browser = inside(browse, crew, now, *Role)
    return "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())


def looked(base, paths, headers, *, methods=("GET", "HEAD", "OPTIONS")):
    """Look at every path, fifty at once, each by a connection of its own; return what was answered."""
    asked = [(method, path, header) for path in paths for method in methods for header in headers]
    address, local = urlsplit(base).netloc, threading.local()
    lines = []

    def look(one):
        method, path, header = one
        if not hasattr(local, "line"):
            local.line = HTTPConnection(address, timeout=60)
            lines.append(local.line)
        local.line.request(method, path, headers=header)
        answer = local.line.getresponse()
        answer.read()
        return one, answer.status

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(look, asked))
    for line in lines:
        line.close()
    return found


def test_every_route_has_a_case(app, on):
    """A new page is looked at by scanners on its first day."""
    there = {path for path, _ in scanning.routes(app)}
    cases = scanning.cases(on)
    assert there - cases.keys() == set(), "a route without a case: add it to tests/web/scanning.py"
    assert cases.keys() - there == set(), "a case without a route"
    assert EXCEPTIONS.keys() <= there


def test_no_get_and_no_head_of_any_route_changes_a_row(app, on, cookie, database_urls, tmp_path):
    """A link that a scanner can trip unsubscribes half a company, stops an alert, or lets a stranger in (decision 6)."""
    reads = {(method, path) for path, methods in scanning.routes(app) for method in methods}
    paths = {one: path for path, found in scanning.cases(on).items() for one in found if path not in EXCEPTIONS}
    with scanning.served(app) as base:
        looked(base, ["/"], [{}])
        before, home = scanning.dump(database_urls.owner), scanning.files(tmp_path / "home")
        found = looked(base, paths, [{}, {"cookie": cookie}])
        after = scanning.dump(database_urls.owner)
    assert {name for name in before if after[name] != before[name]} == set()
    assert scanning.files(tmp_path / "home") == home
    assert len(found) == 6 * len(paths)
    assert [one for one, status in found if status >= 500] == []
    for (method, path, _), status in found:
        assert (status == 405) is ((method, paths[path]) not in reads), (method, path, status)
    shown = {path for (_, path, header), status in found if status == 200 and not header}
    assert set(scanning.answers(on)) <= shown, "these must really have been shown, or the test proves nothing"
    inside = {path for (_, path, header), status in found if status == 200 and header}
    assert {"/console", "/console/team", f"/console/alerts/{on.alert}"} <= inside


def test_what_the_test_looks_with_sees_a_change(app, on, database_urls):
    """A comparison that cannot fail proves nothing: each of these links does something once somebody presses the button."""
    forms = {
        f"/u/{on.leave}/less": {"instead": "pause"},
        f"/p/{on.preferences}/resume": {},
        f"/u/{on.leave}": {},
        f"/h/{on.stop}": {},
    }
    with scanning.served(app) as base, httpx.Client(base_url=base) as client:
        for path, form in forms.items():
            before = scanning.dump(database_urls.owner)
            assert client.post(path, data=form).status_code == 200
            assert scanning.dump(database_urls.owner) != before, path
