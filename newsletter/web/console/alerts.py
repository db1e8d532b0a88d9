"""Alerts on a phone: write, look, lock, approve, send, watch, end. No page needs JavaScript but to sign with a passkey."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool

from newsletter import languages
from newsletter.campaigns.errands import Act
from newsletter.errors import Conflict, Invalid, NewsletterError
from newsletter.issues import manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import BadManuscript, Manuscript
from newsletter.journeys import alert, bulletins, desk, drilling, errands, mandates, previews, stopping, translating
from newsletter.journeys.entering import Visitor
from newsletter.journeys.parts import Parts
from newsletter.ledger.mailings import NOT_GONE, State
from newsletter.ledger.tallies import WITH_ALERT
from newsletter.operators.roles import May
from newsletter.operators.sessions import Factor
from newsletter.web.console import asking, gate
from newsletter.web.security import MAIL_POLICY

router = APIRouter(prefix="/console/alerts")
READ = ["GET", "HEAD"]
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]
Place = Annotated[int, Path(ge=1, le=2**31 - 1)]
ACTIONS = 2
MOST_FRAMES = 10
LONGER_HOURS = 12
LOOKS = {"waiting": 1, "going": 3}
"""After how many seconds a page asks anew, while a worker is at it and while an alert goes."""
CHECK_PATIENCE = timedelta(seconds=20)
"""How long a page waits for links to be tried: where no worker runs it must not ask for ever."""


class BadButton(Invalid):
    """A button says nothing, or leads nowhere a mail may lead."""

    def __init__(self, label: str, url: str) -> None:
        super().__init__("alert.bad-button", label=label or "–", url=url or "–")


class NothingWritten(Conflict):
    """No language has a text."""

    def __init__(self) -> None:
        super().__init__("alert.nothing-written")


class NobodyTicked(Invalid):
    """An alert is for readers of no language at all."""

    def __init__(self) -> None:
        super().__init__("alert.nobody-ticked")


@router.api_route("", methods=READ)
def list_(request: Request) -> HTMLResponse:
    """List the newest alerts."""
    who = gate.visitor(request)
    parts = gate.made(request).parts
    lit = drilling.lamp(parts)
    facts: dict[str, Any] = {"alerts": desk.listed(parts), "held": bulletins.held_words(parts)}
    return gate.show(
        request,
        "alerts.html",
        who=who,
        lamp=lit.ok,
        lane=drilling.sentence(lit, gate.language(request, who.operator)),
        **facts,
    )


@router.api_route("/new", methods=READ)
def write(
    request: Request,
    like: int | None = None,
    frame: Annotated[list[str], Query(max_length=MOST_FRAMES)] = [],  # noqa: B006 (FastAPI copies it)
    translates: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    updates: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> HTMLResponse:
    """Ask for a text: from nothing, an earlier alert or a frame a language; in a further language of one, or to follow it."""
    who = gate.visitor(request)
    who.require(May.WRITE)
    parts = gate.made(request).parts
    if like is not None:
        found = desk.shown(parts, like)
        return _form(request, who, [found.digest], found.texts)
    # Of two in one language the later one: whoever chose again meant that.
    texts = list({text.language: text for text in (desk.framed(parts, one) for one in frame)}.values())
    if translates is not None or updates is not None:
        of: dict[str, Any] = {"translates": translates} if translates is not None else {"updates": updates or 0}
        [about] = of.values()
        return _form(request, who, [desk.shown(parts, about).digest], texts, offers=_frames(parts, texts, **of), **of)
    return _form(request, who, desk.audiences(parts), texts, offers=_frames(parts, texts))


def _frames(parts: Parts, chosen: Sequence[Manuscript], **more: int) -> dict[str, list[tuple[str, str]]]:
    """Return for each language the frames in it, and where each leads: with those that are chosen in other languages."""

    def place(name: str, language: str) -> str:
        names = [*(text.frame for text in chosen if text.language != language), name]
        return f"/console/alerts/new?{urlencode([*more.items(), *(('frame', one) for one in names)])}"

    return {
        language: [(name, place(name, language)) for name in names] for language, names in desk.frames_in(parts).items()
    }


@router.post("")
async def draft(request: Request) -> Response:
    """Have an alert composed."""
    return await _written(request, None)


@router.api_route("/{number}/edit", methods=READ)
def rewrite(request: Request, number: Id) -> HTMLResponse:
    """Show an alert's text to be changed."""
    who = gate.visitor(request)
    who.require(May.WRITE)
    found = desk.shown(gate.made(request).parts, number)
    return _form(request, who, [found.digest], found.texts, number=number, seen=found.print)


