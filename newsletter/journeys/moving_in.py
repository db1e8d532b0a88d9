"""People come in from a list that an operator brings, with a basis and its evidence; and the whole of it can be taken back."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from newsletter import database
from newsletter.database import Session
from newsletter.delivery import budget, quotas
from newsletter.delivery.budget import Promise
from newsletter.issues import cutting, digests, waiting
from newsletter.jobs import SIGNUPS
from newsletter.journeys import acting, holding
from newsletter.journeys.parts import Parts
from newsletter.journeys.publish import NoSuchFile
from newsletter.ledger.mailings import Lane
from newsletter.operators import audit
from newsletter.subscribers import importing, luggage, signup, undoing, unproven
from newsletter.subscribers.consent import Basis, NotSoft, SoftOptIn
from newsletter.subscribers.listed import FORM
from newsletter.subscribers.luggage import Chosen, Luggage
from newsletter.subscribers.reach import Reach
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.tagging import Tags
from newsletter.subscribers.undoing import Undone

MANY = 5_000
_ASKED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Permission:
    """Why the people of a list may be written to, and where that can be shown: "" where their rows show it themselves."""

    basis: Basis
    evidence: str
    soft: SoftOptIn | None = None

    def written(self, *, today: date) -> str:
        """Return the evidence as it is kept, with the facts where it is a soft opt-in. Raises consent.NotSoft."""
        if self.basis is not Basis.SOFT_OPT_IN:
            return self.evidence
        if self.soft is None:
            raise NotSoft("unsaid")
        self.soft.require(today=today)
        return "\n".join([self.evidence, *(f"{name}: {value}" for name, value in self.soft.told().items())])


def look(path: str, chosen: Chosen | None = None) -> Luggage:
    """Return what a file is and what it calls our columns. Raises NoSuchFile, tables.BadTable, formats.BadMapping."""
    try:
        return luggage.open_(Path(path), chosen or Chosen())
    except OSError as error:
        raise NoSuchFile(path, error.strerror or "unknown reason") from None


def import_subscribers(
    parts: Parts,
    path: str,
    *,
    digest_key: str,
    permission: Permission,
    chosen: Chosen | None = None,
    tags: Tags = Tags.KNOWN,
    rhythm: Rhythm | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
    by: int | None = None,
) -> importing.ImportReport:
    """Import people into a digest, from a file or a whole export; return the counts.

    New readers begin with the articles after the last cut of their rhythm. overwrite: its word counts more than what is
    known of readers. Raises what `look` raises, what `acting.officer` raises, digests.UnknownDigest and what
    `subscribers.importing` raises.
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        who = acting.officer(session, by)
        digest = digests.by_key(session, digest_key)
        wanted = rhythm or digest.rhythm
        had_to = cutting.last_cut(session, digest.id, wanted)
    evidence = permission.written(today=now.date())
    report = importing.bring(
        parts.database,
        look(path, chosen),
        terms=importing.Terms(
            digest.id,
            digest.languages[0],
            wanted,
            permission.basis,
            had_to,
            now,
            vouched=bool(evidence.strip()),
            tags=tags,
            overwrite=overwrite,
        ),
        evidence=evidence,
        rejects=parts.home / "rejects",
        dry_run=dry_run,
        progress=progress,
        before_commit=lambda session, done: _written(session, who, done, digest_key),
    )
    if not dry_run:
        show(parts, report)
    return report


def show(parts: Parts, report: importing.ImportReport) -> None:
    """Let PostgreSQL look at what so many people brought; who takes a second digest is no new person, and a row as new to it."""
    if report.added + report.changed >= MANY:
        with parts.database.transaction() as session:
            database.refresh_statistics(session, *importing.FILLED)


def _written(session: Session, who: int | str, done: importing.ImportReport, digest: str) -> None:
    names = ("read", "added", "changed", "rejected", "suppressed", "unproven")
    counts = {name: getattr(done, name) for name in names}
    audit.append(session, "import.brought", by=who, now=database.now(session), number=done.number, to=digest, **counts)


