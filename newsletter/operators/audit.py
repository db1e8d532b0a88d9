"""Who did what: a chain in which each row's digest covers the one before, so that nothing can be changed or left out unseen.

A database's owner could write the whole chain anew. Its head is therefore mailed to every operator each day: `verify` compares
what is there with a head that somebody kept.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from newsletter.database import Session
from newsletter.errors import Invalid
from newsletter.models.audit import Audit, AuditMail

BEGINNING = bytes(32)
SHELL, NOBODY, WORKER, LINK = "shell", "nobody", "worker", "link"
"""The actors that are no operators: the command line, somebody who did not get in, what happens by itself, and a link."""
LONGEST = 65_536
"""Characters of a row: the database takes none that is longer."""
_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{16,64})").fullmatch
_BATCH = 2_000


class BadHead(Invalid):
    """What was given is no head: a number, a colon, and at least 16 digits of a digest."""

    def __init__(self) -> None:
        super().__init__("audit.bad-head")


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of a chain at some moment. `digest`: in hexadecimal; a person may have kept only its beginning."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @staticmethod
    def parse(written: str) -> "Head":
        """Return the head that someone copied from a mail. Raises BadHead."""
        found = _HEAD(re.sub(r"\s", "", written).lower())
        if found is None:
            raise BadHead
        return Head(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. actor: an operator's number, or SHELL, NOBODY, WORKER, LINK. facts: ids and counts, never an address or a name."""

    number: int
    at: datetime
    actor: str
    act: str
    facts: dict[str, Any]


class Fault(StrEnum):
    """What is wrong with a chain."""

    CHANGED = "changed"
    MISSING = "missing"
    FORKED = "forked"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a chain holds. number: the row where it breaks; of a head that was given, the row it names."""

    rows: int
    head: Head
    fault: Fault | None = None
    number: int | None = None

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        return self.fault is None


def canonical(number: int, at: datetime, actor: str, act: str, facts: dict[str, Any]) -> str:
    """Return the one spelling of a row: JSON with sorted names, no blanks, time in UTC to the microsecond; its number is the last.

    So the chain is checked without reading what a row says.
    """
    document = {"n": number, "at": at.astimezone(UTC).isoformat(timespec="microseconds"), "by": actor, "act": act}
    return json.dumps(document | {"facts": facts}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def link(before: bytes, content: str) -> bytes:
    """Return the digest of a row: SHA-256 over the digest before it and its content."""
    return hashlib.sha256(before + content.encode()).digest()


def judge(rows: Iterable[tuple[int, str, bytes]], against: Head | None = None) -> Verdict:
    """Return what is wrong with a chain, first fault first; rows are (number, content, digest) from number 1 on.

    against   a head that was kept elsewhere: a chain that was written anew is sound in itself, and shows only here
    """
    number, before, kept = 0, BEGINNING, None
    for found, content, digest in rows:
        if found != number + 1:
            return Verdict(number, Head(number, before.hex()), Fault.MISSING, number + 1)
        if link(before, content) != digest or not content.endswith(f',"n":{found}}}'):
            return Verdict(number, Head(number, before.hex()), Fault.CHANGED, found)
        number, before = found, digest
        if against is not None and number == against.number:
            kept = digest.hex().startswith(against.digest)
    return Verdict(number, Head(number, before.hex()), *_compared(kept, against))


def _compared(kept: bool | None, against: Head | None) -> tuple[Fault | None, int | None]:
    if against is None or kept or (against.number == 0 and BEGINNING.hex().startswith(against.digest)):
        return None, None
    return (Fault.CUT if kept is None else Fault.FORKED), against.number


def append(session: Session, act: str, /, *, by: int | str, now: datetime, **facts: Any) -> int:
    """Add what somebody did, as the last statement of the act's own transaction; return its number.

    by   an operator's number, or SHELL, NOBODY, WORKER, LINK

    Whoever appends next waits for this commit: the chain has one end.
    """
    session.flush()
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit'))"))
    last = session.execute(select(Audit.number, Audit.digest).order_by(Audit.number.desc()).limit(1)).first()
    number, before = (last[0] + 1, bytes(last[1])) if last else (1, BEGINNING)
    content = canonical(number, now, str(by), act, facts)
    session.add(Audit(number=number, content=content, digest=link(before, content)))
    session.flush()
    return number


def verify(session: Session, against: Head | None = None) -> Verdict:
    """Read the whole chain and return what is wrong with it."""
    return judge(_rows(session), against)


def _rows(session: Session) -> Iterator[tuple[int, str, bytes]]:
    statement = select(Audit.number, Audit.content, Audit.digest).order_by(Audit.number)
    for number, content, digest in session.execute(statement.execution_options(yield_per=_BATCH)):
        yield number, content, bytes(digest)


def head(session: Session) -> Head:
    """Return the chain's last row; 0 and zeros where there is none yet."""
    last = session.execute(select(Audit.number, Audit.digest).order_by(Audit.number.desc()).limit(1)).first()
    return Head(last[0], bytes(last[1]).hex()) if last else Head(0, BEGINNING.hex())


def listed(session: Session, *, limit: int = 50, before: int | None = None) -> list[Entry]:
    """Return the newest entries, newest first; `before` pages on to older ones."""
    statement = select(Audit.number, Audit.content).order_by(Audit.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Audit.number < before)
    return [_entry(number, content) for number, content in session.execute(statement)]


def _entry(number: int, content: str) -> Entry:
    try:
        if len(content) > LONGEST:
            raise ValueError("longer than any of ours")
        found = json.loads(content)
        at = datetime.fromisoformat(found["at"]).astimezone(UTC)
        return Entry(number, at, str(found["by"]), str(found["act"]), dict(found["facts"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        # Whoever damaged a row must not be able to hide the others behind an error.
        return Entry(number, datetime.fromtimestamp(0, UTC), "?", "unreadable", {})


def since(session: Session, *acts: str, by: int | str, at: datetime) -> list[Entry]:
    """Return what somebody did of some kinds since then, newest first; no two of theirs at once may be counted by it."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('audit of ' || CAST(:by AS text)))"), {"by": str(by)})
    found, before = list[Entry](), None
    while rows := listed(session, limit=_BATCH, before=before):
        found += [one for one in rows if one.act in acts and one.actor == str(by) and one.at > at]
        if rows[-1].at <= at:
            break
        before = rows[-1].number
    return found


def of_mailing(session: Session, act: str, mailing_id: int) -> list[Entry]:
    """Return what was written of one act about a mailing, oldest first. Reads the whole chain: for what is rarely asked."""
    told = Audit.content.contains(f'"act":"{act}"'), Audit.content.contains(f'"mailing":{mailing_id}')
    found = session.execute(select(Audit.number, Audit.content).where(*told).order_by(Audit.number))
    entries = [_entry(number, content) for number, content in found]
    return [one for one in entries if one.act == act and one.facts.get("mailing") == mailing_id]


def claim_day(session: Session, day: date, *, number: int) -> bool:
    """Take the day's mail of the head; False where somebody has."""
    made = insert(AuditMail).values(day=day, number=number).on_conflict_do_nothing().returning(AuditMail.day)
    return session.execute(made).first() is not None


def mailed(session: Session, day: date) -> bool:
    """Return whether a day's head has been mailed."""
    return session.get(AuditMail, day) is not None
