"""A page that nobody opens in a browser may keep people out: those who look at them must be told of each."""

from starlette.routing import compile_path

from tests.judges import site as sites
from tests.web import scanning

TEAM = ("/console", "/api/", "/hooks/")
NOT_LOOKED_AT = {
    "/style.css": "no page",
    "/join.js": "no page",
    "/exit.js": "no page",
    "/pictures/{name}.jpg": "no page",
    "/healthz": "no page",
    "/readyz": "no page",
    "/alerts/{number}/cap.xml": "no page",
    "/alerts/feed.xml": "no page",
    "/alerts/{number}": "the same page, in the language of who asks",
    "/e/{token}": "a page of the team's: tests/judges/test_console.py",
}


def test_every_public_page_is_opened_by_the_judges(app, worker, tmp_path, now):
    """What readers see is judged in three languages on a small phone from its first day."""
    on = scanning.ground(worker, tmp_path, now)
    readers = {"en": dict.fromkeys(sites.ROLES, 1)}
    site = sites.Site(worker, "", None, readers, {"en": on.issue}, {"en": [1, 1]}, gone=on.alert, going=on.alert)
    walks = (sites.looking(site, "en") | sites.doing(site, "en")).values()
    opened = [step.path.partition("?")[0] for steps in walks for step in steps if isinstance(step, sites.Go)]
    pages = {path for path, methods in scanning.routes(app) if "GET" in methods and not path.startswith(TEAM)}
    met = {path for path in pages if any(compile_path(path)[0].match(one) for one in opened)}
    assert pages - met - NOT_LOOKED_AT.keys() == set(), "a page that no judge opens: add it to tests/judges/site.py"
    assert NOT_LOOKED_AT.keys() <= pages, "an exception without a route"
