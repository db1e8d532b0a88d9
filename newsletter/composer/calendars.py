"""Days, moments and numbers as people of a language write them."""

from datetime import date, datetime, tzinfo

import babel
import babel.dates
import babel.numbers

from newsletter import languages

_DIGITS = {
    "fa": str.maketrans("0123456789,", "۰۱۲۳۴۵۶۷۸۹٬"),
    "ar": str.maketrans("0123456789,", "٠١٢٣٤٥٦٧٨٩٬"),
}
_PERSIAN_MONTHS = [
    "فروردین",
    "اردیبهشت",
    "خرداد",
    "تیر",
    "مرداد",
    "شهریور",
    "مهر",
    "آبان",
    "آذر",
    "دی",
    "بهمن",
    "اسفند",
]
# Years of 366 days in each cycle of 33: right for 1800–2100, longer than any newsletter remembers.
_LEAPS = (1, 5, 9, 13, 17, 22, 26, 30)
_NOWRUZ_1393 = date(2014, 3, 21).toordinal()


def number(count: int, language: str) -> str:
    """Return a whole number with the language's digits and groups: "1,204"."""
    return digits(f"{count:,}", language) if _base(language) in _DIGITS else _grouped(count, language)


def digits(text: str, language: str) -> str:
    """Return text with its digits as the language writes them."""
    return text.translate(_DIGITS.get(_base(language), {}))


def day(moment: date, language: str) -> str:
    """Return a day as people of a language write it: "19 June 2014"; in Persian by the Persian calendar."""
    if _base(language) == "fa":
        year, month, number_ = persian(moment)
        return digits(f"{number_} {_PERSIAN_MONTHS[month - 1]} {year}", language)
    shape = "d MMMM y" if _base(language) in ("en", "ar") else "long"
    return digits(babel.dates.format_date(moment, shape, locale=_locale(language)), language)


def moment_of(at: datetime, language: str) -> str:
    """Return a moment with its time and zone: "19 June 2014, 02:10 UTC"."""
    comma = "،" if _base(language) in _DIGITS else ","
    return _zoned(f"{day(at, language)}{comma} {digits(f'{at:%H:%M}', language)}", at, language)


def clock(at: datetime, language: str, zone: tzinfo | None) -> str:
    """Return a time of the day as a zone's clocks show it, with the zone: "02:10 CET". None: this machine's."""
    here = at.astimezone(zone)
    return _zoned(digits(f"{here:%H:%M}", language), here, language)


def moment(at: datetime, language: str, zone: tzinfo | None, *, seconds: bool = False) -> str:
    """Return a day and a time in a zone: "26 November, 02:10 CET"; in other languages than English with the year."""
    here = at.astimezone(zone)
    time = f"{here:%H:%M:%S}" if seconds else f"{here:%H:%M}"
    said = f"{here:%d %B}, {time}" if _base(language) == "en" else f"{day(here, language)}، {digits(time, language)}"
    return _zoned(said, here, language)


def zone_name(here: datetime) -> str:
    """Return by what people know the zone of a moment: "CET", or "UTC+03:30" where it has no letters."""
    name = here.tzname() or ""
    if name[:1].isalpha():
        return name
    return f"UTC{name[:3]}:{name[3:]}" if len(name) == 5 else f"UTC{name}"


def _zoned(said: str, here: datetime, language: str) -> str:
    return languages.say("mail.in-zone", language, moment=said, zone=zone_name(here))


def persian(moment: date) -> tuple[int, int, int]:
    """Return year, month and day of the Persian calendar: six months of 31 days, then 30; the year begins at Nowruz."""
    year = moment.year - 621
    if moment.toordinal() < _nowruz(year):
        year -= 1
    passed = moment.toordinal() - _nowruz(year)
    if passed < 6 * 31:
        return year, passed // 31 + 1, passed % 31 + 1
    return year, (passed - 6 * 31) // 30 + 7, (passed - 6 * 31) % 30 + 1


def _nowruz(year: int) -> int:
    """Return the ordinal of the first day of a Persian year."""
    return _NOWRUZ_1393 + 365 * (year - 1393) + _leaps_before(year) - _leaps_before(1393)


def _leaps_before(year: int) -> int:
    cycles, rest = divmod(year, 33)
    return len(_LEAPS) * cycles + sum(leap < rest for leap in _LEAPS)


def _grouped(count: int, language: str) -> str:
    return babel.numbers.format_decimal(count, locale=_locale(language))


def _base(language: str) -> str:
    return language.split("-")[0].lower()


def _locale(language: str) -> babel.Locale:
    try:
        return babel.Locale.parse(language, sep="-")
    except (babel.UnknownLocaleError, ValueError):
        return babel.Locale("en")
