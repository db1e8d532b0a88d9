"""One row of a list: a person, or why it cannot be taken. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import available_timezones

from newsletter import languages
from newsletter.addresses import BadAddress, EmailAddress
from newsletter.once import once
from newsletter.subscribers import formats
from newsletter.subscribers.formats import NOT_TAKEN, SUPPRESSED, Standing

COLUMNS = formats.COLUMNS
Index = Callable[[str], list[tuple[int, bytes]]]
_LONGEST = 320
_LONGEST_TAGS = 8_000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*").fullmatch
_AREA = re.compile(r"\w[\w .,'’&()/-]{0,59}").fullmatch
_POSTCODE = re.compile(r"[A-Za-z0-9 -]{2,12}").fullmatch
# Standards §7: controls, separators, bidi overrides; and lone surrogates, which stand for bytes that are not UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]").search
_WHY = {"empty": "is empty", "too-long": "is too long", "domain": "has no valid mail domain after the @"}


@dataclass(frozen=True, slots=True)
class Person:
    """A row that can be taken. Empty values say nothing; they never erase what is known.

    area        the code or name of a place, as the list says it
    tags        what they read of, as the system that is left calls it
    proof       when and from where they asked for mail, as far as their row says
    since       when that was; None: the row does not say
    """

    row: int
    address: EmailAddress
    keys: list[tuple[int, bytes]]
    name: str
    language: str
    time_zone: str
    postcode: str
    area: str = ""
    tags: tuple[str, ...] = ()
    proof: Mapping[str, str] | None = None
    since: datetime | None = None

    @property
    def key(self) -> bytes:
        """The live digest of the address."""
        return self.keys[0][1]


@dataclass(frozen=True, slots=True)
class Barred:
    """A row whose person must not be written to. at: since when, if the row says so."""

    row: int
    address: EmailAddress
    standing: Standing
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be taken: where and why, never what stood there. part: of a zip, the file."""

    row: int
    column: str
    reason: str
    part: str = ""


class Seen:
    """Which readers the file has named already: one bit each, since their numbers are dense; 125 kB for a million."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        return number >> 3 < len(self._bits) and bool(self._bits[number >> 3] & 1 << (number & 7))

    def update(self, numbers: Sequence[int]) -> None:
        """Remember some."""
        self._bits.extend(bytes(max(0, (max(numbers, default=0) >> 3) + 1 - len(self._bits))))
        for number in numbers:
            self._bits[number >> 3] |= 1 << (number & 7)


def read(
    number: int, values: Mapping[str, str], index: Index, *, lenient: bool = False, asked_from: date | None = None
) -> Person | Reject:
    """Return the person of a row, or why it cannot be taken.

    lenient      what else a foreign system says is left out where it cannot be understood; only the address must be sound
    asked_from   the first day on which the permission that is claimed for everybody could be given; None: any
    """
    if fault := _fault(number, values):
        return fault
    if (asked_from or not lenient) and (fault := _undated(number, values, asked_from)):
        return fault
    try:
        address = EmailAddress.parse(values["email"])
    except BadAddress as error:
        return Reject(number, "email", _WHY.get(error.problem, "is no e-mail address"))
    language, zone, postcode, area = (values.get(name, "") for name in ("language", "time_zone", "postcode", "area"))
    if language and not _LANGUAGE(language):
        if not lenient:
            return Reject(number, "language", "is no language tag such as en or fa")
        language = ""
    language = languages.canonical(language)
    if zone and zone not in _zones():
        if not lenient:
            return Reject(number, "time_zone", "is no time zone such as Europe/London")
        zone = ""
    if postcode and not _POSTCODE(postcode):
        if not lenient:
            return Reject(number, "postcode", "is no postcode")
        postcode = ""
    if area and not _AREA(area):
        if not lenient:
            return Reject(number, "area", "is no code or name of a place")
        area = ""
    name = values.get("name", "")
    if "first_name" in values or "last_name" in values:
        name = " ".join(filter(None, (values.get("first_name"), values.get("last_name"))))
    keys = index(address.normal)
    if "topics" not in values and "optin_time" not in values and "confirm_time" not in values:
        return Person(number, address, keys, name, language, zone, postcode.upper(), area)
    tags = formats.tags(values.get("topics", ""))
    return Person(number, address, keys, name, language, zone, postcode.upper(), area, tags, *_proof(values))


def left(number: int, values: Mapping[str, str], standing: Standing) -> Barred | Reject:
    """Return whom a row keeps mail away from, or why that cannot be told."""
    if standing not in SUPPRESSED:
        column = "permission" if standing is Standing.UNASKED else "status"
        return Reject(number, column, NOT_TAKEN[standing])
    try:
        address = EmailAddress.parse(values["email"])
    except BadAddress as error:
        return Reject(number, "email", _WHY.get(error.problem, "is no e-mail address"))
    at = formats.moment(values.get("left_time") or values.get("dead_time", ""))
    return Barred(number, address, standing, at)


def _proof(values: Mapping[str, str]) -> tuple[Mapping[str, str] | None, datetime | None]:
    """Return what a row shows of a wish, and since when it was one: the confirmation counts more than the form."""
    opted, confirmed = (formats.moment(values.get(name, "")) for name in formats.PROOF)
    since = confirmed or opted
    if since is None:
        return None, None
    said = {
        "asked_at": opted.isoformat() if opted else "",
        "asked_from": formats.network(values.get("optin_ip", "")),
        "confirmed_at": confirmed.isoformat() if confirmed else "",
        "confirmed_from": formats.network(values.get("confirm_ip", "")),
    }
    return {name: value for name, value in said.items() if value}, since


def _undated(number: int, values: Mapping[str, str], asked_from: date | None) -> Reject | None:
    """Say which time of asking cannot be read, or contradicts a permission that was possible only from a day on."""
    for column in formats.PROOF:
        said = values.get(column, "")
        asked = formats.written(said)
        if asked is None:
            why = _FORMS
        elif asked_from and asked < datetime.combine(asked_from, time.min, UTC):
            why = f"is before {asked_from.day} {asked_from:%B %Y}: who asked earlier cannot be taken on this basis"
        else:
            continue
        if said and not formats.is_unfilled(said):
            return Reject(number, column, why)
    return None


_FORMS = (
    "is no time as we read it: write 2019-04-18, 2019-04-18 13:51 or 2019-04-18T13:51+01:00 (UTC unless it says otherwise),"
    " or let it be a date of the spreadsheet"
)


def _fault(number: int, values: Mapping[str, str]) -> Reject | None:
    for column, value in values.items():
        if value and not value.isprintable() and (unfit := _UNFIT(value)):
            return Reject(number, column, _unfit(unfit[0]))
        if len(value) > _LONGEST and (column != "topics" or len(value) > _LONGEST_TAGS):
            return Reject(number, column, "is too long")
    return None


def _unfit(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "holds letters that are not UTF-8: save the file as UTF-8 and import it again"
    if character in "\r\n":
        return "goes on over several lines: a quotation mark before it is not closed"
    return "holds characters that cannot be read"


@once
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
