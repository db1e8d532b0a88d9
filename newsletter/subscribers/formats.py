"""What other systems call our columns, and what they say of a person. Pure.

Whose export a file is shows in its header. A heading may be mapped by hand; what nobody maps is named and left out.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from newsletter.errors import Invalid
from newsletter.subscribers import spelling
from newsletter.subscribers.suppression import Reason


class Format(StrEnum):
    """Whose export a file is."""

    CSV = "csv"
    XLSX = "xlsx"
    MAILCHIMP = "mailchimp"
    LISTMONK = "listmonk"
    MAILMAN = "mailman"
    MAILPOET = "mailpoet"


class Standing(StrEnum):
    """What a system that is left says of a person."""

    SUBSCRIBED = "subscribed"
    LEFT = "left"
    DEAD = "dead"
    COMPLAINED = "complained"
    BARRED = "barred"
    UNCONFIRMED = "unconfirmed"
    OFF = "off"
    ELSEWHERE = "left the list"
    UNCLEAR = "left one of several lists"
    ANOTHER = "takes another list"
    UNASKED = "said no"


SUPPRESSED = {
    Standing.LEFT: Reason.LEFT,
    Standing.DEAD: Reason.DEAD,
    Standing.COMPLAINED: Reason.COMPLAINT,
    Standing.BARRED: Reason.NEVER_AGAIN,
}
"""What keeps mail away, and for which reason."""
NOT_TAKEN = {
    Standing.UNCONFIRMED: "never confirmed it there",
    Standing.OFF: "has a status there that is not of somebody who takes mail",
    Standing.ELSEWHERE: "had left this list there",
    Standing.UNCLEAR: "had left one of several lists there: --list says which of them moves",
    Standing.ANOTHER: "does not take this list there",
    Standing.UNASKED: "says no there, or nothing that we know as a yes",
}
"""What neither brings in nor keeps away: the row says why."""

COLUMNS = (
    "email",
    "name",
    "first_name",
    "last_name",
    "language",
    "time_zone",
    "postcode",
    "area",
    "topics",
    "status",
    "list_status",
    "permission",
    "optin_time",
    "optin_ip",
    "confirm_time",
    "confirm_ip",
    "left_time",
    "dead_time",
)
PROOF = ("optin_time", "confirm_time")
"""Columns that show, person by person, when they asked for mail."""
_SAYING = ("status", "list_status", "permission", "left_time", "dead_time")
"""Columns that say, person by person, who has left or wants no mail."""
OWN = (Format.CSV, Format.XLSX)
"""Lists of one's own: nothing is known of what their columns mean but what their headings say."""

