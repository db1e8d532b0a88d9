"""Rendering of pages: one place that knows templates, languages and the name of the house; and what stands behind a request."""

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from newsletter import languages
from newsletter.assembly import Newsletter
from newsletter.templating import templates_of
from newsletter.web.wording import SPOKEN as SPOKEN
from newsletter.web.wording import Voice


class Pages:
    """Renders templates/web/… for people."""

    def __init__(self, newsletter: Newsletter) -> None:
        self._templates = templates_of(newsletter.settings.templates)
        self._letterhead = newsletter.parts.letterhead
        self._exit = newsletter.settings.exit_url
        self._zone = newsletter.parts.zone
        self.style = self._templates.source("web/style.css")
        self.leaving = self._templates.source("web/public/exit.js")
        self.sums = self._templates.source("web/public/join.js")
        self.script = self._templates.source("web/console/passkey.js")

    def learn(self) -> None:
        """Read the languages and what readers are shown now: the first of a crowd would wait for it, and all behind them."""
        languages.learn()
        for name in self._templates.names("web/public", "html"):
            self._templates.get(f"web/public/{name}.html")

    def show(self, name: str, *, language: str = "en", status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a page as an answer. A language we do not speak is answered in English.

        choices   the languages it can be had in besides, with their addresses, where no reader's own is known
        """
        base = languages.base(language)
        spoken = base if base in SPOKEN else "en"
        body = self._templates.render(
            f"web/{name}",
            exit_url=self._exit,
            organisation=self._letterhead.sender_name or "Newsletter",
            **{**Voice(spoken, self._zone).tools(), "facts": {}, "choices": (), "exits": True, **facts},
        )
        return HTMLResponse(body, status_code=status, headers=_spoken_in(spoken, chosen=bool(facts.get("choices"))))


def product(request: Request) -> Newsletter:
    """Return the product that a request came to."""
    found: Newsletter = request.app.state.newsletter
    return found


def of(request: Request) -> Pages:
    """Return the pages that a request came to."""
    found: Pages = request.app.state.pages
    return found


def _spoken_in(language: str, *, chosen: bool) -> dict[str, str]:
    """Say in which language an answer is, and whether the browser's wish decided that."""
    return {"content-language": language} | ({"vary": "accept-language"} if chosen else {})
