"""The words of an alert: written in every language with what would take it back, and written anew until it is locked."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import Any

from newsletter import database
from newsletter.campaigns import alerts, errands
from newsletter.composer import alert as composing
from newsletter.composer.message import Compiled
from newsletter.composer.styles import PLAIN, Style
from newsletter.database import Session
from newsletter.delivery import following, planning
from newsletter.errors import Conflict, Invalid
from newsletter.issues import digests, manuscript
from newsletter.issues.digests import DigestView
from newsletter.issues.manuscript import Manuscript
from newsletter.jobs import LINKS
from newsletter.journeys import acting, announcing, inbound, lasting, narrowing, styling, telling, wanting
from newsletter.journeys.mailing import read_file
from newsletter.journeys.narrowing import EVERYBODY, Part
from newsletter.journeys.parts import Parts
from newsletter.ledger import locks, mailings, translating, variants
from newsletter.ledger.mailings import Draft, Kind, Lane, MailingView, State
from newsletter.operators import audit
from newsletter.operators.roles import May
from newsletter.subscribers import recipients


class ChangedMeanwhile(Conflict):
    """The alert was locked anew while somebody was reading it."""

    def __init__(self, mailing_id: int) -> None:
        super().__init__("alert.changed-meanwhile", mailing=mailing_id)


class NotWritten(Invalid):
    """A language that is to come later is none of the digest's, or is written already."""

    def __init__(self, language: str, languages: Sequence[str]) -> None:
        super().__init__("alert.no-later-language", language=language, languages=", ".join(languages) or "–")


class NobodyReads(Invalid):
    """An alert is limited to the readers of a language of which its digest knows none."""

    def __init__(self, language: str, languages: Sequence[str]) -> None:
        super().__init__("alert.nobody-reads", language=language, languages=", ".join(languages))


class FewerReaders(Invalid):
    """What would replace an alert leaves out some of those who are to hear of it."""

    def __init__(self, mailing_id: int, languages: Sequence[str]) -> None:
        super().__init__("alert.fewer-readers", mailing=mailing_id, languages=", ".join(languages))


class TwiceInALanguage(Invalid):
    """Two texts are written in one language: only one of them would ever be sent."""

    def __init__(self, language: str) -> None:
        super().__init__("alert.twice-in-a-language", language=language)


@dataclass(frozen=True, slots=True)
class Script:
    """An alert's words in each of its languages, for the readers of one digest.

    words   as they were written: what a lock keeps
    texts   what was read from them
    """

    digest: DigestView
    words: tuple[str, ...]
    texts: tuple[Manuscript, ...]

    @staticmethod
    def read(words: Sequence[str], digest: DigestView) -> "Script":
        """Return the script of some words. Raises BadManuscript, TwiceInALanguage."""
        texts = tuple(manuscript.read(text, language=digest.languages[0]) for text in words)
        for language, times in Counter(text.language for text in texts).items():
            if times > 1:
                raise TwiceInALanguage(language)
        return Script(digest, tuple(words), texts)

    @property
    def languages(self) -> list[str]:
        """Those it is written in, in the order of its versions."""
        return [text.language for text in self.texts]

    @property
    def subject(self) -> str:
        """What stands in the first version's subject."""
        return self.texts[0].subject

    @property
    def backwards(self) -> tuple[Manuscript, ...]:
        """What would take each version back."""
        return tuple(alerts.retraction(text) for text in self.texts)

    def require_later(self, later: Sequence[str], only: Sequence[str] = ()) -> None:
        """Raise NotWritten where one of these languages cannot come later than those it is written in.

        only   those to whose readers it is limited: of any other nobody waits

        Raises NobodyReads where it cannot be limited to them.
        """
        read = list(dict.fromkeys([*self.digest.languages, *self.languages]))
        for language in only:
            if language not in read:
                raise NobodyReads(language, read)
        left = [one for one in self.digest.languages if one not in self.languages and (not only or one in only)]
        for language in later:
            if language not in left:
                raise NotWritten(language, left)


@dataclass(frozen=True, slots=True)
class Hand:
    """Who writes, and when. by: an operator's number, or `audit.SHELL` and its like: nobody who could be named."""

    by: int | str
    now: datetime

    @property
    def writer(self) -> list[int]:
        """The operator who writes, where it is one."""
        return [self.by] if isinstance(self.by, int) else []