_COMMON = {
    "email": "email",
    "e-mail": "email",
    "email address": "email",
    "e-mail address": "email",
    "mail": "email",
    "name": "name",
    "full name": "name",
    "display name": "name",
    "display_name": "name",
    "first name": "first_name",
    "first_name": "first_name",
    "firstname": "first_name",
    "last name": "last_name",
    "last_name": "last_name",
    "lastname": "last_name",
    "surname": "last_name",
    "language": "language",
    "time_zone": "time_zone",
    "time zone": "time_zone",
    "timezone": "time_zone",
    "postcode": "postcode",
    "postal code": "postcode",
    "zip code": "postcode",
    "area": "area",
    "tags": "topics",
    "topics": "topics",
    "optin_time": "optin_time",
    "opt-in time": "optin_time",
    "optin_ip": "optin_ip",
    "opt-in ip": "optin_ip",
    "confirm_time": "confirm_time",
    "confirm_ip": "confirm_ip",
    "unsub_time": "left_time",
    "clean_time": "dead_time",
}
_OWN: dict[Format, dict[str, str]] = {
    Format.MAILCHIMP: {},
    Format.LISTMONK: {"status": "status"},
    Format.MAILMAN: {"delivery_status": "status", "role": "list_status"},
    Format.MAILPOET: {
        "status": "status",
        "global status": "status",
        "list status": "list_status",
        # As its ImportExportFactory::getSubscriberFields names them; older ones beside them.
        "subscription time": "optin_time",
        "subscription ip": "optin_ip",
        "confirmation time": "confirm_time",
        "confirmation ip": "confirm_ip",
        "created at": "optin_time",
        "created_at": "optin_time",
        "subscribed ip": "optin_ip",
        "confirmed at": "confirm_time",
        "confirmed_at": "confirm_time",
        "confirmed ip": "confirm_ip",
    },
    Format.CSV: {"status": "status"},
    Format.XLSX: {"status": "status"},
}
_PERMISSION = re.compile(r"(is |email |e mail |gdpr |newsletter )?(subscribed|consent|opt ?in|opted in)").fullmatch
"""What a list of one's own calls the column that says yes where somebody wants mail; blanks for what stands between words."""
YES = frozenset((
    "yes", "y", "true", "t", "1", "1.0", "x", "on", "ok", "✓", "✔", "☑", "✅", "ja", "j", "wahr", "oui", "o", "vrai", "si", "sí",
    "sì", "s", "verdadero", "vero", "sim", "verdadeiro", "да", "tak", "evet", "بله", "بلی", "آری", "نعم", "أجل",
))  # fmt: skip
NO = frozenset((
    "no", "n", "false", "f", "0", "0.0", "off", "✗", "✘", "✖", "❌", "☐", "nein", "falsch", "non", "faux", "falso", "não", "nao",
    "нет", "nie", "hayır", "hayir", "نه", "خیر", "خير", "لا", "كلا",
))  # fmt: skip
"""How columns that are ticked or not are written; as `spelling.seen` returns it."""
_STANDINGS = {
    "subscribed": Standing.SUBSCRIBED,
    "enabled": Standing.SUBSCRIBED,
    "confirmed": Standing.SUBSCRIBED,
    "active": Standing.SUBSCRIBED,
    "member": Standing.SUBSCRIBED,
    "": Standing.SUBSCRIBED,
    "unsubscribed": Standing.LEFT,
    "left": Standing.LEFT,
    "bounced": Standing.DEAD,
    "cleaned": Standing.DEAD,
    "by_bounces": Standing.DEAD,
    "complained": Standing.COMPLAINED,
    "spam": Standing.COMPLAINED,
    "blocklisted": Standing.BARRED,
    "blacklisted": Standing.BARRED,
    "unconfirmed": Standing.UNCONFIRMED,
    "pending": Standing.UNCONFIRMED,
}
_THEIRS = {
    Format.MAILPOET: {"inactive": Standing.SUBSCRIBED},  # there: reads seldom, and takes it still
    Format.LISTMONK: {str(Standing.UNCLEAR): Standing.UNCLEAR, str(Standing.ANOTHER): Standing.ANOTHER},
}
_KEEPING = {spelling.letters(word): said for word, said in _STANDINGS.items() if said is not Standing.SUBSCRIBED}
LEAVING = frozenset(_KEEPING)
"""Words that keep their person out under "status", as `spelling.letters` returns them."""
# Where columns disagree, what keeps mail away for good holds, then what keeps a row out.
_WEIGHT = (Standing.SUBSCRIBED, *NOT_TAKEN, *SUPPRESSED)


class BadMapping(Invalid):
    """A mapping names a heading or a column that is not there."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"mapping.{problem}", **facts)


@dataclass(frozen=True, slots=True)
class Headings:
    """What a file calls our columns. columns: ours by theirs, in the file's order; proven: each row may say when and whence."""

    columns: Mapping[str, str]
    ignored: tuple[str, ...]

    @property
    def proven(self) -> bool:
        """Whether rows can show when their person asked for mail."""
        return any(column in PROOF for column in self.columns.values())

    @property
    def sorted_by_standing(self) -> bool:
        """Whether rows say themselves who has left."""
        return any(column in _SAYING for column in self.columns.values())


def parse_mapping(texts: Iterable[str]) -> dict[str, str]:
    """Return column by heading of "HEADING=COLUMN"; a column "-" leaves the heading out. Raises BadMapping."""
    mapping = {}
    for text in texts:
        heading, equals, column = text.rpartition("=")
        if not equals or not heading.strip():
            raise BadMapping("form", text=text)
        if column.strip() not in (*COLUMNS, "-"):
            raise BadMapping("column", column=column.strip(), columns=", ".join(COLUMNS))
        mapping[heading.strip().lower()] = column.strip()
    return mapping


