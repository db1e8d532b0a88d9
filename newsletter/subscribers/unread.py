"""Columns of a file that nobody reads, and what they may say: whoever left or said no there must not come in for that. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence

from newsletter.subscribers import documents, formats, spelling
from newsletter.subscribers.formats import OWN, BadMapping, Format, Headings

_DOUBTFUL = re.compile(
    "status|unsub|clean|bounce|complain|suppress|blocklist|blacklist|opt(ed)?[-_ ]?out|وضعیت|وضعيت|لغو|الحالة|إلغاء"
).search
"""What a heading calls the column that says who must be left alone."""
_PERMITTING = re.compile(
    r"subscri(?!ber|ption[-_ ](time|date|ip|id))|activ(?!i)|consent|permission|(?<![a-z])opt(ed)?[-_ ]?in(?![a-z])|do[-_ ]?n[o']?t|"
    "delet|remov|reject|declin|refus|allow|cancel|withdr|marketing|gdpr|preference|einwillig|abgemeldet|رضایت|موافق|حذف"
).search
"""The same of lists of one's own, where a column may be called anything; and what says who may be written to."""
_OFF = frozenset(map(spelling.letters, (
    "inactive", "deleted", "removed", "rejected", "declined", "opted out", "opt out", "do not contact", "do not mail",
    "do not email",
)))  # fmt: skip
"""What lists of one's own say besides of whoever wants no mail."""
_LEAVING_OWN = formats.LEAVING | _OFF


def require_clear(found: Headings, kind: Format, mapping: Mapping[str, str]) -> None:
    """Raise BadMapping where headings that nobody knows may say who wants no mail: they would come in as readers."""
    doubtful = [
        name
        for name in found.ignored
        if name not in mapping and _is_doubtful(name, own=kind in OWN or name.startswith("attribs."))
    ]
    if doubtful:
        raise BadMapping("standing", headings=_named(doubtful), heading=doubtful[0])


def require_unsaid(people: Iterable[Iterable[tuple[str, str]]], found: Headings, mapping: Mapping[str, str]) -> None:
    """Raise BadMapping where a field that nobody reads says who has left, or holds nothing but yes and no.

    people   what is said of each, by heading; each may have fields of their own
    """
    fields = _Fields(frozenset((*found.columns, *mapping)))
    for number, said in enumerate(people, start=1):
        fields(number, said)
    for heading, (number, word) in fields.told.items():
        raise BadMapping("standing-told", row=number, word=word, heading=heading)
    if names := fields.ticked():
        raise BadMapping("ticks", headings=_named(names), heading=names[0])


class _Fields:
    """Looks at fields that each person may have others of: they are read as the columns of a list of one's own."""

    def __init__(self, passed: frozenset[str] = frozenset()) -> None:
        """passed: names of those that are read, or said to say nothing."""
        self._passed, self._only = passed, dict[str, bool]()
        self.told, self.doubtful = dict[str, tuple[int, str]](), dict[str, bool]()

    def __call__(self, number: int, said: Iterable[tuple[str, str]]) -> None:
        for name, word in said:
            if name in self._passed:
                continue
            if name not in self.doubtful:
                self.doubtful[name] = _is_doubtful(name, own=True)
            if spelling.letters(word) in _LEAVING_OWN:
                self.told.setdefault(name, (number, word))
            ticked = _is_tick(word)
            if ticked is not None:
                self._only[name] = ticked and self._only.get(name, True)

    def ticked(self) -> list[str]:
        """Return the names under which nothing but yes and no stood."""
        return [name for name, only in self._only.items() if only]

    def refused(self) -> list[str]:
        """Return all names that may say who wants no mail, by what they are called or by what stood there."""
        doubtful = (name for name, doubted in self.doubtful.items() if doubted)
        return list(dict.fromkeys((*doubtful, *self.told, *self.ticked())))


