"""Keys change while mail goes out and people join (docs/adr/0021).

A key is first known everywhere and only then live: a process that met what it cannot open would leave a reader out. What is
sealed or indexed under the old key is then done anew in small turns, each of them whole: killed at any moment, it goes on where
it was. A key goes when nothing rests on it, and is kept aside for the backups of its time.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from newsletter import database, keyring, mailboxes, resealing
from newsletter.database import Database, Session
from newsletter.errors import Conflict, NotFound
from newsletter.keyring import PURPOSES, Keyring, OfThePages
from newsletter.operators import people as operators
from newsletter.subscribers import fresh
from newsletter.vault import LETTERS, Vault

PASSES = 5
"""How often what somebody else was at is looked for again."""
Told = Callable[[int], None]


class StillUsed(Conflict):
    """A key on which something rests."""

    def __init__(self, key: str, count: int, where: str) -> None:
        super().__init__("keys.still-used", key=key, count=count, where=where)


class StillMailed(Conflict):
    """Links that went out within the day are countersigned by it: without it no worker would believe them."""

    def __init__(self, key: str, count: int) -> None:
        super().__init__("keys.still-mailed", key=key, count=count)


class StillWritten(Conflict):
    """Processes that run write under it, or do not know the newer one."""

    def __init__(self, key: str, connections: str) -> None:
        super().__init__("keys.still-written", key=key, connections=connections)


class KeyLives(Conflict):
    """The key that writes."""

    def __init__(self, key: str) -> None:
        super().__init__("keys.live", key=key)


class ForEver(Conflict):
    """Links to leave are good for ever, so the keys that check them are."""

    def __init__(self, key: str) -> None:
        super().__init__("keys.for-ever", key=key)


class NoSuchKey(NotFound):
    """There is none of this name."""

    def __init__(self, key: str) -> None:
        super().__init__("keys.unknown", key=key)


class OneAtATime(Conflict):
    """An address is looked for under two keys at most."""

    def __init__(self, key: str) -> None:
        super().__init__("keys.one-at-a-time", key=key)


class NoPartYet(Conflict):
    """The file is from before the pages could have one of their own."""

    def __init__(self) -> None:
        super().__init__("keys.no-part-yet")


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of a purpose's keys. waits_for: connections by role that do not know the new one; live where there are none."""

    purpose: str
    key: int
    live: bool
    waits_for: dict[str, int]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done anew. left: what somebody else was at, or came under an old key meanwhile; damaged: cannot be opened."""

    changed: int
    left: int
    damaged: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """One key. sealed: how many values rest on it; None where they are not counted."""

    key: str
    live: bool
    newest: bool
    sealed: int | None


def listed(path: Path, url: str) -> list[KeyView]:
    """Return the keys of the file, with what rests on those that seal."""
    keys = Keyring.load(path)
    with _asking(url, keys) as session:
        return [
            KeyView(
                f"{purpose}:{key_id}", key_id == ring.live, key_id == ring.newest, _resting(session, purpose, key_id)
            )
            for purpose in PURPOSES
            if (ring := keys.ring(purpose))
            for key_id in sorted(ring.keys)
        ]


def _resting(session: Session, purpose: str, key_id: int) -> int | None:
    if purpose == "token":
        return None
    return mailboxes.indexed(session, key_id) if purpose == "index" else sum(resealing.using(session, key_id).values())


@contextmanager
def _asking(url: str, keys: Keyring) -> Iterator[Session]:
    opened = Database(url, Vault(keys))
    try:
        with opened.transaction() as session:
            yield session
    finally:
        opened.close()


def rotate(path: Path, url: str, purpose: str) -> Rotated:
    """Add a key where none waits, and make it live once every process knows it. Run it again until it is.

    Raises OfThePages, OneAtATime while the index has two, NoKeyLeft.
    """
    with keyring.held(path):
        keys = Keyring.load(path)
        ring = keys.ring(purpose)
        if ring is None or ring.newest == ring.live:
            if purpose == "index" and len(keys.index.keys) > 1:
                raise OneAtATime(f"index:{min(keys.index.keys)}")
            keys = keys.with_key(purpose)
            keys.save(path)
        made = keys.ring(purpose)
        assert made is not None
        key_id = made.newest
        with _asking(url, keys) as session:
            late, now = behind(session, purpose, key_id), database.now(session)
        if not late:
            keys.with_live(purpose, key_id, now=now).save(path)
    return Rotated(purpose, key_id, not late, late)


def behind(session: Session, purpose: str, key_id: int) -> dict[str, int]:
    """Return how many connections of each role do not know a key; the pages need none of `seal`."""
    return _others(session, purpose, lambda live, newest: newest < key_id)


def _others(session: Session, purpose: str, wanted: Callable[[int, int], bool]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for role, label in database.others(session):
        at = re.search(rf"\b{LETTERS[purpose]}(\d+)-(\d+)", label)
        # A file from before there was a purpose knows none of its keys; the pages' never has `seal`.
        absent = at is None and not (purpose == "seal" and LETTERS["box"] in label)
        if absent or (at is not None and wanted(int(at[1]), int(at[2]))):
            found[role] += 1
    return dict(found)


def split(path: Path, folder: Path) -> Path:
    """Write the pages' part of the keys into a folder, and return where; again after each change. Raises OfThePages, NoPartYet."""
    with keyring.held(path):
        keys = Keyring.load(path)
        if keys.of_pages:
            raise OfThePages
        if keys.team is None or keys.box is None:
            raise NoPartYet
        target = folder.expanduser().absolute() / path.name
        if target == path:
            raise keyring.KeysExist(path)
        keys.for_pages().save(target)
    return target