def headings(names: Sequence[str], kind: Format, mapping: Mapping[str, str]) -> Headings:
    """Return what a file calls our columns. Raises BadMapping for a heading that is not there, and for two mapped to one."""
    for heading in mapping:
        if heading not in names:
            raise BadMapping("heading", heading=heading, headings=", ".join(filter(None, names)))
    _require_single(mapping)
    chosen: dict[str, str] = {}
    taken = set(mapping.values())
    for name in names:
        column = mapping.get(name) or _known(name, kind)
        if column != "-" and (name in mapping or column not in taken):
            chosen[name] = column
            taken.add(column)
    # Where a whole name stands, its halves say nothing.
    if "name" in chosen.values():
        chosen = {name: column for name, column in chosen.items() if column not in ("first_name", "last_name")}
    return Headings(chosen, tuple(name for name in names if name and name not in chosen))


def _require_single(mapping: Mapping[str, str]) -> None:
    """One of two would be read: whoever says no under the other would come in."""
    by_column: dict[str, str] = {}
    for heading, column in mapping.items():
        if column != "-" and by_column.setdefault(column, heading) != heading:
            raise BadMapping("twice", column=column, first=by_column[column], second=heading)


def _known(name: str, kind: Format) -> str:
    """Return our column for a heading that nobody mapped; "-": it is none."""
    if kind in OWN and _PERMISSION(name.replace("_", " ").replace("-", " ")):
        return "permission"
    return _OWN[kind].get(name) or _COMMON.get(name) or (name if name in COLUMNS else "-")


def guess(names: Iterable[str], file: str = "") -> Format:
    """Return whose export a table is, by its header, and by its name where somebody has cut columns away."""
    found = set(names)
    if found & {"member_rating", "leid", "euid", "unsub_time", "clean_time"}:  # optin_time is ours as well
        return Format.MAILCHIMP
    if {"uuid", "email", "attributes", "status"} <= found:
        return Format.LISTMONK
    if found & {"global status", "list status"} or _base(file).startswith("mailpoet_export_"):
        return Format.MAILPOET
    if "email address" in found and _base(file).startswith(_NAMED) and "status" not in found:
        return Format.MAILCHIMP
    return Format.CSV


_NAMED = ("subscribed", "unsubscribed", "cleaned", "nonsubscribed")
_UNCONFIRMED = ("pending", "transactional", "archived")
"""How Mailchimp begins the names of its tables."""


def _base(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2].lower()


def of_table(kind: Format, file: str, found: Headings) -> Standing | None:
    """Return what all people of a table are, by its name and its columns; None: each row says.

    A time of leaving that Mailchimp names is that of a table of those who left, wherever it was saved since.
    """
    of_mailchimp, base = kind is Format.MAILCHIMP, _base(file)
    if not of_mailchimp and {"status", "list_status"} & set(found.columns.values()):
        return None
    times = {found.columns[name] for name in ("unsub_time", "clean_time") if name in found.columns}
    if base.startswith("unsubscribed") or times == {"left_time"}:
        return Standing.LEFT
    if base.startswith("cleaned") or times == {"dead_time"}:
        return Standing.DEAD
    if of_mailchimp and base.startswith(("nonsubscribed", *_UNCONFIRMED)):
        return Standing.UNCONFIRMED
    return None if found.sorted_by_standing else Standing.SUBSCRIBED


def is_of_people(kind: Format, file: str, names: Sequence[str]) -> bool:
    """Whether a table among several is one of people of whom it is known whether they want mail.

    A whole account of Mailchimp also holds who opened, clicked and complained, campaigns and orders: nothing there is a wish.
    """
    if _base(file).startswith((*_NAMED, *_UNCONFIRMED)) or {"member_rating", "unsub_time", "clean_time"} & set(names):
        return True
    return kind is not Format.MAILCHIMP and headings(names, kind, {}).sorted_by_standing


