"""The named series: adding and finding them."""

import re
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter import languages as tongues
from newsletter.composer import headers
from newsletter.errors import Conflict, Invalid, NotFound
from newsletter.issues import cutting
from newsletter.models.digest import Digest
from newsletter.subscribers.subscriptions import Rhythm

_LABEL = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
_LONGEST_NAME = 100


class UnknownDigest(NotFound):
    """No digest has this key."""

    def __init__(self, key: str) -> None:
        super().__init__("digest.unknown", digest=key)


class DigestExists(Conflict):
    """A digest with this key is there already, with another name, language or rhythm."""

    def __init__(self, key: str) -> None:
        super().__init__("digest.exists", digest=key)


class BadDigestKey(Invalid):
    """The key cannot stand in a List-Id and in addresses of pages."""

    def __init__(self, key: str) -> None:
        super().__init__("digest.bad-key", digest=key)


class BadDigestName(Invalid):
    """The name cannot stand in a subject and in a List-Id (standards §7)."""

    def __init__(self) -> None:
        super().__init__("digest.bad-name", longest=_LONGEST_NAME)


class BadDigestLanguage(Invalid):
    """A language is written as nobody reads it (BCP 47)."""

    def __init__(self, language: str) -> None:
        super().__init__("digest.bad-language", language=language)


@dataclass(frozen=True, slots=True)
class DigestView:
    """A digest. `languages`: the first is what readers of any other language get."""

    id: int
    key: str
    name: str
    languages: tuple[str, ...]
    rhythm: Rhythm


def add(session: Session, key: str, *, name: str, languages: tuple[str, ...], rhythm: Rhythm) -> DigestView:
    """Add a digest; the same one again changes nothing. Raises BadDigestKey, -Name, -Language, DigestExists, NeverCut."""
    if not re.fullmatch(_LABEL, key):
        raise BadDigestKey(key)
    name, languages = _name(name), tuple(map(_language, languages))
    cutting.cuttable(rhythm)
    found = session.execute(select(Digest).where(Digest.key == key)).scalar_one_or_none()
    if found is None:
        found = Digest(key=key, name=name, languages=list(languages), rhythm=rhythm)
        session.add(found)
        session.flush()
    elif (found.name, tuple(found.languages), found.rhythm) != (name, languages, rhythm):
        raise DigestExists(key)
    return _view(found)


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or headers.FORBIDDEN.search(name):
        raise BadDigestName
    return name


def _language(tag: str) -> str:
    if (found := tongues.tag(tag)) is None:
        raise BadDigestLanguage(tag)
    return found


def by_key(session: Session, key: str) -> DigestView:
    """Return the digest of this key. Raises UnknownDigest."""
    if not re.fullmatch(_LABEL, key):  # what no key can be is not asked for: a path of a page may hold anything
        raise UnknownDigest(key)
    found = session.execute(select(Digest).where(Digest.key == key)).scalar_one_or_none()
    if found is None:
        raise UnknownDigest(key)
    return _view(found)


def get(session: Session, digest_id: int) -> DigestView:
    """Return a digest by its number."""
    return _view(session.get_one(Digest, digest_id))


def keys(session: Session) -> dict[int, str]:
    """Return the key of each digest by its number."""
    return {found.id: found.key for found in listed(session)}


def listed(session: Session) -> list[DigestView]:
    """Return all digests in the order of their keys."""
    return [_view(found) for found in session.execute(select(Digest).order_by(Digest.key)).scalars()]


def _view(digest: Digest) -> DigestView:
    return DigestView(digest.id, digest.key, digest.name, tuple(digest.languages), Rhythm(digest.rhythm))
