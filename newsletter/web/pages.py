"""Rendering of pages: one place that knows templates, languages and the name of the house."""

from typing import Any

from fastapi.responses import HTMLResponse

from newsletter.assembly import Newsletter
from newsletter.templating import Templates
from newsletter.web.wording import SPOKEN as SPOKEN
from newsletter.web.wording import Voice


class Pages:
    """Renders templates/web/… for people."""

    def __init__(self, newsletter: Newsletter) -> None:
        self._templates = Templates(newsletter.settings.templates)
        self._letterhead = newsletter.parts.letterhead
        self._exit = newsletter.settings.exit_url
        self.style = self._templates.source("web/style.css")
        self.sums = self._templates.source("web/public/join.js")
        self.script = self._templates.source("web/console/passkey.js")

    def show(self, name: str, *, language: str = "en", status: int = 200, **facts: Any) -> HTMLResponse:
        """Return a page as an answer. A language we do not speak is answered in English."""
        base = language.split("-")[0].lower()
        spoken = base if base in SPOKEN else "en"
        body = self._templates.render(
            f"web/{name}",
            **Voice(spoken).tools(),
            exit_url=self._exit,
            organisation=self._letterhead.sender_name or "Newsletter",
            **{"facts": {}, **facts},
        )
        return HTMLResponse(body, status_code=status)