@router.post("/{number}/edit")
async def edit(request: Request, number: Id) -> Response:
    """Have an alert composed anew; its lock and approval are void."""
    return await _written(request, number)


async def _written(request: Request, number: int | None) -> Response:
    """Read the form, which has fields for each language, and give it to a worker."""
    fields = {name: str(value) for name, value in (await request.form()).items()}
    return await run_in_threadpool(_have_composed, request, number, fields)


def _have_composed(request: Request, number: int | None, fields: dict[str, str]) -> Response:
    who = gate.visitor(request)
    who.require(May.WRITE)
    parts = gate.made(request).parts
    chosen = [one for one in desk.audiences(parts) if one.key == fields.get("digest")]
    if not chosen:
        raise HTTPException(422)
    spoken = _languages(fields, chosen[0].languages)
    texts = _texts(fields, spoken)
    late = _late(fields, spoken, texts)
    try:
        words = [_checked(parts, text) for text in texts]
        if not words:
            raise NothingWritten
        if fields.get("readers") and not any(fields.get(f"only-{one}") for one in spoken):
            raise NobodyTicked
    except NewsletterError as problem:
        return _form(request, who, chosen, texts, number=number, problem=problem, seen=fields.get("seen", ""), **late)
    act = Act.DRAFT if number is None else Act.EDIT
    asked = {"words": words, "digest": chosen[0].key, "seen": fields.get("seen", "")} | late
    ended = asking.ask(request, who, act, mailing=number, **asked)
    if ended.refused:
        seen = fields.get("seen", "")
        return _form(request, who, chosen, texts, number=number, problem=asking.refusal(ended), seen=seen, **late)
    return asking.go_on(ended)


def _late(fields: dict[str, str], languages: Sequence[str], texts: Sequence[Manuscript]) -> dict[str, Any]:
    """Return which alert the texts are languages of, and for whom; or which one they follow, which come later, and who gets it."""
    if (of := fields.get("translates", "")).isdecimal():
        return {"translates": int(of[:18]), "also_had": fields.get("for") == "also-had"}
    written = {text.language for text in texts}
    late: dict[str, Any] = {"later": [one for one in languages if fields.get(f"later-{one}") and one not in written]}
    updates = fields.get("updates", "")
    late |= {"updates": int(updates[:18])} if updates.isdecimal() else {}
    if not fields.get("readers"):
        return late
    only = [one for one in languages if fields.get(f"only-{one}")]
    return late | {"only": [] if len(only) == len(languages) else only}


def _languages(fields: dict[str, str], usual: Sequence[str]) -> list[str]:
    """Return the languages that a form has fields for: the digest's first, then others in which the alert was written elsewhere."""
    written = (languages.tag(name.removeprefix("subject-")) for name in fields if name.startswith("subject-"))
    return list(dict.fromkeys([*usual, *filter(None, written)]))


def _texts(fields: dict[str, str], languages: Sequence[str]) -> list[Manuscript]:
    """Return what was written in each language; nothing for those left empty."""
    found = []
    for language in languages:
        subject, text = (fields.get(f"{name}-{language}", "").strip() for name in ("subject", "text"))
        pairs = [
            (fields.get(f"label-{language}-{one}", "").strip(), fields.get(f"url-{language}-{one}", "").strip())
            for one in range(ACTIONS)
        ]
        actions = tuple(pair for pair in pairs if any(pair))
        if subject or text or actions:
            frame = fields.get(f"frame-{language}", "").strip()
            written = text.replace("\r\n", "\n") + "\n"
            headline, preheader, url = (
                fields.get(f"{name}-{language}", "").strip() for name in ("headline", "preheader", "page")
            )
            found.append(Manuscript(subject, headline or subject, preheader, language, url, actions, written, frame))
    return found


def _checked(parts: Parts, text: Manuscript) -> str:
    """Return a text's file. Raises BadManuscript."""
    if not text.subject:
        raise BadManuscript("no-subject")
    for label, url in text.actions:
        if not label or not re.fullmatch(r"https://[^\s|]+", url):
            raise BadButton(label, url)
    written = desk.file(parts, text)
    manuscript.read(written, language=text.language)
    return written


