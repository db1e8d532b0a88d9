"""In which language an answer is where no reader behind a link has chosen one: by the page's own links, else by the browser.

There is no cookie for it: a page's links to further pages name its language.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import QueryParams
from starlette.types import Scope

from newsletter import languages

ASKED = ("digest", "form", "language", "page")


def spoken(request: Request, asked: str = "", *, otherwise: str = "en") -> str:
    """Return the language of a page: the one asked for, else the first that the browser wants and we speak, else another.

    It stays with the request, so that a refusal is said in it as well.
    """
    named = asked or request.query_params.get("language", "")
    found = chosen(named, request.headers.get("accept-language", ""), otherwise=otherwise)
    request.state.language = found
    return found


def of(request: Request) -> str:
    """Return the language of a refusal: that of the page it is instead of, as far as it was known."""
    return getattr(request.state, "language", None) or spoken(request)


def chosen(asked: str, accepted: str, *, otherwise: str = "en") -> str:
    """Return the first of these languages that we speak.

    accepted   Accept-Language (RFC 9110 §12.5.4): the best liked first
    """
    wanted = (languages.base(asked), liked(accepted), languages.base(otherwise))
    return next((one for one in wanted if one in languages.spoken()), "en")


def liked(accepted: str) -> str:
    """Return what a browser likes best of the languages that we speak, "" where it names none of these."""
    wanted = (languages.base(one) for one in _ranked(accepted))
    return next((one for one in wanted if one in languages.spoken()), "")


def _ranked(accepted: str) -> Iterator[str]:
    liked = [(_quality(weight), tag.strip()) for tag, _, weight in (one.partition(";") for one in accepted.split(","))]
    return (tag for quality, tag in sorted(liked, key=lambda one: -one[0]) if quality > 0)


def _quality(weight: str) -> float:
    try:
        return float(weight.partition("=")[2] or 1)
    except ValueError:
        return 0.0


def choices(request: Request) -> list[tuple[str, str]]:
    """Return the languages a page can be had in, with the address of each; none for what a form sent: it would be lost."""
    if request.method not in ("GET", "HEAD"):
        return []
    kept = [(name, value) for name, value in asked_for(request.scope) if name != "language"]
    return [(one, f"?{urlencode([*kept, ('language', one)])}") for one in languages.spoken()]


def asked_for(scope: Scope) -> tuple[tuple[str, str], ...]:
    """Return what an address asks of a page that is for everyone.

    Networks hang a mark on it ("?fbclid=…"), another for each visitor: nothing depends on that, and no link of ours repeats it.
    """
    return tuple(one for one in QueryParams(scope["query_string"]).multi_items() if one[0] in ASKED)
