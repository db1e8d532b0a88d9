"""A message becomes bytes: the same message always the same ones, its elements in the order of the OASIS schema."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from lxml import etree

from newsletter.campaigns.cap.message import Area, CapMessage, Info, Resource, moment
from newsletter.campaigns.cap.reading import NAMESPACE, Element

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Value = str | datetime | None


def write(message: CapMessage) -> bytes:
    """Return a message as XML in UTF-8. What is empty is left out; letters that XML does not know are dropped."""
    # The stubs know no default namespace.
    root = etree.Element(f"{{{NAMESPACE}}}alert", nsmap=cast(Any, {None: NAMESPACE}))
    _add(
        root,
        ("identifier", message.identifier),
        ("sender", message.sender),
        ("sent", message.sent),
        ("status", message.status),
        ("msgType", message.kind),
        ("source", message.source),
        ("scope", message.scope),
        ("restriction", message.restriction),
        ("addresses", message.addresses),
        *_each("code", message.codes),
        ("note", message.note),
        ("references", " ".join(map(str, message.references))),
        ("incidents", message.incidents),
    )
    for info in message.infos:
        _info(root, info)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _info(root: Element, info: Info) -> None:
    element = _open(root, "info")
    _add(
        element,
        ("language", info.language),
        *_each("category", info.categories),
        ("event", info.event),
        *_each("responseType", info.responses),
        ("urgency", info.urgency),
        ("severity", info.severity),
        ("certainty", info.certainty),
        ("audience", info.audience),
    )
    _pairs(element, "eventCode", info.event_codes)
    _add(
        element,
        ("effective", info.effective),
        ("onset", info.onset),
        ("expires", info.expires),
        ("senderName", info.sender_name),
        ("headline", info.headline),
        ("description", info.description),
        ("instruction", info.instruction),
        ("web", info.web),
        ("contact", info.contact),
    )
    _pairs(element, "parameter", info.parameters)
    for resource in info.resources:
        _resource(element, resource)
    for area in info.areas:
        _area(element, area)


def _resource(info: Element, resource: Resource) -> None:
    _add(
        _open(info, "resource"),
        ("resourceDesc", resource.description),
        ("mimeType", resource.mime_type),
        ("size", resource.size),
        ("uri", resource.uri),
        ("digest", resource.digest),
    )


def _area(info: Element, area: Area) -> None:
    element = _open(info, "area")
    polygons, circles = _each("polygon", area.polygons), _each("circle", area.circles)
    _add(element, ("areaDesc", area.description), *polygons, *circles)
    _pairs(element, "geocode", area.geocodes)
    _add(element, ("altitude", area.altitude), ("ceiling", area.ceiling))


def _each(name: str, values: Iterable[str]) -> list[tuple[str, Value]]:
    return [(name, value) for value in values]


def _pairs(parent: Element, name: str, pairs: Iterable[tuple[str, str]]) -> None:
    for key, value in pairs:
        pair = _open(parent, name)
        _open(pair, "valueName").text = _clean(key)
        # The schema wants the element even where it says nothing.
        _open(pair, "value").text = _clean(value)


def _open(parent: Element, name: str) -> Element:
    return etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")


def _add(parent: Element, *fields: tuple[str, Value]) -> None:
    for name, value in fields:
        if words := moment(value) if isinstance(value, datetime) else _clean(value or ""):
            _open(parent, name).text = words


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)