def _form(
    request: Request,
    who: Visitor,
    digests: Sequence[DigestView],
    texts: Sequence[Manuscript],
    *,
    number: int | None = None,
    problem: NewsletterError | None = None,
    seen: str = "",
    later: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    translates: int | None = None,
    also_had: bool = False,
    updates: int | None = None,
    offers: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({}),
) -> HTMLResponse:
    """Show the form. offers: for each language the frames to begin with; none where that would throw away what is written."""
    written = {text.language: text for text in texts}
    languages = list(dict.fromkeys([*(language for one in digests for language in one.languages), *written]))
    about = translates or number
    place = translating.languages(gate.made(request).parts, about) if about else None
    if place is not None and (translates or place.of):
        # Of an alert that has gone only what it has not yet; of a language that came later only that.
        languages = list(place.missing if translates else place.own)
    if later is None:
        later = place.later if place else ()
    if only is None:
        only = place.only if place else ()
    facts: dict[str, Any] = {
        "frames": offers,
        "seen": seen,
        "digests": digests,
        "place": place,
        "offered": translating.offered(gate.made(request).parts, translates) if translates else (),
        "later": later,
        "only": only,
        "translates": translates,
        "also_had": also_had,
        "updates": updates,
        "languages": languages,
        "written": written,
        "mailing": number,
        "actions": range(ACTIONS),
    }
    return gate.show(request, "alert-write.html", who=who, problem=problem, **facts)


@router.api_route("/{number}", methods=READ)
def show(request: Request, number: Id, retract: bool = False) -> HTMLResponse:
    """Show where an alert stands, and what may be done with it. retract: with the button that takes it back, under no reload."""
    return _shown(request, gate.visitor(request), number, retracting=retract)


def _shown(
    request: Request, who: Visitor, number: int, problem: NewsletterError | None = None, *, retracting: bool = False
) -> HTMLResponse:
    parts = gate.made(request).parts
    found = desk.shown(parts, number)
    waits = found.standing.state in NOT_GONE
    checked = desk.checked(parts, found) if waits else None
    rules = parts.house.rules
    locked = found.standing.locked
    alone = locked is not None and found.standing.state is State.LOCKED and May.SEND in who.operator.may
    signing = asking.signing(request, who, bytes.fromhex(locked.fingerprint)) if locked and alone else None
    answer = gate.show(
        request,
        "alert.html",
        script=signing is not None,
        signing=signing,
        codes=locked is not None and locked.count <= rules.codes_to,
        who=who,
        problem=problem,
        retracting=retracting,
        alert=found,
        place=translating.languages(parts, number),
        waiting=translating.waiting(parts, number) if waits else None,
        halted=found.status.halted and f"halted.{found.status.halted}",
        along=found.status.halted == WITH_ALERT,
        checked=checked,
        kept=() if waits else desk.kept(parts, found),
        rules=rules,
        longer=LONGER_HOURS,
        few=_few(found, rules.few),
        offer=mandates.offer(parts, number, by=who.operator.id) if alone else None,
    )
    typing = alone and not _few(found, rules.few)
    looks = None if problem or retracting or typing else _looks(parts, found, checked)
    if looks is not None:
        answer.headers["refresh"] = str(looks)
    return answer


def _looks(parts: Parts, found: desk.Alert, checked: desk.Checks | None) -> int | None:
    """Return after how many seconds a page on which nobody types asks anew; None: never."""
    if found.standing.state is State.SENDING:
        return LOOKS["going"]
    if checked is None or checked.links is not None:
        return None
    return LOOKS["waiting"] if errands.is_checked(parts, found.standing.mailing, since=CHECK_PATIENCE) else None


def _few(found: desk.Alert, few: int) -> bool:
    return found.standing.locked is not None and found.standing.locked.together <= few


@router.api_route("/{number}/preview/{version}", methods=READ)
def preview(request: Request, number: Id, version: Place, name: str = "") -> Response:
    """Show a version as a reader of that name sees it, in a sandbox of its own; one of plain text as that."""
    gate.visitor(request)
    found = previews.of_version(gate.made(request).parts, number, version, name=name[:80])
    if found is None:
        raise HTTPException(404)
    if not found.html:
        return PlainTextResponse(found.text)
    return HTMLResponse(found.html, headers={"content-security-policy": MAIL_POLICY})


@router.post("/{number}/lock")
def lock(request: Request, number: Id, seen: Annotated[str, Form()] = "") -> Response:
    """Fix everything about an alert, as it was before their eyes."""
    return _errand(request, number, Act.LOCK, May.SEND, seen=seen)


@router.post("/{number}/release")
def release(request: Request, number: Id, seen: Annotated[str, Form()] = "") -> Response:
    """Let it go now, as it was before their eyes."""
    return _errand(request, number, Act.RELEASE, May.SEND, seen=seen)


