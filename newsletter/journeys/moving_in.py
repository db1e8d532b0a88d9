"""People come in from a list that an operator brings, with a basis and its evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from newsletter import database
from newsletter.issues import cutting, digests
from newsletter.journeys.parts import Parts
from newsletter.journeys.publish import opened
from newsletter.subscribers import importing
from newsletter.subscribers.consent import Basis, NotSoft, SoftOptIn
from newsletter.subscribers.subscriptions import Rhythm

MANY = 5_000


@dataclass(frozen=True, slots=True)
class Permission:
    """Why the people of a list may be written to, and where that can be shown."""

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


def import_subscribers(
    parts: Parts,
    path: str,
    *,
    digest_key: str,
    permission: Permission,
    rhythm: Rhythm | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> importing.ImportReport:
    """Import a CSV file of people into a digest; return the counts.

    New readers begin with the articles after the last cut of their rhythm. Raises NoSuchFile, digests.UnknownDigest and
    what `subscribers.importing` raises.
    """
    with parts.database.transaction() as session:
        now = database.now(session)
        digest = digests.by_key(session, digest_key)
        chosen = rhythm or digest.rhythm
        had_to = cutting.last_cut(session, digest.id, chosen)
    with opened(path) as stream:
        report = importing.import_csv(
            parts.database,
            stream,
            terms=importing.Terms(digest.id, digest.languages[0], chosen, permission.basis, had_to, now),
            evidence=permission.written(today=now.date()),
            rejects=parts.home / "rejects",
            dry_run=dry_run,
            progress=progress,
        )
    if report.added >= MANY and not dry_run:
        with parts.database.transaction() as session:
            database.refresh_statistics(session, *importing.FILLED)
    return report
