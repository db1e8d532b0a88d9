"""People as JSON: what the APIs of listmonk and Mailman answer, each person as a row of a table. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from newsletter.subscribers import spelling
from newsletter.subscribers.formats import Format, Standing
from newsletter.subscribers.tables import BadTable

COLUMNS = ("email", "name", "status")
_DEEPEST = 20


def people(document: Any) -> list[dict[str, Any]]:
    """Return the people of a document: listmonk keeps them in data.results, Mailman in entries. Raises BadTable."""
    for key in ("data", "results", "entries"):
        if isinstance(document, dict) and key in document:
            document = document[key]
    found = document if isinstance(document, list) else [document]
    if not all(isinstance(one, dict) and isinstance(one.get("email"), str) and _listed(one) for one in found):
        raise BadTable("bad-json")
    return found


def _listed(one: Mapping[str, Any]) -> bool:
    """Whether a person's lists are such, if there are any: what cannot be read there may say that they left."""
    lists = one.get("lists") or []
    return isinstance(lists, list) and all(isinstance(each, dict) for each in lists)


def guess(found: Iterable[Mapping[str, Any]]) -> Format:
    """Return whose people these are."""
    return Format.MAILMAN if any("delivery_mode" in one or "list_id" in one for one in found) else Format.LISTMONK


def require_list(found: Iterable[Mapping[str, Any]], moved: str) -> None:
    """Raise BadTable where nobody is on a list of this name: it is a misspelling, and nobody would come in."""
    names = dict.fromkeys(_name(each) for one in found for each in one.get("lists") or ())
    if not names:
        raise BadTable("no-lists")
    if spelling.seen(moved) not in map(spelling.seen, names):
        raise BadTable("no-such-list", name=moved, lists=", ".join(f"“{name}”" for name in names))


def _name(each: Mapping[str, Any]) -> str:
    return str(each.get("name") or "")


def said(one: Mapping[str, Any], kind: Format, moved: str) -> list[tuple[str, str]]:
    """Return all that is said of a person, by heading; one heading may say several things. Raises BadTable.

    moved   the list of listmonk's that moves; "": none was named
    """
    if kind is Format.MAILMAN:
        return list(_of_mailman(one).items())
    return [*_of_listmonk(one, moved).items(), *own_fields(one.get("attribs"))]


def row(told: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a person as a row, by heading: what one heading says several times with commas between."""
    found: dict[str, str] = {}
    for name, word in told:
        found[name] = ", ".join(filter(None, (found.get(name), word)))
    return found


def _of_listmonk(one: Mapping[str, Any], moved: str) -> dict[str, str]:
    """Who left each of their lists has left, whatever their record says; who left one alone may take another."""
    lists = one.get("lists") or []
    status = str(one.get("status") or "")
    if lists and all(each.get("subscription_status") == "unsubscribed" for each in lists):
        status = status if status == "blocklisted" else "unsubscribed"
    said = {"email": one["email"], "name": str(one.get("name") or ""), "status": status}
    return said | {"list_status": _on_list(lists, moved)}


def _on_list(lists: list[Mapping[str, Any]], moved: str) -> str:
    """Return what a person is on the list that moves, or on all their lists where none was named."""
    mine = [each for each in lists if not moved or spelling.seen(_name(each)) == spelling.seen(moved)]
    if moved and not mine:
        return Standing.ANOTHER
    said = {each.get("subscription_status") for each in mine}
    if "unsubscribed" in said:
        return "unsubscribed" if moved else Standing.UNCLEAR
    # A confirmation that never came, on each of them.
    waits = mine and "confirmed" not in said and all(each.get("optin") == "double" for each in mine)
    return "unconfirmed" if waits else "confirmed"


def of_cell(cell: str) -> Iterator[tuple[str, str]]:
    """Yield the same of a table, whose cell holds them as JSON; nothing where it is none. Raises BadTable."""
    try:
        yield from own_fields(json.loads(cell))
    except RecursionError:
        raise BadTable("too-deep") from None
    except ValueError:
        return


def own_fields(attribs: Any) -> Iterator[tuple[str, str]]:
    """Yield each word of what an organisation keeps of a person in fields of its own: ("attribs.gdpr.consent", "false").

    Also those in lists, one by one under the name of their list. Raises BadTable for what is nested deeper than anybody nests it.
    """
    rest = [("attribs", attribs, 0)]
    while rest:
        name, found, depth = rest.pop()
        if depth > _DEEPEST:
            raise BadTable("too-deep")
        if isinstance(found, dict):
            rest += [(f"{name}.{key}".strip().lower(), each, depth + 1) for key, each in found.items()]
        elif isinstance(found, list) and found:
            rest += [(name, each, depth + 1) for each in reversed(found)]
        else:
            yield name, "" if isinstance(found, list) else _spelled(found)


def _spelled(found: Any) -> str:
    if isinstance(found, bool):
        return str(found).lower()
    return "" if found is None else str(found).strip()


def _of_mailman(one: Mapping[str, Any]) -> dict[str, str]:
    role, status = str(one.get("role") or "member"), str(one.get("delivery_status") or "enabled")
    said = "off" if role != "member" or status in ("by_user", "by_moderator", "unknown") else status
    return {"email": one["email"], "name": str(one.get("display_name") or ""), "status": said}
