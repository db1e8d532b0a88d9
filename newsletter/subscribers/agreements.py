"""By which words somebody agreed, and where these stood before them: kept as it was, and said plainly where nobody can know.

A form, ours or another's, gives back the version of the words it shows; the text of each version is kept. What gives none showed
none that we know of.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, text

from newsletter.database import Session
from newsletter.models.consent import Wording
from newsletter.subscribers.consent import version_of

_VERSION = re.compile("[0-9a-f]{12}").fullmatch


class Shown(StrEnum):
    """Where the words stood.

    FORM         on our own form
    ELSEWHERE    on a form of somebody else's page or program, which says so by their version
    CONFIRMING   on our page on which they said yes, behind the mail's link or beside its figures
    MAIL         in our mail, which they answered by a yes
    PREFERENCES  on our page of what they get, behind a signed link
    NOWHERE      no place is known on which they were shown any
    UNRECORDED   the proof is older than this record: its words are those of its day, and may not have been shown
    """

    FORM = "on our form"
    ELSEWHERE = "on a form elsewhere, as it says itself"
    CONFIRMING = "on our page of confirmation"
    MAIL = "in our mail that they answered"
    PREFERENCES = "on our page of preferences"
    NOWHERE = "nowhere that is known"
    UNRECORDED = "not recorded; they are the words of that day"


@dataclass(frozen=True, slots=True)
class Agreement:
    """A text by which people agree."""

    words: str

    @property
    def version(self) -> str:
        """What a form that shows it gives back."""
        return version_of(self.words)


def keep(session: Session, agreements: Iterable[Agreement]) -> None:
    """Keep texts under their versions; those that are kept already stay as they are."""
    facts = {one.version: one.words for one in agreements}
    session.execute(_KEEP, {"versions": list(facts), "words": list(facts.values())})


_KEEP = text("""
    INSERT INTO wording (version, words)
    SELECT * FROM unnest(CAST(:versions AS text[]), CAST(:words AS text[])) ON CONFLICT DO NOTHING
""")


def kept(session: Session, version: str) -> Agreement | None:
    """Return the text of a version, or None where it is none of ours."""
    if not _VERSION(version):
        return None
    words = session.execute(select(Wording.words).where(Wording.version == version)).scalar_one_or_none()
    return Agreement(words) if words else None


def proof(
    *, words: str, shown: str, given: str = "", confirmed: Agreement | None = None, where: Shown = Shown.CONFIRMING
) -> dict[str, str]:
    """Return what the proof of a permission says of its words.

    words, shown   those on the form, "" where it showed none that we know of
    given          the version that the form named
    confirmed      those by which they said yes: they count before all others, since they are the last that were read
    where          these stood: on our page, or in our mail
    """
    told: dict[str, str] = {}
    if words:
        told = {"wording": words, "wording_shown": shown or Shown.UNRECORDED}
    if confirmed is not None:
        places = [str(where)]
        if words == confirmed.words:
            places.append(told["wording_shown"])
        elif words:
            told = {"wording_before": words, "wording_before_shown": told["wording_shown"]}
        told |= {"wording": confirmed.words, "wording_shown": " and ".join(places)}
    if given and not words:
        told["wording_unknown"] = given
    return {name: str(value) for name, value in ({"wording_shown": Shown.NOWHERE} | told).items()}


def told(details: Mapping[str, str]) -> dict[str, str]:
    """Return the details of a proof as they are reported: of an older one, that nobody wrote down where its words stood."""
    older = "wording" in details and "wording_shown" not in details
    return dict(details) | ({"wording_shown": str(Shown.UNRECORDED)} if older else {})