def spelled(parts: Parts, reach: Reach) -> dict[str, Any]:
    """Return a reach with the keys of the digests."""
    with parts.database.transaction() as session:
        keys = digests.keys(session)
    named = {keys[number]: count for number, count in reach.digests.items()}
    return {"digests": named, "alerts": reach.alerts, "unproven": reach.unproven}


def waiting_for(parts: Parts, digest_key: str) -> dict[str, int]:
    """Return who counts to the reach of a digest and has no issue of it before one is cut for them (`waiting.readers`)."""
    with parts.database.transaction() as session:
        return waiting.readers(session, digests.by_key(session, digest_key), now=database.now(session))


def unasked(parts: Parts) -> dict[int, int]:
    """Return how many who came without evidence were not asked yet, by the number of the import to ask them of."""
    with parts.database.transaction() as session:
        return unproven.unasked(session)


def pace(parts: Parts, messages: int) -> Promise | None:
    """Return how a digest to so many would leave by the relays of bulk mail, day by day; None where nothing limits them."""
    if not messages:
        return None
    with parts.database.transaction() as session:
        now = database.now(session)
        bears = quotas.bearing(session, parts.relays, Lane.BULK, now=now)
    return budget.promise(messages, bears, now=now)


def listed(parts: Parts, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest imports, each with whom it reached when it was through."""
    with parts.database.transaction() as session:
        keys = digests.keys(session)
        rows = undoing.listed(session, limit=limit)
    return [row | {"digest": keys[row["digest"]], "reach": _spelled(row["reach"], keys)} for row in rows]


def _spelled(kept: dict[str, Any], keys: dict[int, str]) -> dict[str, Any] | None:
    """Return a reach as it was kept, with the keys of the digests; None: it was not kept yet."""
    if not kept:
        return None
    return kept | {"digests": {keys[int(number)]: count for number, count in kept["digests"].items()}}


def undo(parts: Parts, number: int, *, suppressions_too: bool, dry_run: bool = False, by: int | None = None) -> Undone:
    """Take a whole import back; return the counts.

    Raises what `acting.officer` raises, undoing.UnknownImport, undoing.AlreadyUndone.
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        who = acting.officer(session, by)
        done, boxes = undoing.undo(session, number, suppressions_too=suppressions_too, now=now)
        for place in range(0, len(boxes), MANY):
            holding.forget_boxes(session, boxes[place : place + MANY])
        facts = {"ended": done.ended, "forgotten": done.forgotten, "lifted": done.lifted}
        audit.append(session, "import.undone", by=who, now=now, number=number, **facts)
        if dry_run:
            session.rollback()
    return done


def ask(parts: Parts, number: int, *, dry_run: bool = False, by: int | None = None) -> int:
    """Ask those of an import who came without evidence whether they want it, each once; return how many.

    They come in as by the form, are asked in words of their own (`owners`), and get nothing where they do not answer. Whom no
    question reached may be asked again. Raises what `acting.officer` raises.
    """
    parts.letterhead.require()
    asked = 0
    with parts.database.transaction() as session:
        who = acting.officer(session, by)
    while True:
        with parts.database.transaction() as session:
            if dry_run:
                return unproven.count(session, number)
            some = _ask_some(session, number)
            asked += some
            if not some:
                audit.append(session, "import.asked", by=who, now=database.now(session), number=number, asked=asked)
                break
    parts.nudger.nudge(SIGNUPS)
    return asked


def _ask_some(session: Session, number: int) -> int:
    now = database.now(session)
    people = unproven.waiting(session, number, most=_ASKED_AT_ONCE)
    named = {one.id: one for one in digests.listed(session)}
    for one in people:
        digest = named[one.digest_id]
        chosen = {digest.key: digest.rhythm}
        wish = Wish(one.address, one.language, chosen, name=one.name, form=FORM, listed=True)
        added = signup.add(session, secrets.token_urlsafe(16), wish, now=now, digest_ids=[digest.id])
        signup.vouch(session, added, now=now, mailbox_id=one.mailbox_id)
    unproven.asked(session, number, [one.subscriber_id for one in people])
    return len(people)
