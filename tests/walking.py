"""Which sentences a page can say: a walk along the names that code uses, from every function of the doors.

A name leads to what it was imported as, or to what its own module defines by it; an attribute of anything else leads to every
method that is called so. That finds too many rather than too few. What puts the parts together is left out: what fails there
keeps the pages from being there at all, and is read where they were started.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from tests import sayings

# Standing in for a person's eyes: pages, and what a worker does because a page asked for it and shows them afterwards.
DOORS = ("newsletter.web.", "newsletter.journeys.errands.")
BEFORE = ("newsletter.assembly", "newsletter.settings", "newsletter.migrations", "newsletter.cli")


@dataclass(frozen=True, slots=True)
class Piece:
    """A function, a method, a class without its methods or a value: what it says, and what it leads to."""

    says: frozenset[str]
    names: frozenset[str]
    methods: frozenset[str]


@dataclass(slots=True)
class Code:
    """All there is, by its whole name; the methods of each name; and as what a module knows something of another."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    called: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    known: dict[str, str] = field(default_factory=dict)

    def read(self, module: str, source: str) -> None:
        """Take in a module."""
        tree = ast.parse(source)
        here = {one.asname or one.name: f"{node.module}.{one.name}" for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module for one in node.names}  # fmt: skip
        self.known |= {f"{module}.{name}": meant for name, meant in here.items() if f"{module}.{name}" != meant}
        own = sayings.own(tree)
        for name, node, is_method in _defined(tree):
            self.pieces[f"{module}.{name}"] = _piece(node, module, here, own)
            if is_method:
                self.called[name.rpartition(".")[2]].add(f"{module}.{name}")

    def reached(self, doors: Iterable[str]) -> set[str]:
        """Return the names of all that is reached from what begins so."""
        found: set[str] = set()
        waiting = [name for name in self.pieces if name.startswith(tuple(doors))]
        while waiting:
            name = waiting.pop()
            if name in found or name.startswith(BEFORE):
                continue
            found.add(name)
            piece = self.pieces[name]
            waiting += [meant for used in piece.names if (meant := self._meant(used)) in self.pieces]
            waiting += [method for used in piece.methods for method in self.called.get(used, ())]
        return found

    def _meant(self, name: str) -> str:
        """Return what is known elsewhere by another name."""
        while name not in self.pieces and name in self.known:
            name = self.known[name]
        return name

    def says(self, names: Iterable[str]) -> set[str]:
        """Return the patterns of the ids that these say."""
        return {one for name in names for one in self.pieces[name].says}


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.AST, bool]]:
    """Return what a module defines: its name, where it stands, and whether it is a method."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node, False
        elif isinstance(node, ast.ClassDef):
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            # Making one of a class runs what is written between underlines.
            others = [one for one in methods if not one.name.startswith("__")]
            yield from ((f"{node.name}.{one.name}", one, True) for one in others)
            yield node.name, ast.Module([one for one in ast.iter_child_nodes(node) if one not in others], []), False
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((one.id, node, False) for one in targets if isinstance(one, ast.Name))


def _piece(node: ast.AST, module: str, here: Mapping[str, str], own: str) -> Piece:
    names, methods = set(), set()
    bound = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)} | {
        one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            # What a function calls so itself is nothing of its module.
            names |= {here.get(one.id, f"{module}.{one.id}")} if one.id not in bound else set()
        elif isinstance(one, ast.Attribute):
            if isinstance(one.value, ast.Name) and one.value.id in here:
                names.add(f"{here[one.value.id]}.{one.attr}")
            methods.add(one.attr)
    return Piece(frozenset(sayings.of_node(node, own)), frozenset(names), frozenset(methods))


@cache
def code() -> Code:
    """Return the product's own."""
    found = Code()
    for path in sorted((sayings.ROOT / "newsletter").rglob("*.py")):
        module = ".".join(path.relative_to(sayings.ROOT).with_suffix("").parts).removesuffix(".__init__")
        found.read(module, path.read_text(encoding="utf-8"))
    return found
