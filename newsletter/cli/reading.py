"""An alert read before a word is given for it: what is approved at the command line is what stands above the question."""

import unicodedata
from collections.abc import Callable, Iterator

from newsletter import languages
from newsletter.assembly import Newsletter
from newsletter.cli.door import page, screen
from newsletter.issues.manuscript import Manuscript
from newsletter.journeys import desk, translating
from newsletter.journeys.agreeing import Since
from newsletter.journeys.desk import Alert
from newsletter.journeys.narrowing import Limits
from newsletter.ledger.locks import NotLocked


def read(made: Newsletter, number: int, *, reader: int | None = None) -> str:
    """Print all that somebody's word is asked for, and return its fingerprint. Raises NotLocked, NotAnAlert, UnknownMailing.

    reader   as for agreeing.since

    On stderr, as the question that follows: stdout stays one document.
    """
    found = desk.shown(made.parts, number, reader=reader)
    locked = found.standing.locked
    if locked is None:
        raise NotLocked(number)
    for line in (*_audience(made, found), *words(found.texts), *_back(found), *changes(found.standing.since)):
        _print(screen.print, line)
    _print(screen.print, languages.say("alert.reads-code", code=locked.code))
    return locked.fingerprint


def draft(made: Newsletter, number: int) -> str:
    """Print what an alert says before it is locked, and return by what a lock knows these words.

    On stderr, as `read`. Raises NotAnAlert, UnknownMailing.
    """
    found = desk.shown(made.parts, number)
    for line in words(found.texts):
        _print(screen.print, line)
    return found.print


def show(lines: Iterator[str]) -> None:
    """Print lines of an alert on stdout."""
    for line in lines:
        _print(page.print, line)


def words(texts: tuple[Manuscript, ...]) -> Iterator[str]:
    """Yield what an alert says, in each of its languages."""
    for text in texts:
        yield languages.say("alert.reads-language", language=text.language, subject=text.subject)
        heads = [one for one in (text.headline, text.preheader) if one and one != text.subject]
        links = [*filter(None, [text.url]), *(f"{label}: {url}" for label, url in text.actions)]
        for line in (*heads, *text.markdown.strip().splitlines(), *links):
            yield f"  {line}"


def _back(found: Alert) -> Iterator[str]:
    """Yield what would take an alert back: it is approved with it, and goes by one person's word."""
    yield languages.say("alert.reads-back")
    yield from words(found.backwards)


def changes(found: Since | None) -> Iterator[str]:
    """Yield what is another than at a lock of before, and which that is."""
    if found is None:
        return
    which = "own" if found.own else "approved" if found.approved else "first"
    yield languages.say(f"alert.since-{which}", number=found.number)
    if found.between:
        yield languages.counted("alert.since-between", "en", found.between, count=found.between)
    if not found.changes:
        yield languages.say("alert.since-nothing")
    for change in found.changes:
        facts = {"before": change.before or "–", "after": change.after or "–"}
        yield languages.say(f"alert.changed-{change.what}", **facts)
        for line in change.lines:
            yield f"  {line}"


def limits(found: Limits) -> Iterator[str]:
    """Yield to which part of its digest's readers an alert is limited."""
    if found.topics:
        yield languages.say("alert.reads-topics", topics=", ".join(found.topics))
    if found.segment:
        yield languages.say("alert.reads-segment", segment=found.segment, conditions="; ".join(found.conditions) or "–")


def _audience(made: Newsletter, found: Alert) -> Iterator[str]:
    number, locked = found.standing.mailing, found.standing.locked
    count = locked.count if locked else 0
    yield languages.say("alert.reads-audience", mailing=number, count=count, digest=found.digest.name)
    if found.wider is not None:
        yield languages.say("alert.more-readers", mailing=found.wider)
    place = translating.languages(made.parts, number)
    if place.of is not None:
        yield languages.say("alert.reads-also-had" if place.also_had else "alert.reads-waiting", of=place.of)
    if place.only:
        yield languages.say("alert.reads-only", languages=", ".join(place.only))
    yield from limits(place.limits)
    if place.later:
        yield languages.say("alert.reads-later", languages=", ".join(place.later))


def _print(out: Callable[..., None], line: str) -> None:
    # A text that moves the cursor could hide a line of itself.
    plain = "".join("\ufffd" if unicodedata.category(sign) == "Cc" and sign != "\t" else sign for sign in line)
    out(plain, soft_wrap=True, markup=False)
