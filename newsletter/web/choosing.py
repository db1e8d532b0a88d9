"""The page behind "change what you get": three choices first, everything else behind them, and what a fresh link adds."""

from contextlib import suppress
from datetime import date
from typing import Annotated

import babel
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from newsletter import languages
from newsletter.composer.styles import Style
from newsletter.database import DatabaseUnreachable
from newsletter.journeys import choosing, consenting, leaving, privacy, proving
from newsletter.journeys.choosing import Details
from newsletter.subscribers import pausing
from newsletter.subscribers.people import Own
from newsletter.subscribers.preferences import BadChoice, Level
from newsletter.subscribers.styles import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.tokens import TooOld
from newsletter.web import pages
from newsletter.web.pages import SPOKEN
from newsletter.web.speaking import spoken

router = APIRouter()
LONGEST = 100
_RHYTHM = "rhythm-"

Text = Annotated[str, Form()]


@router.api_route("/p/{token}", methods=["GET", "HEAD"])
def preferences(request: Request, token: str) -> HTMLResponse:
    """Show what a reader takes; by a fresh link, what is kept of them as well. Mail scanners follow this link: nothing changes."""
    return _page(request, token)


@router.post("/p/{token}")
def choose(
    request: Request, token: str, action: Text, level: Annotated[Level | None, Form()] = None, wording: Text = ""
) -> HTMLResponse:
    """Take one of the three choices, or leave everything. wording: the version of the words above the button."""
    parts = pages.product(request).parts
    if action == "leave":
        return _left(request, token, shown=leaving.leave_everything(parts, token))
    if action != "level" or level is None:
        raise BadChoice("action")
    done = choosing.choose(parts, token, level, wording=wording)
    return _page(request, token, saved=done, mailed=not done)


@router.post("/p/{token}/more")
async def change(request: Request, token: str) -> HTMLResponse:
    """Take everything behind the three choices as it stands in the form."""
    fields = await request.form()
    rhythms = {
        name.removeprefix(_RHYTHM): str(value) for name, value in fields.items() if name.startswith(_RHYTHM) and value
    }
    marks = set(map(str, fields.getlist("style")))
    details = Details(
        rhythms={key: _rhythm(value) for key, value in rhythms.items()},
        topics=tuple(map(str, fields.getlist("topic"))),
        language=str(fields.get("language", "")),
        zone=str(fields.get("zone", "")),
        wording=str(fields.get("wording", "")),
        wish=Wish(Style.parse("".join(one[:1] for one in marks if one != "nameless")), "nameless" in marks),
    )
    done = await run_in_threadpool(choosing.change, pages.product(request).parts, token, details)
    return await run_in_threadpool(_page, request, token, saved=done, mailed=not done)


@router.post("/p/{token}/pause")
def pause(request: Request, token: str, until: Annotated[date, Form()]) -> HTMLResponse:
    """Give a rest until a day."""
    choosing.pause(pages.product(request).parts, token, until=until)
    return _page(request, token, saved=True)


@router.post("/p/{token}/resume")
def resume(request: Request, token: str) -> HTMLResponse:
    """End a rest before its day."""
    choosing.pause(pages.product(request).parts, token, until=None)
    return _page(request, token, saved=True)


@router.post("/p/{token}/link")
def link(request: Request, token: str) -> HTMLResponse:
    """Mail a fresh link to the address on file."""
    proving.ask(pages.product(request).parts, token)
    return _page(request, token, mailed=True)


@router.post("/p/{token}/own")
def own(request: Request, token: str, name: Text = "", postcode: Text = "", forget: Text = "") -> HTMLResponse:
    """Write down how somebody is called and where they live: by a fresh link alone. forget: nothing is kept of what is empty."""
    said = [text.strip()[:LONGEST] or ("" if forget else None) for text in (name, postcode)]
    choosing.rename(pages.product(request).parts, token, Own(*said))
    return _page(request, token, saved=True)


def _rhythm(written: str) -> Rhythm:
    try:
        return Rhythm(written)
    except ValueError:
        raise BadChoice("rhythm") from None


def _tongues(mine: str) -> list[tuple[str, str]]:
    """Return the languages to choose from, each as it calls itself; a reader's own as it is kept of them, also where we lack it."""
    base = languages.base(mine)
    offered = [(mine if one == base else one, languages.say("web.language-own", one)) for one in SPOKEN]
    return offered if base in SPOKEN else [(mine, _own_name(mine)), *offered]


def _own_name(tag: str) -> str:
    try:
        return babel.Locale.parse(tag, sep="-").get_display_name() or tag
    except (ValueError, babel.UnknownLocaleError):
        return tag


def _left(request: Request, token: str, *, shown: bool) -> HTMLResponse:
    """What stands there after leaving everything: that it is done, also while the database does not show it."""
    if shown:
        with suppress(DatabaseUnreachable):
            return _page(request, token, saved=True)
    tongue = spoken(request)
    offer = leaving.Offer(None, tongue, subscribed=False)
    return pages.of(request).show("public/old.html", language=tongue, offer=offer, token=token, saved=True)


def _page(request: Request, token: str, *, saved: bool = False, mailed: bool = False) -> HTMLResponse:
    parts = pages.product(request).parts
    try:
        found = choosing.shown(parts, token)
    except TooOld as old:
        offer = leaving.of_old(parts, old.link)
        return pages.of(request).show("public/old.html", language=offer.language, offer=offer, token=token, saved=saved)
    return pages.of(request).show(
        "public/preferences.html",
        language=found.language,
        found=found,
        token=token,
        saved=saved,
        mailed=mailed,
        levels=list(Level),
        rhythms=list(Rhythm),
        pauses=pausing,
        tongues=_tongues(found.language),
        mirrored=bool(parts.letterhead.mirror_url),
        agree=consenting.agreement(parts, found.language),
        sent=privacy.sent(parts, token) if found.own else None,
        most=privacy.PAGES,
    )
