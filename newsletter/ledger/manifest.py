"""What a lock fixes: all that a reader will see, and whom it goes to, as one text with one fingerprint. Pure.

The text is canonical JSON, so that whoever holds it can work out the fingerprint that people signed, and a worker can ask of
what it holds in its hands: is this what they saw?
"""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from newsletter.composer.content import ALERT_BLOCKS, ALERT_WHEN
from newsletter.composer.message import Compiled

FORM = 1


@dataclass(frozen=True, slots=True)
class Version:
    """One language of an alert.

    head, blocks   SHA-256 of the compiled bytes, in hexadecimal
    words          what was written
    frame          the frame whose fixed words they keep; None where they were written freely
    style          of readers at risk whose version it is (composer.styles); "" for everyone else
    """

    number: int
    language: str
    head: str
    blocks: tuple[str, ...]
    words: str
    frame: str | None = None
    style: str = ""

    @staticmethod
    def of(
        compiled: Compiled, *, number: int, language: str, words: str, frame: str | None = None, style: str = ""
    ) -> "Version":
        """Return the version of a compiled message."""
        return Version(number, language, *_digests(compiled), words, frame, style)

    def is_of(self, compiled: Compiled) -> bool:
        """Return whether these are the very bytes that were locked."""
        return _digests(compiled) == (self.head, self.blocks)


