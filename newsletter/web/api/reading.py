"""How a body is read: JSON of which there is one meaning, else it is refused."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute


class Strict(Request):
    """A request whose JSON names nothing twice (RFC 8259 §4 leaves open which would count) and holds JSON's numbers alone."""

    async def json(self) -> Any:
        """Return what the body says. Raises JSONDecodeError, also for what is nested too deep and for bytes that are no text."""
        body = await self.body()
        try:
            return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_never)
        except (ValueError, RecursionError):
            # Where it is wrong is not said on: a body may hold an address, and its errors are kept by nobody.
            raise json.JSONDecodeError("no JSON that has one meaning", "", 0) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _never(constant: str) -> Any:
    raise ValueError(constant)


class StrictRoute(APIRoute):
    """A route of the API: it reads bodies so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, before which the request is made strict."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(Strict(request.scope, request.receive))

        return strictly
