"""Plain text and clean HTML as Markdown that says the same and nothing more. Pure."""

import re
from collections.abc import Iterator
from textwrap import indent

from lxml import etree, html

# Every mark of CommonMark that can begin something.
_MARKS = re.compile(r"([\\`*_\[\]<>#|~!&])")
# What is a mark at the beginning of a line alone: lists, rules, underlined headings.
_BEGINS = re.compile(r"(?m)^(\d{0,9})(?=[-+.)](?:\s|$)|[-=]+\s*$)")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BRACE = re.compile(r"\{(?!\s)")
_HEADINGS = {"h1": "##", "h2": "##", "h3": "###", "h4": "###", "h5": "###", "h6": "###"}
_BLOCKS = {"p", "div", "blockquote", "ul", "ol", "li", "hr", "pre", "figure", "figcaption", "table", "thead", "tbody", "tr",
           "caption", "dl", "dt", "dd", *_HEADINGS}  # fmt: skip
_STRESS = {"em": "*", "i": "*", "cite": "*", "strong": "**", "b": "**"}
# Nobody writes boxes in boxes so deep; of such a text the words are kept.
_DEEPEST = 60
_BREAK = "\\\n"

Element = etree._Element


def visible(text: str) -> str:
    """Return text without control characters and marks that turn the direction of what follows; a brace is no tag in it.

    A backslash would not do for braces: the line an inbox shows is made from the bare words, and looks for tags again.
    """
    return _BRACE.sub("{ ", _INVISIBLE.sub("", text))


def line(text: str) -> str:
    """Return plain text as one line of Markdown that shows it as it is."""
    return _settled(_words(text))


def plain(text: str) -> str:
    """Return plain text as Markdown: its paragraphs stay, every mark in it is a letter."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    shown = ("\n".join(filter(None, map(line, one.split("\n")))) for one in paragraphs)
    return "\n\n".join(filter(None, shown))


def from_html(body: str) -> str:
    """Return the HTML of an article, already clean, as Markdown. Pictures go; a row of a table becomes a line."""
    if not body.strip():
        return ""
    root = html.fragment_fromstring(body, create_parent="div")
    return "\n\n".join(_blocks(root)) if _depth(root) <= _DEEPEST else plain(" ".join(root.itertext()))


def _depth(root: Element) -> int:
    depth = deepest = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _words(text: str | None) -> str:
    """Text in which every mark is a letter; its blanks become one each."""
    return _MARKS.sub(r"\\\1", re.sub(r"\s+", " ", visible(text or "")))


def _settled(run: str) -> str:
    """A run of text that begins a line begins nothing else."""
    lines = (one.strip() for one in run.split(_BREAK))
    return _BREAK.join(_BEGINS.sub(r"\1\\", one) for one in lines if one)


def _blocks(parent: Element) -> Iterator[str]:
    """Yield an element's blocks; text that stands between them is one too."""
    run = _words(parent.text)
    for child in parent:
        if child.tag in _BLOCKS:
            yield from filter(None, (_settled(run), *_block(child)))
            run = ""
        else:
            run += _inline(child)
        run += _words(child.tail)
    yield from filter(None, (_settled(run),))


def _block(element: Element) -> Iterator[str]:
    match element.tag:
        case "hr":
            yield "* * *"
        case "ul" | "ol":
            yield "\n".join(_items(element))
        case "blockquote":
            yield indent("\n\n".join(_blocks(element)), "> ", lambda _: True)
        case "tr":
            yield " · ".join(filter(None, (_settled(_run(cell)) for cell in element)))
        case str(tag) if tag in _HEADINGS:
            words = _settled(_run(element).replace(_BREAK, " "))
            yield f"{_HEADINGS[tag]} {words}" if words else ""
        case _:
            yield from _blocks(element)


def _items(list_: Element) -> Iterator[str]:
    found = (_settled(_words(list_.text)), *(one for item in list_ for one in _item(item)))
    for number, said in enumerate(filter(None, found), start=1):
        mark = f"{number}. " if list_.tag == "ol" else "- "
        yield mark + indent(said, " " * len(mark)).lstrip()


def _item(item: Element) -> tuple[str, str]:
    """An item, and what stands loose behind it."""
    said = "\n\n".join(_blocks(item)) if item.tag in _BLOCKS else _settled(_inline(item))
    return said, _settled(_words(item.tail))


def _run(element: Element) -> str:
    """An element's words in one line; those of a block inside stand apart from what is around them."""
    inside = ((" " if child.tag in _BLOCKS else "").join(("", _inline(child), _words(child.tail))) for child in element)
    return _words(element.text) + "".join(inside)


def _inline(element: Element) -> str:
    if element.tag == "br":
        return _BREAK
    if element.tag == "img" or not isinstance(element.tag, str):
        return ""
    inside = _run(element)
    words = inside.strip()
    if not words or _BREAK in inside:
        return inside
    before, after = inside.partition(words)[::2]
    if element.tag == "a" and (href := _href(element)):
        return f"{before}[{words}](<{href}>){after}"
    mark = _STRESS.get(element.tag, "") if _may_stress(element, words) else ""
    return f"{before}{mark}{words}{mark}{after}"


def _may_stress(element: Element, words: str) -> bool:
    """Stars beside a sign or beside other stars may mean something else (CommonMark §6.2): plain words are better."""
    after = element.getnext()
    alone = bool(element.tail) or after is None or after.tag == "br"
    return alone and words[0].isalnum() and words[-1].isalnum()


def _href(link: Element) -> str:
    """An address that can stand between angle brackets and holds no merge tag; "" for any other, and around another link."""
    if link.find(".//a") is not None:
        return ""
    href = str(link.get("href", "")).strip()
    fits = href.startswith(("https://", "http://", "mailto:")) and not re.search(r"[\s<>\\]", href)
    return href.replace("{", "%7B").replace("}", "%7D") if fits else ""
