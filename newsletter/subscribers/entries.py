"""One row of a list: a person, or why it cannot be taken. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from zoneinfo import available_timezones

from newsletter.addresses import BadAddress, EmailAddress

COLUMNS = ("email", "name", "language", "time_zone", "postcode")
Index = Callable[[str], list[tuple[int, bytes]]]
_LONGEST = 320
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*").fullmatch
_POSTCODE = re.compile(r"[A-Za-z0-9 -]{2,12}").fullmatch
# Standards §7: controls, separators, bidi overrides; and lone surrogates, which stand for bytes that are not UTF-8.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]").search
_WHY = {"empty": "is empty", "too-long": "is too long", "domain": "has no valid mail domain after the @"}


@dataclass(frozen=True, slots=True)
class Person:
    """A row that can be taken. Empty values say nothing; they never erase what is known."""

    row: int
    address: EmailAddress
    keys: list[tuple[int, bytes]]
    name: str
    language: str
    time_zone: str
    postcode: str

    @property
    def key(self) -> bytes:
        """The live digest of the address."""
        return self.keys[0][1]


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be taken: where and why, never what stood there."""

    row: int
    column: str
    reason: str


def read(number: int, values: dict[str, str], index: Index) -> Person | Reject:
    """Return the person of a row, or why it cannot be taken."""
    for column, value in values.items():
        if value and not value.isprintable() and (unfit := _UNFIT(value)):
            return Reject(number, column, _unfit(unfit[0]))
        if len(value) > _LONGEST:
            return Reject(number, column, "is too long")
    try:
        address = EmailAddress.parse(values["email"])
    except BadAddress as error:
        return Reject(number, "email", _WHY.get(error.problem, "is no e-mail address"))
    language, zone, postcode = (values.get(name, "") for name in ("language", "time_zone", "postcode"))
    if language and not _LANGUAGE(language):
        return Reject(number, "language", "is no language tag such as en or fa")
    if zone and zone not in _zones():
        return Reject(number, "time_zone", "is no time zone such as Europe/London")
    if postcode and not _POSTCODE(postcode):
        return Reject(number, "postcode", "is no postcode")
    keys = index(address.normal)
    return Person(number, address, keys, values.get("name", ""), language, zone, postcode.upper())


def _unfit(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "holds letters that are not UTF-8: save the file as UTF-8 and import it again"
    if character in "\r\n":
        return "goes on over several lines: a quotation mark before it is not closed"
    return "holds characters that cannot be read"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