@dataclass(frozen=True, slots=True)
class Wish:
    """An alert that somebody wishes.

    digest    the key of the digest whose readers get it
    updates   the alert that it follows and replaces
    later     languages whose readers wait until theirs is written, where others get the best there is
    only      to the readers of these languages alone; none: to all; None: as what it follows
    part      to those alone who chose a topic, or are in a segment; None: as what it follows
    """

    words: tuple[str, ...]
    digest: str
    updates: int | None = None
    later: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """Words in the place of others.

    seen    `print_of` of the words that were before their eyes; None: whatever they are now
    later   the languages to come later; None: as it was
    only    those to whose readers it is limited; None: as it was
    part    who chose a topic, or is in a segment; None: as it was
    """

    words: tuple[str, ...]
    seen: str | None = None
    later: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    part: Part | None = None


def draft(
    parts: Parts,
    paths: Sequence[str],
    *,
    digest_key: str,
    by: int | None = None,
    updates: int | None = None,
    later: Sequence[str] = (),
    only: Sequence[str] = (),
) -> int:
    """Compose an alert from a text file a language, with its retraction, as `Wish` says; return its mailing."""
    return draft_words(parts, Wish(read_files(paths), digest_key, updates, tuple(later), tuple(only) or None), by=by)


def draft_words(parts: Parts, wish: Wish, *, by: int | None) -> int:
    """Compose an alert from texts, as `draft` does from files."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        made = begin(session, parts, wish, Hand(by or audit.SHELL, database.now(session)))
    parts.nudger.nudge(LINKS)
    return made


def read_files(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the words of text files, one for each language."""
    return tuple(read_file(path) for path in paths)


def begin(session: Session, parts: Parts, wish: Wish, hand: Hand) -> int:
    """Draft an alert with its retraction in the transaction of whoever asks, and return its mailing."""
    digest = digests.by_key(session, wish.digest)
    if wish.updates is not None:
        acting.an_alert(session, wish.updates)
        following.require(session, wish.updates, digest=digest.id)
    script = Script.read(wish.words, digest)
    only, part = _limits(session, wish)
    script.require_later(wish.later, only)
    content = {"later": sorted(set(wish.later)), "only": sorted(set(only))} | narrowing.stored(session, part)
    if wish.updates is not None:
        _require_all(session, script, wish.updates, content)
    new = Draft(Kind.ALERT, Lane.URGENT, digest.id, script.subject, updates=wish.updates, content=content)
    return store(session, parts, new, script, hand)


def _limits(session: Session, wish: Wish) -> tuple[tuple[str, ...], Part]:
    """Return to whom an alert is limited: as is wished, else as what it follows, so that nobody widens it without a word."""
    only, part = narrowing.like(session, wish.updates) if wish.updates is not None else ((), EVERYBODY)
    return (only if wish.only is None else wish.only), (part if wish.part is None else wish.part)


def _require_all(session: Session, script: Script, updates: int, content: Mapping[str, Any]) -> None:
    """Raise where an update would leave out readers of what it replaces: those still due would hear of neither.

    Raises FewerReaders, narrowing.SmallerPart.
    """
    terms, only = translating.terms(mailings.get(session, updates)), content.get("only", ())
    before = terms.get("only") or script.digest.languages
    if only and not set(before) <= set(only):
        raise FewerReaders(updates, before)
    narrowing.require_all(updates, before=terms, after=content)


def store(session: Session, parts: Parts, new: Draft, script: Script, hand: Hand) -> int:
    """Store an alert with its words and its retraction, and return its mailing. What it is beside its words stands in `new`."""
    parts.letterhead.require()
    mailing_id = mailings.draft(session, new, now=hand.now)
    digest_id, subject = script.digest.id, script.backwards[0].subject
    back = Draft(Kind.RETRACTION, Lane.URGENT, digest_id, subject, retracts=mailing_id)
    mailings.draft(session, back, now=hand.now)
    _write(session, parts, mailings.get(session, mailing_id), script, hand)
    audit.append(session, "alert.drafted", by=hand.by, now=hand.now, mailing=mailing_id, digest=digest_id)
    return mailing_id


def edit(
    parts: Parts,
    mailing_id: int,
    paths: Sequence[str],
    *,
    by: int | None = None,
    later: tuple[str, ...] | None = None,
    only: tuple[str, ...] | None = None,
    part: Part | None = None,
) -> None:
    """Write an alert anew that has not gone; lock and approval are void by it. Raises WrongState. Limits: as in Revision."""
    edit_words(parts, mailing_id, Revision(read_files(paths), None, later, only, part), by=by)


