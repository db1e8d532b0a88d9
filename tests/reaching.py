"""What some code may come to: along imports, calls and annotations, from where it begins; and by which sentences it refuses.

It follows names as this house writes them (modules are imported and called through), and rather too many than too few: of a class
that is named anywhere on the way, all methods count.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests import sayings

ROOT = sayings.ROOT
# The product as a whole leads everywhere: a page is given it, and calls a story's function with its parts.
ENDS = frozenset({"newsletter.assembly", "newsletter.settings"})
Place = tuple[str, str]


@cache
def modules() -> dict[str, Path]:
    """Return the file of each module."""
    files = (ROOT / "newsletter").rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def tree(module: str) -> ast.Module:
    """Return what a module holds."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def own(module: str) -> dict[str, ast.stmt]:
    """Return what stands in a module itself, by its name."""
    found: dict[str, ast.stmt] = {}
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {one.id: node for one in targets if isinstance(one, ast.Name)}
    return found


@cache
def imported(module: str) -> dict[str, Place]:
    """Return what a module brings in: each name with the module it stands for, "" beside it, or with where it stands."""
    found: dict[str, Place] = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "newsletter":
            for one in node.names:
                whole = f"{node.module}.{one.name}"
                found[one.asname or one.name] = (whole, "") if whole in modules() else (node.module, one.name)
    return found


def named(module: str, node: ast.AST) -> Iterator[Place]:
    """Yield what a piece of a module names."""
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield from _place(module, one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            target, name = imported(module).get(one.value.id, ("", ""))
            if target and not name:
                yield from _place(target, one.attr)


def _place(module: str, name: str) -> Iterator[Place]:
    if name in own(module):
        yield module, name
    elif name in imported(module):
        target, there = imported(module)[name]
        if there and target in modules():
            yield from _place(target, there)


def reached(roots: Iterable[Place]) -> set[Place]:
    """Return all that one may come to."""
    found: set[Place] = set()
    ahead = list(roots)
    while ahead:
        module, name = ahead.pop()
        if (module, name) in found or module in ENDS:
            continue
        found.add((module, name))
        ahead += named(module, own(module)[name])
    return found


def everything(package: str) -> Iterator[Place]:
    """Yield all that stands in the modules of a package."""
    yield from (
        (module, name) for module in modules() if f"{module}.".startswith(f"{package}.") for name in own(module)
    )


def said(places: Iterable[Place]) -> set[str]:
    """Return the patterns of the ids that these say."""
    return {one for module, name in places for one in sayings.of_node(own(module)[name], sayings.own(tree(module)))}


def posts(package: str) -> Iterator[Place]:
    """Yield the functions that answer a POST in the modules of a package."""
    for module in modules():
        if module.startswith(f"{package}."):
            for name, node in own(module).items():
                marks = getattr(node, "decorator_list", [])
                if any(isinstance(one, ast.Call) and getattr(one.func, "attr", "") == "post" for one in marks):
                    yield module, name


def refusals(places: Iterable[Place]) -> dict[str, str]:
    """Return the patterns of the ids by which these refuse, each with who does."""
    found = {}
    for module, name in places:
        node = own(module)[name]
        parts = [node] if isinstance(node, ast.ClassDef) else [one for one in ast.walk(node) if _sentence(one)]
        for part in parts:
            found |= dict.fromkeys(sayings.of_code(ast.unparse(part)), f"{module}.{name}")
    return found


def _sentence(node: ast.AST) -> bool:
    """Return whether it is an id with its facts."""
    return isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Dict)