def reseal(database: Database, *, told: Told = lambda _done: None) -> Done:
    """Seal everything anew that is not under a live key. Safe to repeat, and to kill."""
    changed = damaged = 0
    for _ in range(PASSES):
        now_changed, damaged = _pass(database, lambda more, before=changed: told(before + more))  # type: ignore[misc]
        changed += now_changed
        if not now_changed:
            break
    with database.transaction() as session:
        left = _left(session)
    return Done(changed, max(0, left - damaged), damaged)


def _pass(database: Database, told: Told) -> tuple[int, int]:
    with database.transaction() as session:
        _require_all(database)
        found = resealing.columns(session)
    changed = damaged = 0
    for column in found:
        after = 0
        while True:
            with database.transaction() as session:
                done = resealing.turn(session, column, after=after, team=operators.mailboxes_of_all(session))
            if not done.last:
                break
            after, changed, damaged = done.last, changed + done.changed, damaged + done.damaged
            told(changed)
    return changed, damaged


def to_reseal(database: Database) -> int:
    """Return how many values are not under a live key."""
    with database.transaction() as session:
        return _left(session)


def to_reindex(database: Database) -> int:
    """Return how many addresses the live index key does not find."""
    with database.transaction() as session:
        return mailboxes.not_indexed(session)


def _left(session: Session) -> int:
    team = operators.mailboxes_of_all(session)
    return sum(resealing.left(session, column, team=team) for column in resealing.columns(session))


def reindex(database: Database, *, told: Told = lambda _done: None) -> Done:
    """Index every address under the live key as well. Safe to repeat, and to kill."""
    _require_all(database)
    changed = 0
    for _ in range(PASSES):
        before, after = changed, 0
        while True:
            with database.transaction() as session:
                after, done = mailboxes.reindex(session, after=after)
            if not after:
                break
            changed += done
            told(changed)
        if changed == before:
            break
    with database.transaction() as session:
        return Done(changed, mailboxes.not_indexed(session), 0)


def _require_all(database: Database) -> None:
    if not database.vault.reads_people:
        raise OfThePages


def drop(path: Path, url: str, key: str) -> Path:
    """Take a key out of the file where nothing rests on it any more, and return where it is kept aside.

    key   "seal:1", as `keys list` prints it

    Raises NoSuchKey, KeyLives, ForEver, StillUsed, StillMailed, StillWritten.
    """
    with keyring.held(path):
        keys = Keyring.load(path)
        purpose, key_id = _named(keys, key)
        opened = Database(url, Vault(keys))
        try:
            with opened.transaction() as session:
                _require_unused(session, purpose, key_id)
            aside = keyring.keep_aside(path, keys, purpose, key_id)
            while purpose == "index" and _drop_some(opened, key_id):
                continue
            with opened.transaction() as session:
                mailboxes.forget_key(session, purpose, key_id)
        finally:
            opened.close()
        keys.without(purpose, key_id).save(path)
    return aside


def _named(keys: Keyring, key: str) -> tuple[str, int]:
    purpose, _, number = key.partition(":")
    ring = keys.ring(purpose) if purpose in PURPOSES else None
    if keys.of_pages:
        raise OfThePages
    if ring is None or not number.isdecimal() or int(number) not in ring.keys:
        raise NoSuchKey(key)
    if int(number) == ring.live:
        raise KeyLives(key)
    if purpose == "token":
        raise ForEver(key)
    return purpose, int(number)


def _require_unused(session: Session, purpose: str, key_id: int) -> None:
    key = f"{purpose}:{key_id}"
    # An index key that is there writes; whoever does not know a newer one writes under it alone.
    alone = (lambda live, newest: newest <= key_id) if purpose == "index" else (lambda live, newest: live == key_id)
    if late := _others(session, purpose, alone):
        raise StillWritten(key, ", ".join(f"{role} {count}" for role, count in late.items()))
    if purpose == "index":
        if count := mailboxes.known_by_alone(session, key_id):
            raise StillUsed(key, count, "mailbox.address")
    elif found := resealing.using(session, key_id):
        raise StillUsed(key, sum(found.values()), ", ".join(found))
    elif purpose == "seal" and (count := fresh.resting(session, key_id, since=database.now(session) - fresh.LASTS)):
        raise StillMailed(key, count)


def _drop_some(database: Database, key_id: int) -> int:
    with database.transaction() as session:
        return mailboxes.drop_index(session, key_id)