class Watch:
    """Looks at what is not read of one table, row by row.

    Many programs translate their headings and not what stands below: whoever is “unsubscribed” under “Statut global” has left.
    In a list of one's own a column of nothing but yes and no may be the one that says who wants mail, whatever its heading and
    language. The exports of other systems hold many such, and say elsewhere who takes mail: there a no counts under a heading
    that may be about permission.
    """

    def __init__(
        self,
        names: Sequence[str],
        passed: frozenset[int],
        words: frozenset[str],
        *,
        own: bool,
        attributes: int | None = None,
    ) -> None:
        """passed: places of the columns that are read, or said to say nothing; words: of leaving; own: a list of one's own.

        attributes   where listmonk has fields of one's own, all in one cell
        """
        self._names, self._passed, self._ticks, self._words = names, passed, own, words
        self._width, self._open, self._ticked = 0, list[int](), set[int]()
        # Of a list of one's own `require_clear` has refused these.
        self._asked = [place for place, name in enumerate(names) if place not in passed and _permits(name)]
        self._denied, self._packed = dict[str, None](), _Fields()
        self._attributes = attributes

    def __call__(self, number: int, cells: Sequence[str]) -> None:
        """Look at all cells of a row. Raises BadMapping where one that is not read says who has left."""
        if not self._words.isdisjoint(spelling.all_letters(cells)):
            self._require_unsaid(number, cells)
        if self._ticks:
            self._tick(cells)
        for place in self._asked:
            if place < len(cells) and _denies(cells[place]):
                self._denied[self._names[place]] = None
        if self._attributes is not None and self._attributes < len(cells):
            self._packed(number, documents.of_cell(cells[self._attributes]))

    def finish(self) -> None:
        """Raise BadMapping where nothing but yes and no stood in a column that is not read, or a no to what it asks."""
        if packed := self._packed.refused():
            raise BadMapping("attributes", headings=_named(packed), heading=packed[0])
        if self._denied:
            raise BadMapping("standing", headings=_named(self._denied), heading=next(iter(self._denied)))
        places = [place for place in self._open if place in self._ticked]
        names = [self._name(place) for place in places]
        if "" in names:
            raise BadMapping("ticks-unnamed", place=places[names.index("")] + 1)
        if names:
            raise BadMapping("ticks", headings=_named(dict.fromkeys(names)), heading=names[0])

    def _require_unsaid(self, number: int, cells: Sequence[str]) -> None:
        for place, cell in enumerate(cells):
            if place not in self._passed and spelling.letters(cell) in self._words:
                heading = self._name(place)
                problem = "standing-told" if heading else "standing-unnamed"
                raise BadMapping(problem, row=number, word=cell.strip(), heading=heading, place=place + 1)

    def _tick(self, cells: Sequence[str]) -> None:
        if len(cells) > self._width:
            self._open += [place for place in range(self._width, len(cells)) if place not in self._passed]
            self._width = len(cells)
        for place in self._open[:]:
            ticked = _is_tick(cells[place]) if place < len(cells) else None
            if ticked:
                self._ticked.add(place)
            elif ticked is False:
                self._open.remove(place)

    def _name(self, place: int) -> str:
        return self._names[place] if place < len(self._names) else ""


def _permits(heading: str) -> bool:
    return bool(_PERMITTING(spelling.seen(heading).replace("’", "'")))


def _denies(cell: str) -> bool:
    return spelling.seen(cell) in formats.NO or spelling.letters(cell) in _OFF


def _is_doubtful(heading: str, *, own: bool) -> bool:
    return bool(_DOUBTFUL(spelling.seen(heading))) or (own and _permits(heading))


def _is_tick(cell: str) -> bool | None:
    """Whether a cell is a yes or a no; None: it says nothing."""
    said = spelling.seen(cell)
    if said in formats.YES or said in formats.NO:
        return True
    return False if said and not formats.is_never(said) else None


def watch(names: Sequence[str], found: Headings, kind: Format, mapping: Mapping[str, str]) -> Watch:
    """Return what looks at the rows of a table whose people would come in."""
    passed = {place for place, name in enumerate(names) if mapping.get(name) == "-"}
    passed |= {names.index(name) for name in found.columns}
    own = kind in OWN
    words = _LEAVING_OWN if own else formats.LEAVING
    packed = kind is Format.LISTMONK and "attributes" in names and mapping.get("attributes") != "-"
    attributes = names.index("attributes") if packed else None
    return Watch(names, frozenset(passed), words, own=own, attributes=attributes)


def _named(headings: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in headings)
