"""A language of an alert that is finished later: to those who wait for it, and marked to those who had another.

It is an alert of its own, locked and approved as any other, and stands with the one that it is a language of: one page, one
stop, one retraction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import following
from newsletter.issues import digests
from newsletter.issues.digests import DigestView
from newsletter.jobs import LINKS
from newsletter.journeys import acting, drafting, stopping
from newsletter.journeys.drafting import Hand, Script
from newsletter.journeys.narrowing import Limits
from newsletter.journeys.parts import Parts
from newsletter.journeys.waiting import counted, waits
from newsletter.ledger import mailings, tallies, translating
from newsletter.ledger.mailings import Draft, Kind, Lane, MailingView, State
from newsletter.ledger.translating import Waiting
from newsletter.operators import audit
from newsletter.operators.roles import May


def draft(parts: Parts, paths: Sequence[str], *, of: int, also_had: bool = False, by: int | None = None) -> int:
    """Compose further languages of an alert, from a text file each, with their retraction; return their mailing.

    also_had   those as well who were handed another language: theirs says that it is a translation
    """
    return draft_words(parts, drafting.read_files(paths), of=of, also_had=also_had, by=by)


def draft_words(parts: Parts, words: Sequence[str], *, of: int, also_had: bool, by: int | None) -> int:
    """Compose further languages from texts, as `draft` does from files.

    Raises NotGoing, Followed, OfAnother where the alert takes none, NotWritten where it has one of them or its readers read
    none.
    """
    acting.allowed(parts, by, May.WRITE)
    with parts.database.transaction() as session:
        script = _of(session, of, words)
        terms = translating.terms(mailings.get(session, of))
        limits = {name: terms[name] for name in translating.LIMITS if name in terms}
        content = {"languages": script.languages, "also_had": also_had} | limits
        new = Draft(Kind.ALERT, Lane.URGENT, script.digest.id, script.subject, translates=of, content=content)
        made = drafting.store(session, parts, new, script, Hand(by or audit.SHELL, database.now(session)))
    parts.nudger.nudge(LINKS)
    return made


def _of(session: Session, of: int, words: Sequence[str]) -> Script:
    """Return the script of further languages of an alert."""
    acting.an_alert(session, of)
    base = following.require_going(session, of)
    digest = digests.get(session, base.digest_id or 0)
    script = Script.read(words, digest)
    _script(base, digest).require_later(script.languages, translating.terms(base).get("only", ()))
    return script


def _script(view: MailingView, digest: DigestView) -> Script:
    return Script.read([str(one) for one in view.content["words"]], digest)


def counts(parts: Parts, of: int, paths: Sequence[str]) -> list[Waiting]:
    """Return for the languages of these files how many wait and how many had another, and change nothing.

    Raises what `draft` raises.
    """
    with parts.database.transaction() as session:
        return counted(session, of, _of(session, of, drafting.read_files(paths)).languages)


def waiting(parts: Parts, mailing_id: int) -> list[Waiting]:
    """Return who waits, now, for the languages of an alert that are to come later."""
    with parts.database.transaction() as session:
        return waits(session, mailings.get(session, mailing_id))


@dataclass(frozen=True, slots=True)
class Languages:
    """An alert and its languages, as the page of the team shows them.

    of        the alert of which it is a language that came later; also_had: also for those who had another
    own       the languages it is in then
    only      those to whose readers it is limited; none: it goes to all
    limits    to whom it is limited beside
    later     the languages whose readers wait for them
    missing   those that may be added now; none where it takes no further language
    added     those written later, each an alert with its state; running: what a stop would end with it
    paused    those of them that were paused with the alert, and go on with it
    """

    of: int | None
    also_had: bool
    own: tuple[str, ...]
    later: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[tuple[int, State], ...]
    running: tuple[int, ...]
    paused: tuple[int, ...]
    only: tuple[str, ...]
    limits: Limits

    @property
    def sending(self) -> bool:
        """Whether one of them is on its way."""
        return any(state is State.SENDING for _, state in self.added)


def languages(parts: Parts, mailing_id: int) -> Languages:
    """Return how an alert stands to its languages; counts nobody, since its page is asked for every three seconds.

    Raises NotAnAlert, UnknownMailing.
    """
    with parts.database.transaction() as session:
        view = acting.an_alert(session, mailing_id)
        terms, added = translating.terms(view), mailings.translations(session, mailing_id)
        return Languages(
            view.translates,
            bool(terms.get("also_had")),
            tuple(terms.get("languages", ())),
            tuple(terms.get("later", ())),
            tuple(_missing(session, view, added)),
            tuple((one.id, one.state) for one in added),
            tuple(stopping.languages(session, mailing_id)),
            tuple(tallies.along(session, mailing_id)),
            tuple(terms.get("only", ())),
            Limits.of(terms),
        )


def offered(parts: Parts, mailing_id: int) -> list[Waiting]:
    """Return the languages that may be added to an alert, with who waits for each and who had another."""
    found = languages(parts, mailing_id).missing
    with parts.database.transaction() as session:
        return counted(session, mailing_id, found)


def _missing(session: Session, view: MailingView, added: Sequence[MailingView]) -> list[str]:
    if view.translates is not None or view.state not in following.TRANSLATED:
        return []
    if mailings.follower(session, view.id) is not None:
        return []
    digest = digests.get(session, view.digest_id or 0)
    # One that has gone to those who waited may go once more, to those who had another.
    over = [one for one in added if one.state in following.TRANSLATED and translating.terms(one)["also_had"]]
    written = {language for one in (view, *over) for language in _script(one, digest).languages}
    only = translating.terms(view).get("only") or digest.languages
    return [one for one in digest.languages if one not in written and one in only]
