"""Pictures of articles, from a stranger's server to our own page: asked for once, and never by a reader."""

import ipaddress
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import assembly
from newsletter.issues import pictures
from newsletter.journeys import picturing, publish
from newsletter.journeys.picturing import Pictured
from newsletter.web import create
from tests import house
from tests.issues.test_shrinking import photo


@contextmanager
def site(documents):
    """Serve documents on loopback; yields the address and the list of paths that were asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = documents.get(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def made(tmp_path, database_urls, sink):
    """A product that may fetch from loopback."""
    built = house.build(tmp_path, database_urls, sink.url)
    chosen = built.settings.model_copy(update={"fetch_allow": (ipaddress.ip_network("127.0.0.0/8"),)})
    built.close()
    again = assembly.assemble(chosen)
    yield again
    again.close()


def bring_in(made, tmp_path, *urls):
    """Store articles with these pictures as if their feed had been read; feeds themselves give https addresses only."""
    house.add_articles(made, tmp_path, *(f"Story {place}" for place in range(len(urls))))
    with made.parts.database.transaction() as session:
        for place, url in enumerate(urls):
            facts = {"url": url, "title": f"Story {place}"}
            session.execute(
                text("UPDATE article SET image_url = :url, image_alt = 'A well' WHERE title = :title"), facts
            )


def html_of(made, tmp_path):
    house.add_readers(made, tmp_path, house.addresses(2))
    composed = publish.compose(made.parts, house.DIGEST)
    [page] = [path for path in publish.preview(made.parts, composed.issue, tmp_path / "out") if path.suffix == ".html"]
    return page.read_text()


def test_a_picture_is_asked_for_once_and_served_by_us(made, tmp_path):
    """Who asks a stranger's server for a picture tells it who reads what; so only we do, once."""
    with site({"/well.jpg": photo()}) as (base, asked):
        bring_in(made, tmp_path, f"{base}/well.jpg")
        assert picturing.fetch_due(made.parts) == Pictured(1, 0)
        assert picturing.fetch_due(made.parts) == Pictured(0, 0)
        page = html_of(made, tmp_path)
        assert asked == ["/well.jpg"]
    assert base not in page
    [address] = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert address.startswith("http://127.0.0.1:8080/pictures/")
    assert 'alt="A well"' in page
    with TestClient(create(made)) as client:
        path = address.removeprefix("http://127.0.0.1:8080")
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert "immutable" in answer.headers["cache-control"]
        assert client.head(path).status_code == 200
        assert client.get("/pictures/nothing.jpg").status_code == 404
        assert client.get("/pictures/%00.jpg").status_code == 404


def test_what_cannot_be_had_is_left_out_and_not_asked_for_again(made, tmp_path):
    """A digest must not wait for a dead host, nor show a hole where a picture should be."""
    with site({"/page.jpg": b"<html>gone</html>"}) as (base, asked):
        bring_in(made, tmp_path, f"{base}/gone.jpg", f"{base}/page.jpg", "http://127.0.0.1:9/dead.jpg")
        assert picturing.fetch_due(made.parts) == Pictured(0, 3)
        assert picturing.fetch_due(made.parts) == Pictured(0, 0)
        assert sorted(asked) == ["/gone.jpg", "/page.jpg"]
    assert "<img" not in html_of(made, tmp_path)
    with made.parts.database.transaction() as session:
        assert sorted(session.execute(text("SELECT fault FROM picture")).scalars()) == [
            "fetch.unreachable",
            "fetch.unreachable",
            "pictures.unfit",
        ]


def test_two_fetchers_at_once_keep_one(made, tmp_path):
    """A job may run twice."""
    with made.parts.database.transaction() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
        assert [pictures.claim(session, "https://sarand.example/a.jpg", now=now) for _ in range(2)] == [True, False]
        for _ in range(2):
            pictures.keep(session, "https://sarand.example/a.jpg", b"jpeg", width=560, height=300, now=now)
        assert session.execute(text("SELECT count(*) FROM picture")).scalar_one() == 1
        assert pictures.served(session, ["https://sarand.example/a.jpg"])["https://sarand.example/a.jpg"].width == 560