def edit_words(parts: Parts, mailing_id: int, revision: Revision, *, by: int | None = None) -> None:
    """Write an alert anew from texts, as `edit` does from files. Raises ChangedMeanwhile besides."""
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        rewrite(session, parts, mailing_id, revision, Hand(by or audit.SHELL, database.now(session)))
    parts.nudger.nudge(LINKS)
    telling.nudge(parts.nudger)


def _require_same_languages(view: MailingView, script: Script) -> None:
    """Raise NotWritten where a later language becomes another: whom it is for was said as it was begun."""
    before, written = view.content.get("languages", []), script.languages
    if view.translates is not None and sorted(before) != sorted(written):
        raise NotWritten(next((one for one in written if one not in before), before[0]), before)


def rewrite(session: Session, parts: Parts, mailing_id: int, revision: Revision, hand: Hand) -> None:
    """Write an alert anew in the transaction of whoever asks. Raises WrongState, ChangedMeanwhile."""
    acting.an_alert(session, mailing_id)
    # Whoever locks it meanwhile waits for these words.
    view = mailings.take(session, mailing_id)
    if revision.seen is not None and revision.seen != print_of(view):
        raise ChangedMeanwhile(mailing_id)
    if view.state is not State.DRAFT:
        unlock(session, parts, view, hand)
    script = Script.read(revision.words, digests.get(session, view.digest_id or 0))
    _require_same_languages(view, script)
    for name, languages in (("later", revision.later), ("only", revision.only)):
        if languages is not None:
            view = replace(view, content=view.content | {name: list(languages)})
    if revision.part is not None:
        view = replace(view, content=narrowing.without(view.content) | narrowing.stored(session, revision.part))
    script.require_later((), view.content.get("only", ()))
    if view.updates is not None:
        _require_all(session, script, view.updates, view.content)
    _write(session, parts, view, script, hand)
    audit.append(session, "alert.edited", by=hand.by, now=hand.now, mailing=mailing_id)


def unlock(session: Session, parts: Parts, view: MailingView, hand: Hand, *, anew: bool = False) -> MailingView:
    """Make a draft of what was locked or approved; of the latter everybody was told that it goes, and is told that it does not.

    anew   to be locked once more at once, in the same words
    """
    locks.unlock(session, view.id)
    if view.state is State.APPROVED:
        announcing.unlocked(session, parts, view, by=hand.by, anew=anew, now=hand.now)
    return mailings.get(session, view.id)


def rehearse(parts: Parts, wish: Wish) -> int:
    """Compose an alert and keep nothing; return how many would get it. Raises what `draft` raises."""
    parts.letterhead.require()
    with parts.database.transaction() as session:
        script = Script.read(wish.words, digests.by_key(session, wish.digest))
        only, part = _limits(session, wish)
        script.require_later(wish.later, only)
        compose_all(session, parts, script.digest, script.texts)
        everyone = recipients.of_digest(
            script.digest.id,
            rhythms=None,
            languages=script.digest.languages,
            urgent=True,
            written=script.languages,
            later=wish.later,
            only=only,
        )
        return recipients.count(session, planning.part(session, narrowing.stored(session, part), everyone))


def compose_all(session: Session, parts: Parts, digest: DigestView, texts: Sequence[Manuscript]) -> None:
    """Compose an alert in each of its languages, marked as a translation too, and what takes it back; keep nothing."""
    now = database.now(session)
    setting = _Setting(digest, now, f"{parts.letterhead.base_url}/alerts/0")
    backwards = [alerts.retraction(text) for text in texts]
    for sheet in _sheets(texts, [None, now]):
        _compose(session, parts, setting, sheet)
    for sheet in _sheets(backwards, [None]):
        _compose(session, parts, replace(setting, clock=False), sheet)


def _write(session: Session, parts: Parts, view: MailingView, script: Script, hand: Hand) -> None:
    """Store every language of an alert and of what would take it back. What is written by now comes with the others."""
    page = f"{parts.letterhead.base_url}/alerts/{view.translates or view.id}"
    _store_all(session, parts, view, script, _Setting(script.digest, hand.now, page, view.id))
    # By the desk, in its own time: other people's servers may take theirs, and nobody waits for them here.
    errands.have_checked(session, view.id)
    content = _content(view, script, hand) | {"page": page}
    mailings.write_down(session, view.id, script.subject, content)


def _store_all(session: Session, parts: Parts, view: MailingView, script: Script, setting: "_Setting") -> None:
    """Compose an alert, and what would take it back, in each language and for each style that its readers have chosen."""
    # What takes it back bears no hour, and the day on which the alert was begun: so an approver sees no change where there is none.
    told, begun = _told(session, view), replace(setting, at=view.created_at, clock=False)
    looks = styling.of_readers(session, script.digest.id)
    _store_variants(session, parts, view.id, setting, _sheets(script.texts, told, looks))
    back = mailings.retraction_of(session, view.id)
    _store_variants(session, parts, back, begun, _sheets(script.backwards, [None] * len(told), looks))