_NEVER = re.compile(
    r"[0:.\-/ tz]*|null|none|nil|n/a|never|(?:1970-01-01|1899-1[12]-3[01]|0001-01-01)(?:[ t].*)?"
).fullmatch


def is_never(text: str) -> bool:
    """Return whether this says that something never was: a no, or no time. All other words count: whoever left stays out."""
    return spelling.seen(text) in NO or is_unfilled(text)


def is_unfilled(text: str) -> bool:
    """Return whether this is how a program writes a time that it does not know."""
    said = spelling.seen(text)
    return said not in YES and bool(_NEVER(said))


def standing(values: Mapping[str, str], kind: Format) -> Standing:
    """Return what a row says of its person; a word that nobody knows brings nobody in.

    The status of one list keeps its row out and bars nobody: whoever left that list may take another, in another row. So does
    a permission that was not given, or was left empty.
    """
    found = [_said(values["status"], kind)] if "status" in values else []
    if "permission" in values:
        found.append(_permitted(values["permission"]))
    for name, said in (("left_time", Standing.LEFT), ("dead_time", Standing.DEAD)):
        if not is_never(values.get(name, "")):
            found.append(said)
    whole = max(found, key=_WEIGHT.index, default=Standing.SUBSCRIBED)
    if whole is Standing.SUBSCRIBED and "list_status" in values:
        listed = _said(values["list_status"], kind)
        return listed if listed in (*NOT_TAKEN, Standing.SUBSCRIBED) else Standing.ELSEWHERE
    return whole


def _said(word: str, kind: Format) -> Standing:
    return _THEIRS.get(kind, {}).get(spelling.seen(word)) or _meant(word) or Standing.OFF


def _permitted(word: str) -> Standing:
    said = spelling.seen(word)
    if said in YES:
        return Standing.SUBSCRIBED
    return (_meant(word) if said else None) or Standing.UNASKED


def _meant(word: str) -> Standing | None:
    """Whoever takes mail is so in the very word; whoever left, with any mark between its letters as well."""
    return _STANDINGS.get(spelling.seen(word)) or _KEEPING.get(spelling.letters(word))


def tags(text: str) -> tuple[str, ...]:
    """Return the tags of a cell: with commas between, each perhaps in quotation marks."""
    if not text:
        return ()
    try:
        cells = next(csv.reader([text], skipinitialspace=True, strict=False), [])
    except csv.Error:
        cells = []
    return tuple(dict.fromkeys(tag for cell in cells if (tag := " ".join(cell.split()).strip('"'))))


_DAY_ONE = datetime(1899, 12, 30, tzinfo=UTC)
_SERIAL = re.compile(r"[0-9]{5}(\.[0-9]+)?").fullmatch
_YEARS = range(1990, 2101)
"""Nobody asked for mail before; what lies outside is a field that nobody filled (1970, 0001, 1899), or a slip."""


def moment(text: str) -> datetime | None:
    """Return a time as exports write it, or None; also None: a time that cannot be one of asking or leaving."""
    found = written(text)
    return found if found and found.year in _YEARS else None


def written(text: str) -> datetime | None:
    """Return the time that a cell names, of whatever year: ISO 8601, UTC unless it says otherwise; a spreadsheet's day number."""
    if not text:
        return None
    if _SERIAL(text):
        return _DAY_ONE + timedelta(seconds=round(float(text) * 86_400))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_LATER = 1462
"""So many days after the other spreadsheets' first one begins that of those which count from 1904."""


def from_1900(values: Mapping[str, str]) -> dict[str, str]:
    """Return a row of a sheet that counts its days from 1904 as other sheets would have it."""
    times = {name: values[name] for name in (*PROOF, "left_time", "dead_time") if _SERIAL(values.get(name, ""))}
    return {**values, **{name: str(float(days) + _LATER) for name, days in times.items()}}


def network(text: str) -> str:
    """Return the network of an address: enough to show later where a wish came from, and not whose line it was."""
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    return str(ip_network(f"{found}/{48 if isinstance(found, IPv6Address) else 24}", strict=False))
