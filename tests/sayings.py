"""What code and templates say: message ids as they stand in calls, as patterns; and words in templates that are said past them."""

import ast
import re
from collections.abc import Iterator, Set
from html.parser import HTMLParser
from pathlib import Path

import jinja2
from jinja2 import nodes

ROOT = Path(__file__).parents[1]
ANY = r"[\w.-]+"
# By what a template says a sentence, and what its folder puts before the id.
SAYING = ("t", "counted", "many", "say", "say_in")
PREFIX = {"email": r"mail\.", "web": r"web\."}
# Calls whose first text is an id, in code. `_say` is a module's own, and may put something before it.
CALLS = ("say", "counted", "_said", "_say")
_ID = re.compile(r"[a-z]+(\\?\.[\w\\+\[\].-]+)+")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_SHOWN = ("alt", "title", "aria-label", "placeholder", "content", "value")


def in_code(folders: tuple[str, ...] = ("newsletter", "workers")) -> dict[str, str]:
    """Return the patterns of the ids that code says, with a file that does."""
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {one: str(path.relative_to(ROOT)) for path in files for one in of_code(path.read_text(encoding="utf-8"))}


def of_code(source: str) -> Iterator[str]:
    """Return the ids that a module says or refuses by, and those of sentences with their facts."""
    tree = ast.parse(source)
    yield from of_node(tree, own(tree))


def of_node(tree: ast.AST, own: str) -> Iterator[str]:
    """Return the same of a part of a module. own: what its `_say` puts before what it is asked to say."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            yield from _called(node, own)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Dict):
            yield from _patterns(node.elts[0], "")


def own(tree: ast.Module) -> str:
    """Return what a module's own `_say` puts before what it is asked to say."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "_say":
            facts = (one for one in ast.walk(node) if isinstance(one, ast.JoinedStr))
            return next(
                (re.escape(str(one.values[0].value)) for one in facts if isinstance(one.values[0], ast.Constant)), ""
            )
    return ""


def _called(node: ast.Call, own: str) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in CALLS:
        first = next((one for one in node.args if _text(one)), None)
        yield from _patterns(first, own if name == "_say" else "")
    elif name == "__init__" and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        yield from _patterns(node.args[0], "")


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.IfExp) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _patterns(node: ast.expr | None, before: str) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _patterns(node.body, before)
        yield from _patterns(node.orelse, before)
    elif isinstance(node, ast.JoinedStr):
        yield from _ids(before + "".join(_part(one) for one in node.values))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _ids(before + re.escape(node.value))


def _part(node: ast.expr) -> str:
    return re.escape(str(node.value)) if isinstance(node, ast.Constant) else ANY


def _ids(pattern: str) -> Iterator[str]:
    if _ID.fullmatch(pattern) and not pattern.startswith(ANY):
        yield pattern


def meant(pattern: str, ids: Set[str]) -> Set[str]:
    """Return the ids that a pattern stands for: most are one id, letter by letter."""
    if ANY in pattern:
        return {name for name in ids if re.fullmatch(pattern, name)}
    return {re.sub(r"\\(.)", r"\1", pattern)} & ids


def in_templates() -> dict[str, str]:
    """Return the patterns of the ids that templates say, with a file that does."""
    found = {}
    for folder, before in PREFIX.items():
        for path in _files(folder):
            for one in of_template(path.read_text(encoding="utf-8"), before):
                found[one] = str(path.relative_to(ROOT))
    return found


def of_template(source: str, before: str) -> Iterator[str]:
    """Return the ids that a template says, as far as they are written there."""
    for call in jinja2.Environment().parse(source).find_all(nodes.Call):
        name = call.node.name if isinstance(call.node, nodes.Name) else ""
        if name in SAYING and call.args:
            message = call.args[1 if name == "say_in" else 0]
            for one in _joined(message):
                if one != ANY:
                    yield one if name in ("say", "say_in") else before + one


def _joined(node: nodes.Node) -> list[str]:
    if isinstance(node, nodes.Const):
        return [re.escape(str(node.value))]
    if isinstance(node, nodes.CondExpr):
        return [*_joined(node.expr1), *(_joined(node.expr2) if node.expr2 else [])]
    if isinstance(node, nodes.Concat):
        found = [""]
        for part in node.nodes:
            found = [said + more for said in found for more in _joined(part)]
        return found
    return [ANY]


def _files(folder: str) -> list[Path]:
    return [path for path in sorted((ROOT / "templates" / folder).rglob("*.*")) if path.suffix in (".html", ".txt")]


def readers_templates() -> list[Path]:
    """Return the templates that readers see: every word of them comes from a catalogue."""
    return [*_files("email"), *_files("web/public"), ROOT / "templates/web/base.html"]


def literal(source: str, *, html: bool) -> list[str]:
    """Return the words that stand in a template itself."""
    tokens = jinja2.Environment().lex(source)
    # A tag's place is held, so that an address broken by one stays an address.
    bare, inside = "", False
    for _, kind, text in tokens:
        if kind == "data" and not inside:
            bare += text
        elif kind in ("variable_begin", "block_begin"):
            bare, inside = bare + ("0" if kind == "variable_begin" else ""), True
        elif kind in ("variable_end", "block_end"):
            inside = False
    return _letters(_shown(bare) if html else bare)


def _letters(text: str) -> list[str]:
    # What follows "/", "?" or "&" is an address; our own begin with a fact.
    return _LETTERS.findall(re.sub(r"[/?&][\w=/?&-]*", " ", text))


def _shown(page: str) -> str:
    reader = _Shown()
    reader.feed(page)
    reader.close()
    return " ".join(reader.said)


class _Shown(HTMLParser):
    """Collects what is seen or read aloud of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script")
        # A field's hidden value, and what a <meta> tells programs, is no text.
        silent = tag == "meta" or (tag == "input" and ("type", "submit") not in attrs) or tag in ("button", "option")
        self.said += [value for name, value in attrs if value and name in _SHOWN and not (silent and name != "title")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            # An attribute that a block puts together stands here for a moment.
            self.said.append(re.sub(r'\b[\w-]+="[^"]*"', "", data))