def _content(view: MailingView, script: Script, hand: Hand) -> dict[str, Any]:
    """Return what stands beside the versions of an alert: its words, who wrote in it, which languages are to come."""
    writers = sorted({*view.content.get("by", []), *hand.writer})
    content: dict[str, Any] = {"words": list(script.words), "by": writers}
    if unnamed(view) or not hand.writer:
        content["unnamed"] = True
    if wanting.ASKED in view.content and view.state is State.DRAFT:
        content[wanting.ASKED] = view.content[wanting.ASKED]  # what was locked since has been answered
    if view.translates is not None:
        content |= {"languages": script.languages, "also_had": bool(view.content.get("also_had"))}
    waits = set(view.content.get("later", [])) - set(script.languages)
    lists = {"later": sorted(waits), "only": sorted(set(view.content.get("only", [])))}
    kept = narrowing.of(view.content) | lasting.kept(view.content)
    return content | {name: languages for name, languages in lists.items() if languages} | kept


def unnamed(view: MailingView) -> bool:
    """Return whether somebody wrote in an alert without saying who they are: at the command line, or by a message of CAP."""
    return bool(view.content.get("unnamed"))


def _told(session: Session, view: MailingView) -> list[datetime | None]:
    """Return a mark for each set of an alert's versions: none; and of one that came later, when its readers had another."""
    if view.translates is None or not view.content.get("also_had"):
        return [None]
    alert = mailings.get(session, view.translates)
    return [None, locks.written_at(session, alert) or alert.planned_at or alert.created_at]


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all versions of an alert have in common.

    page, alert   "" and None of one that is composed and not kept
    clock         whether they say the hour of `at`
    """

    digest: DigestView
    at: datetime
    page: str = ""
    alert: int | None = None
    clock: bool = True


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One version. number: its place among them; told: when its readers had another language, where they had."""

    text: Manuscript
    number: int
    told: datetime | None
    style: Style = PLAIN


def _sheets(texts: Sequence[Manuscript], told: Sequence[datetime | None], looks: Sequence[str] = ("",)) -> list[_Sheet]:
    every = enumerate(product(looks, told, texts), start=1)
    return [_Sheet(text, number, mark, Style.parse(look)) for number, (look, mark, text) in every]


def _store_variants(session: Session, parts: Parts, target: int, setting: _Setting, sheets: Sequence[_Sheet]) -> None:
    variants.clear(session, target)
    for sheet in sheets:
        compiled, language = _compose(session, parts, setting, sheet), sheet.text.language
        variants.store(session, target, compiled, number=sheet.number, language=language, style=sheet.style.code)


def compose_anew(session: Session, parts: Parts, view: MailingView, *, now: datetime) -> None:
    """Store all versions of a draft as of its lock: its mails say that moment, not the one in which somebody began to write.

    Readers who have chosen a style since have theirs by that: nobody has to wait, or sees more of an alert than they asked for.
    """
    script = Script.read([str(one) for one in view.content["words"]], digests.get(session, view.digest_id or 0))
    _store_all(session, parts, view, script, _Setting(script.digest, now, str(view.content["page"]), view.id))


def _compose(session: Session, parts: Parts, setting: _Setting, sheet: _Sheet) -> Compiled:
    digest, language = setting.digest, sheet.text.language
    path = f"/archive/{digest.key}/{setting.alert}/{sheet.number}" if setting.alert is not None else ""
    frame = parts.letterhead.frame(
        digest,
        language=language,
        kind="alert",
        archive_path=path,
        mailto=inbound.leave_address(session, parts),
        style=sheet.style,
    )
    url = f"{setting.page}/{language}" if setting.page else ""
    content = alerts.content(
        sheet.text, now=setting.at, zone=parts.zone, page=url, translates=sheet.told, clock=setting.clock
    )
    return composing.compose(styling.led(parts, content, sheet.style), frame, parts.layout)


def print_of(view: MailingView) -> str:
    """Return by what a form knows what it showed: the words, and whom they are for."""
    lists = [sorted(view.content.get(name, ())) for name in ("only", "later")]
    shown = [[str(one) for one in view.content["words"]], *lists, bool(view.content.get("also_had"))]
    if part := narrowing.of(view.content):
        shown.append(part)  # a form of before that shows an alert for all is none of this one
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()