@router.post("/{number}/alone")
def alone(
    request: Request,
    number: Id,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Let it go after the delay in which everyone may stop it, by the same proof as an approval."""
    return _errand(request, number, Act.ALONE, May.SEND, factor=factor, answer=answer, seen=fingerprint)


@router.post("/{number}/mandated")
def mandated(
    request: Request,
    number: Id,
    mandate: Annotated[int, Form()] = 0,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Let it go by a mandate that two others signed: one thumb."""
    facts = {"mandate": mandate, "factor": factor, "answer": answer, "seen": fingerprint}
    return _errand(request, number, Act.MANDATED, May.SEND, **facts)


@router.post("/{number}/retract")
def retract(request: Request, number: Id) -> Response:
    """Take it back from everyone who has it."""
    return _errand(request, number, Act.RETRACT, May.STOP)


@router.post("/{number}/extend")
def extend(request: Request, number: Id) -> Response:
    """Give it longer, as far as its lock allows."""
    return _errand(request, number, Act.EXTEND, May.SEND, hours=LONGER_HOURS)


def _errand(request: Request, number: int, act: Act, needs: May, **facts: object) -> Response:
    """Have a worker do something, and show the alert; or why it was refused."""
    who = gate.visitor(request)
    who.require(needs)
    ended = asking.ask(request, who, act, mailing=number, **facts)
    if ended.refused:
        return _shown(request, who, number, asking.refusal(ended))
    return asking.go_on(ended)


@router.api_route("/errands/{errand}", methods=READ)
def wait(request: Request, errand: Id) -> Response:
    """Wait for a worker, and go on to what it did."""
    who = gate.visitor(request)
    ended = errands.wait(gate.made(request).parts, errand, by=who.operator.id, seconds=0)
    if ended.done_at is None:
        answer = gate.show(request, "alert-waits.html", who=who)
        answer.headers["refresh"] = str(LOOKS["waiting"])
        return answer
    if not ended.refused:
        return asking.go_on(ended)
    if ended.mailing is None:
        return gate.show(request, "alert-waits.html", who=who, problem=asking.refusal(ended))
    return _shown(request, who, ended.mailing, asking.refusal(ended))


@router.api_route("/{number}/approve", methods=READ)
def ask_approval(request: Request, number: Id) -> HTMLResponse:
    """Show every word that is to be approved, what is another than before, and how to sign."""
    return _approval(request, gate.visitor(request), number)


def _approval(request: Request, who: Visitor, number: int, problem: NewsletterError | None = None) -> HTMLResponse:
    who.require(May.APPROVE)
    parts = gate.made(request).parts
    found = desk.shown(parts, number)
    locked = found.standing.locked
    if found.standing.state is not State.LOCKED or locked is None:
        return _shown(request, who, number, problem)
    signing = asking.signing(request, who, bytes.fromhex(locked.fingerprint))
    codes = locked.count <= parts.house.rules.codes_to
    facts = {
        "alert": found,
        "locked": locked,
        "signing": signing,
        "codes": codes,
        "place": translating.languages(parts, number),
        "own": who.operator.id in found.standing.wrote,
    }
    return gate.show(request, "alert-approve.html", who=who, problem=problem, script=signing is not None, **facts)


@router.post("/{number}/approve")
def approve(
    request: Request,
    number: Id,
    fingerprint: Annotated[str, Form()] = "",
    factor: Annotated[Factor, Form()] = Factor.TOTP,
    answer: Annotated[str, Form()] = "",
) -> Response:
    """Sign what the page before showed: by a code, or by a passkey over the fingerprint."""
    who = gate.visitor(request)
    who.require(May.APPROVE)
    parts = gate.made(request).parts
    try:
        alert.sign(parts, number, by=who.operator.id, factor=factor, answer=answer, seen=fingerprint)
    except NewsletterError as problem:
        return _approval(request, who, number, problem)
    return _errand(request, number, Act.SETTLE, May.APPROVE)


@router.post("/{number}/pause")
def pause(request: Request, number: Id) -> Response:
    """Halt it: it can go on."""
    return _halt(request, number, State.PAUSED)


@router.post("/{number}/resume")
def resume(request: Request, number: Id) -> Response:
    """Let it go on where it stood."""
    return _errand(request, number, Act.RESUME, May.SEND)


@router.post("/{number}/stop")
def stop(request: Request, number: Id) -> Response:
    """End it for good: one person, and nothing more is asked."""
    return _halt(request, number, State.STOPPED)


def _halt(request: Request, number: int, to: State) -> Response:
    who = gate.visitor(request)
    who.require(May.STOP)
    try:
        stopping.by_hand(gate.made(request).parts, number, to, by=who.operator.id)
    except NewsletterError as problem:
        return _shown(request, who, number, problem)
    return gate.go(f"/console/alerts/{number}")
