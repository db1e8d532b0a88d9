"""What the mail server's own record says of the night: who got what, when, and whether the books say the same.

A message is told by its subject, as its reader tells it, and by nothing that we wrote down ourselves. Then `auditor` compares
record and books row by row.
"""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from typing import Any

from newsletter.assembly import Newsletter
from tests.reliability import auditor
from tests.reliability.auditor import Findings

TEAM = "@sarand.example"


@dataclass(frozen=True, slots=True)
class Text:
    """One of the night's texts. what: "alert", "back", "correction", "arabic" or "digest"."""

    what: str
    language: str


@dataclass
class Account:
    """What the server has.

    got     what → language of the reader → who has it
    first   what → when the first of it was taken
    last    what → when the last of it was taken
    begun   what → when the last of it was begun
    team    how many messages the team got
    """

    got: defaultdict[str, defaultdict[str, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    starts: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    team: int = 0
    faults: list[str] = field(default_factory=list)

    def of(self, *whats: str, language: str | None = None) -> set[str]:
        """Return everyone who has one of these. language: only those who read it."""
        had = [self.got[what] for what in whats]
        return set().union(*(who for by in had for tongue, who in by.items() if language in (None, tongue)))


def read(record: list[dict[str, Any]], texts: dict[str, Text], people: dict[str, str]) -> Account:
    """Return what a record says. texts: by subject; people: the language of each reader by address."""
    found, wanted = Account(), {_bare(subject): known for subject, known in texts.items()}
    for message in record:
        if message["what"] != "taken":
            continue
        if message["to"].endswith(TEAM):
            found.team += 1
            continue
        subject = _bare(str(make_header(decode_header(message["subject"]))))
        known, tongue = wanted.get(subject), people.get(message["to"])
        if known is None or tongue is None:
            found.faults.append(f"a message that nobody sent: {subject}")
            continue
        if known.what != "digest" and known.language != tongue:
            found.faults.append(f"a reader of {tongue} was written to in {known.language}")
        what, at = known.what, float(message["at"])
        found.got[what][tongue].add(message["to"])
        found.first[what] = min(at, found.first.get(what, at))
        found.last[what] = max(at, found.last.get(what, at))
        found.begun[what] = max(float(message["began"]), found.begun.get(what, 0.0))
        found.starts[what].append(float(message["began"]))
    return found


def _bare(subject: str) -> str:
    """Return a subject without what keeps directions apart, and with plain spaces."""
    return " ".join("".join(letter for letter in subject if unicodedata.category(letter) != "Cf").split())


def audit(
    made: Newsletter, record: list[dict[str, Any]], mailings: dict[str, int], account: Account
) -> dict[str, Findings]:
    """Compare record and books of each mailing, and what is told of both; add what differs to the account's faults."""
    found = {}
    for what, number in mailings.items():
        try:
            found[what] = auditor.audit(made, record, number)
            found[what].sound()
        except AssertionError as differs:
            account.faults.append(f"{what}: {differs}")
            continue
        sure, most = found[what].accepted, found[what].accepted + found[what].ever_in_doubt
        if not sure <= len(account.of(what)) <= most:
            account.faults.append(f"{what}: the books say {sure} to {most}, the server has {len(account.of(what))}")
    return found


def missing(account: Account, people: dict[str, str]) -> None:
    """Add to the faults whoever lacks what they must have: the corrected alert, and the word that takes the first one back."""
    if lost := {address for address, tongue in people.items() if tongue} - account.of("correction", "arabic"):
        account.faults.append(f"{len(lost)} readers have no corrected alert")
    if lost := people.keys() - account.of("digest"):
        account.faults.append(f"{len(lost)} readers have no digest")
    if lost := account.of("alert") - account.of("back"):
        account.faults.append(f"{len(lost)} readers have the alert and not the word that takes it back")