def _digests(compiled: Compiled) -> tuple[str, tuple[str, ...]]:
    head = hashlib.sha256(compiled.head.dump()).hexdigest()
    return head, tuple(block.digest.hex() for block in compiled.blocks)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is fixed.

    number      which lock of this mailing it is, from 1: a signature over an earlier one is good for nothing
    author      the operator who asked for it; None: somebody at the command line without a name
    expires_at, latest   when it expires, and up to when that may be put off without asking anyone anew
    audience    the stored audience, every part of it spelled out
    count       how many it goes to
    links       every address a reader may follow
    retraction  what follows where it is taken back
    updates     the alert that this one follows and replaces
    translates  the alert of which this one is a language that came later
    writers     the operators who wrote it, of whom none may approve it
    measure     what the count depends on, in figures that are counted in a moment (`planning.measure`); none: it must be counted
    written_at  the moment that its mails say, and its page; None: it was locked before these were of one moment
    whole       of one cut into languages, to how many it would go uncut: by that it is judged. 0: it is not cut
    """

    mailing: int
    number: int
    author: int | None
    kind: str
    lane: str
    sender: str
    expires_at: datetime
    latest: datetime
    audience: Mapping[str, Any]
    count: int
    versions: tuple[Version, ...]
    retraction: tuple[Version, ...]
    links: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    updates: int | None = None
    writers: tuple[int, ...] = ()
    measure: tuple[int, ...] = (0, 0)
    translates: int | None = None
    whole: int = 0
    written_at: datetime | None = None

    @property
    def text(self) -> str:
        """The one spelling: JSON with sorted names, no blanks, times in UTC."""
        fields = asdict(self) | {"form": FORM}
        if self.translates is None:
            del fields["translates"]  # what was locked before there was such a thing keeps its fingerprint
        if not self.whole:
            del fields["whole"]
        if self.written_at is None:
            del fields["written_at"]
        for version in (*fields["versions"], *fields["retraction"]):
            if not version["style"]:
                del version["style"]
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_moment)

    @property
    def words(self) -> dict[str, str]:
        """What goes in each language, as its file: where there are two, what stands first, and the marked one says the same."""
        first = {version.language: version.words for version in reversed(self.versions)}
        return {version.language: first[version.language] for version in self.versions}

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the text: what is signed."""
        return hashlib.sha256(self.text.encode()).digest()

    @staticmethod
    def parse(text: str) -> "Manifest":
        """Return the manifest of a text that `text` made."""
        fields = json.loads(text)
        if fields.pop("form") != FORM:
            raise ValueError("a lock of another form")
        for name in ("versions", "retraction"):
            fields[name] = tuple(Version(**one | {"blocks": tuple(one["blocks"])}) for one in fields[name])
        for name in ("expires_at", "latest", "written_at"):
            if name in fields:
                fields[name] = datetime.fromisoformat(fields[name])
        fields["writers"], fields["measure"] = tuple(fields["writers"]), tuple(fields.get("measure", (0, 0)))
        fields["links"], fields["images"] = tuple(fields["links"]), tuple(tuple(one) for one in fields["images"])
        return Manifest(**fields)

    def holds(self, compiled: Compiled, *, retraction: bool = False) -> bool:
        """Return whether a message is one of those that were locked."""
        return any(version.is_of(compiled) for version in (self.retraction if retraction else self.versions))

    def moved(self, count: int) -> bool:
        """Return whether an audience is no longer the one that was locked: more than 2 % away, a single reader aside."""
        return abs(count - self.count) > max(1, self.count * 2 // 100)

    def surely_same(self, measure: tuple[int, ...]) -> bool:
        """Return whether the audience cannot have moved, by figures that are counted in a moment; False: it must be counted."""
        # Of a part that was locked before there were figures of it, or has none, there are fewer than might be, or none.
        if not measure or len(measure) != len(self.measure):
            return False
        return not self.moved(
            self.count + sum(abs(now - then) for now, then in zip(measure, self.measure, strict=True))
        )


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    raise TypeError(type(value).__name__)


def short(fingerprint: bytes) -> str:
    """Return the beginning of a fingerprint as two people read it to each other: "3f9a 04c7 51be"."""
    figures = fingerprint.hex()[:12]
    return " ".join(figures[place : place + 4] for place in range(0, 12, 4))


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. what: an id of the catalogue after "alert.changed-"; lines: of a text, each beginning with "+" or "-"."""

    what: str
    before: str
    after: str
    lines: tuple[str, ...] = ()


# Not when it expires: each lock says that anew, and it stands beside.
_PLAIN = ("sender", "lane", "count", "updates", "translates")


def difference(before: Manifest, after: Manifest) -> list[Change]:
    """Return what is another than it was at an earlier lock: what an approver who saw that one must look at."""
    changes = [
        Change(name, str(getattr(before, name)), str(getattr(after, name)))
        for name in _PLAIN
        if getattr(before, name) != getattr(after, name)
    ]
    if before.audience != after.audience:
        changes.append(Change("audience", _spelled(before.audience), _spelled(after.audience)))
    changes += _words("words", before.versions, after.versions) + _words(
        "retraction", before.retraction, after.retraction
    )
    if _names(before) != _names(after) or _styled(before, after) != _styled(after, before):
        changes.append(Change("styles", _names(before), _names(after)))
    changes += _listed("links", before.links, after.links)
    return changes + _listed("images", [one[0] for one in before.images], [one[0] for one in after.images])


def _words(what: str, before: Iterable[Version], after: Iterable[Version]) -> list[Change]:
    # Those of a style are in the same words.
    old, new = ({one.language: one for one in versions if not one.style} for versions in (before, after))
    changes = []
    for language in sorted(old.keys() | new.keys()):
        was, now = old.get(language), new.get(language)
        if was and now and (_looks(was), was.words) == (_looks(now), now.words):
            continue
        lines = _lines(was.words if was else "", now.words if now else "")
        changes.append(Change(what, language if was else "", language if now else "", lines))
    return changes


def _looks(version: Version) -> tuple[str, ...]:
    """A version without the block that says when it was locked: each lock says that anew."""
    blocks = version.blocks
    if len(blocks) == ALERT_BLOCKS:
        blocks = (*blocks[:ALERT_WHEN], *blocks[ALERT_WHEN + 1 :])
    return (version.head, *blocks)


def _styled(manifest: Manifest, other: Manifest) -> list[tuple[str, tuple[str, ...]]]:
    """What readers at risk get by one of two locks, as far as it is not another because everyone's words are."""
    same = {one.words for one in manifest.versions} & {one.words for one in other.versions}
    return [(one.style, _looks(one)) for one in manifest.versions if one.style and one.words in same]


def _names(manifest: Manifest) -> str:
    return ", ".join(sorted({one.style for one in manifest.versions if one.style}))


def _lines(before: str, after: str) -> tuple[str, ...]:
    """Lines that differ; none where only the look of the same words does."""
    compared = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return tuple(compared)[2:]


def _listed(what: str, before: Sequence[str], after: Sequence[str]) -> list[Change]:
    gone = tuple(f"-{one}" for one in before if one not in after)
    come = tuple(f"+{one}" for one in after if one not in before)
    return [Change(what, str(len(before)), str(len(after)), gone + come)] if gone or come else []


def _spelled(audience: Mapping[str, Any]) -> str:
    """An audience as people compare it: what it is called by, part by part; whatever else is fixed of it as it stands."""
    return " · ".join(f"{name}: {_part(one)}" for name, one in sorted(audience.items()))


def _part(value: Any) -> str:
    if isinstance(value, dict) and "key" in value:
        more = [_part(one) for name, one in sorted(value.items()) if name not in ("id", "key")]
        return " ".join([str(value["key"]), *more])
    if isinstance(value, list):
        return "(" + ", ".join(map(_part, value)) + ")"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
