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


def require_clear(found: Headings, kind: Format, mapping: Mapping[str, str]) -> None:
    """Raise BadMapping where headings that nobody knows may say who wants no mail: they would come in as readers."""
    doubtful = [
        name
        for name in found.ignored
        if name not in mapping and (_DOUBTFUL(spelling.seen(name)) or (kind in OWN and _permits(name)))
    ]
    if doubtful:
        raise BadMapping("standing", headings=_named(doubtful), heading=doubtful[0])


def require_unsaid(rows: Iterable[Mapping[str, str]], found: Headings, mapping: Mapping[str, str]) -> None:
    """Raise BadMapping where a field that nobody reads says who has left, or no to what it asks. Each row may have its own."""
    denied = set[str]()
    for number, row in enumerate(rows, start=1):
        for name in row.keys() - found.columns.keys() - mapping.keys():
            if spelling.letters(row[name]) in formats.LEAVING:
                raise BadMapping("standing-told", row=number, word=row[name], heading=name)
            if _refuses(name, row[name]):
                denied.add(name)
    if denied:
        raise BadMapping("standing", headings=_named(sorted(denied)), heading=min(denied))


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
        self._denied, self._packed = dict[str, None](), dict[str, None]()
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
            self._packed |= dict.fromkeys(
                name for name, cell in documents.of_cell(cells[self._attributes]) if _refuses(name, cell)
            )

    def finish(self) -> None:
        """Raise BadMapping where nothing but yes and no stood in a column that is not read, or a no to what it asks."""
        if self._packed:
            raise BadMapping("attributes", headings=_named(self._packed), heading=next(iter(self._packed)))
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
            said = spelling.seen(cells[place]) if place < len(cells) else ""
            if said in formats.YES or said in formats.NO:
                self._ticked.add(place)
            elif said and not formats.is_never(said):
                self._open.remove(place)

    def _name(self, place: int) -> str:
        return self._names[place] if place < len(self._names) else ""


def _permits(heading: str) -> bool:
    return bool(_PERMITTING(spelling.seen(heading).replace("’", "'")))


def _denies(cell: str) -> bool:
    return spelling.seen(cell) in formats.NO or spelling.letters(cell) in _OFF


def _refuses(heading: str, cell: str) -> bool:
    return spelling.letters(cell) in formats.LEAVING or (_permits(heading) and _denies(cell))


def watch(names: Sequence[str], found: Headings, kind: Format, mapping: Mapping[str, str]) -> Watch:
    """Return what looks at the rows of a table whose people would come in."""
    passed = {place for place, name in enumerate(names) if mapping.get(name) == "-"}
    passed |= {names.index(name) for name in found.columns}
    own = kind in OWN
    words = formats.LEAVING | (_OFF if own else frozenset())
    packed = kind is Format.LISTMONK and "attributes" in names and mapping.get("attributes") != "-"
    attributes = names.index("attributes") if packed else None
    return Watch(names, frozenset(passed), words, own=own, attributes=attributes)


def _named(headings: Iterable[str]) -> str:
    return ", ".join(f"“{name}”" for name in headings)
