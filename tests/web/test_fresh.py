"""Pages that are the same for all: made once while they are fresh, and handed out before anything else is looked up."""

import asyncio

import pytest
from starlette.responses import HTMLResponse, PlainTextResponse

from newsletter.web.fresh import SECONDS, Doorstep, Fresh, shared

PLACE = {
    "path": "/alerts/7/fa",
    "query_string": b"",
    "headers": [(b"host", b"news.example"), (b"accept-language", b"fa")],
}


def scope(method="GET", **other):
    return {"type": "http", "method": method, **PLACE, **other}


@pytest.fixture
def house():
    """A door with an application behind it that makes pages which all may share, and remembers who came as far as it."""

    class House:
        def __init__(self):
            self.came, self.now = [], 100.0
            self.fresh = Fresh(clock=lambda: self.now)
            self.door = Doorstep(self._app, fresh=self.fresh)
            self.state = self

        async def _app(self, scope, receive, send):
            self.came.append(scope["type"])
            answer = PlainTextResponse("taken in")
            if scope.get("method") in ("GET", "HEAD"):
                answer = await shared(
                    Asked(scope, self), lambda _request: HTMLResponse("words", headers={"content-language": "fa"})
                )
            await answer(scope, receive, send)

        def asks(self, **which):
            sent = []

            async def send(message):
                sent.append(message)

            asyncio.run(self.door(scope(**which), None, send))
            return dict(sent[0]["headers"]), sent[1]["body"]

    return House()


class Asked:
    """As much of a request as sharing looks at."""

    def __init__(self, scope, app):
        self.scope, self.app = scope, app


def test_what_is_fresh_is_handed_out_at_the_door(house):
    """At 300 a second finding out whose page it is took more of a small server than all else: people waited two seconds."""
    first, again, head = house.asks(), house.asks(), house.asks(method="HEAD")
    assert first == again == head
    assert (first[1], first[0][b"content-language"]) == (b"words", b"fa")
    assert house.came == ["http"]


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/alerts/7/ar"},
        {"query_string": b"language=ar"},
        {"headers": [(b"host", b"mirror.example"), (b"accept-language", b"fa")]},
        {"headers": [(b"host", b"news.example"), (b"accept-language", b"ar")]},
        {"method": "POST"},
        {"type": "websocket"},
    ],
)
def test_who_asks_for_anything_else_is_let_in(house, other):
    """Another's language, another host's links, or a wish that nobody hears would be worse than a slow page."""
    house.asks()
    house.asks(**other)
    assert len(house.came) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"query_string": b"fbclid=IwAR2&utm_source=x"},
        {"headers": [(b"host", b"news.example"), (b"accept-language", b"fa-IR,fa;q=0.9,de;q=0.3")]},
        {"headers": [(b"host", b"news.example"), (b"accept-language", b"de-DE, FA-af;q=0.5, en;q=0.4")]},
    ],
)
def test_who_comes_by_another_way_to_the_same_page_is_handed_it(house, other):
    """Each phone has its own list of languages, and each click out of a network its own mark: nobody shared a page with anybody."""
    first = house.asks()
    assert house.asks(**other) == first
    assert len(house.came) == 1


def test_nothing_is_handed_out_once_it_is_no_longer_fresh(house):
    """What was taken back is gone from every page within the second."""
    house.asks()
    house.now += SECONDS
    house.asks()
    assert len(house.came) == 2
