"""A scanner that is a whole browser: it runs scripts, fetches ahead, opens every link of a mail and touches all it finds there."""

import http.server
import json
import threading
import time
from contextlib import contextmanager

import pytest

from newsletter import database
from newsletter.web import create
from tests import house
from tests.judges import browsing
from tests.judges.test_console import port as port
from tests.web import scanning

MAILBOX = """<!DOCTYPE html><html lang="en"><head><title>Mail</title>
%(ahead)s
<script type="speculationrules">%(rules)s</script></head><body>
%(links)s
<script>
const links = %(list)s;
const ask = (method) => Promise.all(links.map(
  (one) => fetch(one, {mode: "no-cors", credentials: "include", method}).catch(() => 0)));
ask("GET").then(() => ask("HEAD")).then(() => { document.title = "all fetched"; });
for (const one of links) {
  const frame = document.createElement("iframe");
  frame.src = one;
  document.body.append(frame);
  new Image().src = one;
}
</script></body></html>"""

# What a page is made to do that knows nothing of its buttons but that they are there.
TOUCH = """(async () => {
  for (const one of document.querySelectorAll("*")) {
    for (const kind of ["pointerover", "mouseover", "mouseenter", "mousemove", "focusin", "pointerdown", "touchstart"])
      one.dispatchEvent(new Event(kind, {bubbles: true}));
    if (one.focus) one.focus();
  }
  scrollTo(0, document.body.scrollHeight);
  const ahead = [...document.querySelectorAll("a[href], link[href], img[src]")].map((one) => one.href || one.src);
  await Promise.all(ahead.filter((one) => one.startsWith(location.origin)).map((one) => fetch(one).catch(() => 0)));
  return ahead.length;
})()"""


class Watched:
    """The pages behind a recorder of what is asked of them, and whether it says that it is fetched ahead."""

    def __init__(self, app):
        self.app, self.asked = app, []

    def ahead(self):
        """Return which paths were fetched ahead."""
        return {path for _, path, ahead in self.asked if "prefetch" in ahead}

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            ahead = headers.get(b"sec-purpose", headers.get(b"purpose", b"")).decode()
            self.asked.append((scope["method"], scope["path"], ahead))
        await self.app(scope, receive, send)


@contextmanager
def mailbox(page):
    """Serve a mail program's page that holds the links; yield its address."""

    class Mail(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mail)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join(timeout=20)


def page(urls):
    rules = {
        "prefetch": [{"urls": urls, "eagerness": "immediate"}],
        "prerender": [{"urls": urls, "eagerness": "immediate"}],
    }
    return MAILBOX % {
        "ahead": "\n".join(f'<link rel="prefetch" href="{one}"><link rel="prerender" href="{one}">' for one in urls),
        "rules": json.dumps(rules),
        "links": "\n".join(f'<a href="{one}">{place}</a>' for place, one in enumerate(urls)),
        "list": json.dumps(urls),
    }


@pytest.mark.proof
@pytest.mark.short
def test_a_browser_that_looks_ahead_changes_nothing(chromium, tmp_path, database_urls, port):
    """Mail gateways open links in a real browser, with JavaScript, before the reader has seen the mail."""
    base = f"http://localhost:{port}"
    worker = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", base_url=base)
    web = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, base_url=base)
    with worker.parts.database.transaction() as session:
        on = scanning.ground(worker, tmp_path, database.now(session))
    urls = [base + path for path in scanning.answers(on)]
    app = Watched(create(web))
    with scanning.served(app, port), mailbox(page(urls)) as mail, browsing.running(chromium) as browser:
        chrome = browsing.phone(browser)
        before, home = scanning.dump(database_urls.owner), scanning.files(tmp_path / "home")
        chrome.goto(mail)
        browsing.until(chrome, "document.title === 'all fetched'")
        # What a browser fetches ahead comes last, when it has nothing better to do, and not at all once it has gone on.
        end = time.monotonic() + 20
        while not set(scanning.answers(on)) <= app.ahead() and time.monotonic() < end:
            time.sleep(0.1)
        for url in urls:
            chrome.goto(url)
            chrome.evaluate(TOUCH)
        after = scanning.dump(database_urls.owner)
        assert scanning.files(tmp_path / "home") == home
    worker.close()
    assert {name for name in before if after[name] != before[name]} == set()
    assert {method for method, _, _ in app.asked} == {"GET", "HEAD"}
    assert set(scanning.answers(on)) <= {path for method, path, _ in app.asked if method == "HEAD"}
    assert set(scanning.answers(on)) <= app.ahead()
