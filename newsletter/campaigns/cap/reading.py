"""Bytes that nobody trusts become a message, or a sentence that says what is wrong with them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, BinaryIO, NoReturn, TypeVar, cast

from lxml import etree

from newsletter import languages
from newsletter.campaigns.cap import message
from newsletter.campaigns.cap.message import (
    Area,
    CapMessage,
    Category,
    Certainty,
    Info,
    Kind,
    Reference,
    Resource,
    Response,
    Scope,
    Severity,
    Status,
    Urgency,
)
from newsletter.errors import Invalid

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
_FAMILY = "urn:oasis:names:tc:emergency:cap:"
MAX_BYTES = 2 * 2**20
"""The largest message that is read: ten times one with the outline of a lake."""
MAX_REFERENCES = 500

Element = etree._Element
T = TypeVar("T", bound=StrEnum)


class NotCap(Invalid):
    """The file is no message of CAP 1.2, or is damaged, or brings definitions of its own."""

    def __init__(self, name: str) -> None:
        super().__init__("cap.not-cap", name=name)


class OtherVersion(Invalid):
    """The message is of a version of CAP that is not read."""

    def __init__(self, name: str, version: str) -> None:
        super().__init__("cap.other-version", name=name, version=version)


class TooLarge(Invalid):
    """The file is larger than any message."""

    def __init__(self, name: str) -> None:
        super().__init__("cap.too-large", name=name, limit=MAX_BYTES // 2**20)


class BadCap(Invalid):
    """The message lacks what it needs, or says what nobody can read. element: the one that is wrong."""

    def __init__(self, problem: str, element: str, line: int, **facts: object) -> None:
        super().__init__(f"cap.{problem}", element=element, line=line, **facts)


def read(source: BinaryIO | bytes, *, name: str = "") -> CapMessage:
    """Return the message of a file.

    name   file or address, for messages

    Nothing is fetched and no entity expanded; a file with a document type is refused, since no message has one. Raises
    NotCap, OtherVersion, TooLarge, BadCap.
    """
    root = _root(source, name)
    return CapMessage(
        identifier=_name(root, "identifier"),
        sender=_name(root, "sender"),
        sent=_time(root, "sent") or _missing(root, "sent"),
        status=_choice(root, "status", Status),
        kind=_choice(root, "msgType", Kind),
        source=_text(root, "source"),
        scope=_choice(root, "scope", Scope),
        restriction=_text(root, "restriction"),
        addresses=_text(root, "addresses"),
        codes=_texts(root, "code"),
        note=_text(root, "note"),
        references=_references(root),
        incidents=_text(root, "incidents"),
        infos=tuple(_info(one) for one in _all(root, "info")),
    )


def document(source: BinaryIO | bytes, *, name: str = "") -> str:
    """Return a message as text to be kept: everything it holds, also what is not read, but comments. Raises as `read`."""
    return etree.tostring(_root(source, name), encoding="unicode")


def _root(source: BinaryIO | bytes, name: str) -> Element:
    raw = source if isinstance(source, bytes) else source.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise TooLarge(name)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        # A blank line before "<?xml" is a frequent slip, and no reason to miss an alert.
        root = etree.fromstring(raw.lstrip(b" \t\r\n"), parser)
    except (etree.XMLSyntaxError, LookupError, ValueError):
        raise NotCap(name) from None
    space, _, local = str(root.tag).lstrip("{").rpartition("}")
    if root.getroottree().docinfo.internalDTD is not None or local != "alert":
        raise NotCap(name)
    if space != NAMESPACE:
        raise OtherVersion(name, space.removeprefix(_FAMILY)[:10]) if space.startswith(_FAMILY) else NotCap(name)
    return root


def _info(info: Element) -> Info:
    stated = _text(info, "language") or "en-US"
    return Info(
        language=languages.tag(stated) or _unreadable(info, "language", stated),
        categories=_choices(info, "category", Category) or _missing(info, "category"),
        event=_required(info, "event"),
        responses=_choices(info, "responseType", Response),
        urgency=_choice(info, "urgency", Urgency),
        severity=_choice(info, "severity", Severity),
        certainty=_choice(info, "certainty", Certainty),
        audience=_text(info, "audience"),
        event_codes=_pairs(info, "eventCode"),
        effective=_time(info, "effective"),
        onset=_time(info, "onset"),
        expires=_time(info, "expires"),
        sender_name=_text(info, "senderName"),
        headline=_text(info, "headline"),
        description=_text(info, "description"),
        instruction=_text(info, "instruction"),
        web=_text(info, "web"),
        contact=_text(info, "contact"),
        parameters=_pairs(info, "parameter"),
        resources=tuple(_resource(one) for one in _all(info, "resource")),
        areas=tuple(_area(one) for one in _all(info, "area")),
    )


def _resource(resource: Element) -> Resource:
    return Resource(
        description=_required(resource, "resourceDesc"),
        mime_type=_required(resource, "mimeType"),
        size=_text(resource, "size"),
        uri=_text(resource, "uri"),
        digest=_text(resource, "digest"),
    )


def _area(area: Element) -> Area:
    return Area(
        description=_required(area, "areaDesc"),
        polygons=tuple(" ".join(one.split()) for one in _texts(area, "polygon")),
        circles=tuple(" ".join(one.split()) for one in _texts(area, "circle")),
        geocodes=_pairs(area, "geocode"),
        altitude=_text(area, "altitude"),
        ceiling=_text(area, "ceiling"),
    )


def _references(root: Element) -> tuple[Reference, ...]:
    words = _text(root, "references").split()
    if len(words) > MAX_REFERENCES:
        raise BadCap("too-many-references", "references", _line(root, "references"), limit=MAX_REFERENCES)
    found = []
    for word in words:
        one = message.reference(word)
        if one is None:
            raise BadCap("bad-reference", "references", _line(root, "references"))
        found.append(one)
    return tuple(dict.fromkeys(found))


def _all(parent: Element, name: str) -> list[Element]:
    return parent.findall(f"{{{NAMESPACE}}}{name}")


def _one(parent: Element, name: str) -> Element | None:
    """What may stand once stands once: of two identifiers, two readers would believe different ones."""
    found = _all(parent, name)
    if len(found) > 1:
        raise BadCap("twice", name, _line_of(found[1]))
    return found[0] if found else None


def _line(parent: Element, name: str) -> int:
    found = _all(parent, name)
    return _line_of(found[0] if found else parent)


def _line_of(element: Element) -> int:
    return int(cast(Any, element.sourceline) or 0)  # the stubs say "..."


def _words(element: Element) -> str:
    return "".join(str(part) for part in element.itertext()).strip()


def _text(parent: Element, name: str) -> str:
    found = _one(parent, name)
    return "" if found is None else _words(found)


def _texts(parent: Element, name: str) -> tuple[str, ...]:
    return tuple(filter(None, map(_words, _all(parent, name))))


def _pairs(parent: Element, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((_required(one, "valueName"), _text(one, "value")) for one in _all(parent, name))


def _required(parent: Element, name: str) -> str:
    return _text(parent, name) or _missing(parent, name)


def _missing(parent: Element, name: str) -> NoReturn:
    raise BadCap("missing", name, _line(parent, name))


def _unreadable(parent: Element, name: str, value: str) -> NoReturn:
    raise BadCap("bad-value", name, _line(parent, name), value=value[:40])


def _name(root: Element, name: str) -> str:
    found = _required(root, name)
    if not message.is_name(found):
        raise BadCap("bad-name", name, _line(root, name), longest=message.LONGEST_NAME)
    return found


def _choice(parent: Element, name: str, of: type[T]) -> T:
    return _chosen(parent, name, _required(parent, name), of)


def _choices(parent: Element, name: str, of: type[T]) -> tuple[T, ...]:
    return tuple(_chosen(parent, name, word, of) for word in _texts(parent, name))


def _chosen(parent: Element, name: str, word: str, of: type[T]) -> T:
    try:
        return of(word)
    except ValueError:
        known = ", ".join(of)
        raise BadCap("not-one-of", name, _line(parent, name), value=word[:40], known=known) from None


def _time(parent: Element, name: str) -> datetime | None:
    """A zone is what makes a time a time: without one, an update may seem older than what it updates."""
    stated = _text(parent, name)
    if not stated:
        return None
    try:
        return message.time(stated)
    except message.NoZone:
        raise BadCap("no-zone", name, _line(parent, name)) from None
    except ValueError:
        _unreadable(parent, name, stated)
