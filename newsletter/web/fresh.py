"""Answers that are the same for everyone, kept for half a second: a page that all open at once asks the database twice a second.

No longer, because what is taken back must be gone from every page within the second.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from newsletter.web.speaking import asked_for, liked

SECONDS = 0.5
MOST = 256
READ = ("GET", "HEAD")
KEPT_HEADERS = ("content-language", "content-security-policy", "vary")


class Fresh:
    """The newest answers of one process. Not for those that hold anything of a visitor: no cookie, no token, nothing they wrote."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, Response]] = OrderedDict()
        self._making: dict[Hashable, tuple[float, asyncio.Future[Response]]] = {}

    def get(self, key: Hashable) -> Response | None:
        """Return an answer that is fresh, or None. A copy: the guard dresses each."""
        at, answer = self._kept.get(key, (-SECONDS, None))
        if answer is None or self._clock() - at >= SECONDS:
            return None
        return _copy(answer)

    def put(self, key: Hashable, answer: Response, *, at: float | None = None) -> None:
        """Keep an answer. at: of which moment it speaks; None: of now."""
        self._kept[key] = (self._clock() if at is None else at, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    async def answer(self, key: Hashable, make: Callable[[], Response]) -> Response:
        """Return an answer that is fresh, else one that is made in a thread: once, for all who ask meanwhile.

        Raises what making it does.
        """
        if (found := self.get(key)) is not None:
            return found
        began, making = self._making.get(key, (-SECONDS, None))
        if making is None or self._clock() - began >= SECONDS:
            # One that takes longer than an answer is kept may speak of what has been taken back since.
            began = self._clock()
            making = asyncio.ensure_future(self._make(key, make, began))
            self._making[key] = began, making
        return _copy(await asyncio.shield(making))

    async def _make(self, key: Hashable, make: Callable[[], Response], began: float) -> Response:
        try:
            made = await run_in_threadpool(make)
            if self._kept.get(key, (-SECONDS, None))[0] < began:
                self.put(key, made, at=began)
            return made
        finally:
            if self._making.get(key, (None, None))[0] == began:
                del self._making[key]


def _copy(answer: Response) -> Response:
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    return Response(bytes(answer.body), answer.status_code, headers, media_type=answer.headers["content-type"])


async def shared(
    request: Request, make: Callable[..., Response], *facts: Any, in_one_language: bool = False
) -> Response:
    """Answer a page that is the same for everyone who asks for this address in this language: `make(request, *facts)`.

    in_one_language   it is the same whatever a browser likes
    """
    cache: Fresh = request.app.state.fresh
    key = _place(request.scope) if in_one_language else _key(request.scope)
    return await cache.answer(key, lambda: make(request, *facts))


class Doorstep:
    """Hands out what is fresh before it is looked up whose page that is, which takes longer than all else of it."""

    def __init__(self, app: ASGIApp, *, fresh: Fresh) -> None:
        self._app = app
        self._fresh = fresh

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        reads = scope["type"] == "http" and scope["method"] in READ
        answer = (self._fresh.get(_place(scope)) or self._fresh.get(_key(scope))) if reads else None
        await (answer or self._app)(scope, receive, send)


def _place(scope: Scope) -> tuple[Hashable, ...]:
    """Return what each page which is the same for everyone may depend on: not the whole address, on which networks hang marks."""
    return scope["path"], asked_for(scope), Headers(scope=scope).get("host", "")


def _key(scope: Scope) -> tuple[Hashable, ...]:
    """Return that, and the language that a browser likes: of a thousand phones each has its own list of them."""
    return *_place(scope), liked(Headers(scope=scope).get("accept-language", ""))
