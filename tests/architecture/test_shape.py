"""Short files, short functions, a sentence for each public thing, and nothing that speaks of where it was written."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.sources import modules, texts

Function = ast.FunctionDef | ast.AsyncFunctionDef

# Written with brackets so that this file does not mention them either.
FORBIDDEN = {
    "a path of the machine it was written on": r"(?<![\w.])/w[o]rk/|/opt/wh[e]els|/home/(?!visitor|newsletter|app)\w+/",
    "the host of a package registry": r"pyp[i]\.org|pythonh[o]sted\.org|registry\.npmj[s]|proxy\.g[o]lang",
    "how it was written": r"(?i)\bcl[a]ude\b|\banthr[o]pic\b|\bchatg[p]t\b|\bcopil[o]t\b|\blanguage m[o]del\b|\bAI ass[i]stant\b",
}


def functions(module: ast.Module) -> Iterator[Function]:
    """Yield every function, however deep."""
    return (node for node in ast.walk(module) if isinstance(node, Function))


def public(module: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Yield public classes and functions of a module, and the public methods of its public classes."""
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (one for one in node.body if isinstance(one, Function) and not one.name.startswith("_"))


def test_files_stay_under_500_lines() -> None:
    """A file that must be searched is one that is changed in the wrong place."""
    long = {
        name: text.count("\n")
        for name, text in texts().items()
        # A migration is a record that nobody edits again, not a room to work in.
        if name.endswith(".py") and text.count("\n") >= 500 and "/migrations/versions/" not in name
    }
    assert long == {}


def test_functions_stay_under_60_lines() -> None:
    """What does not fit on a screen is not read before it is changed."""
    long = [
        f"{name}.{function.name}"
        for name, module in modules().items()
        for function in functions(module)
        if (function.end_lineno or 0) - function.lineno >= 60
    ]
    assert long == []


def test_pages_pass_values_and_no_lists_of_arguments() -> None:
    """The seventh argument means that a value is missing its class; what stands in a form is one."""
    long = [
        f"{name}.{function.name}"
        for name, module in modules().items()
        if name.startswith("newsletter.web.console.")
        for function in functions(module)
        # What answers a request names all that is read of it.
        if not function.decorator_list and len(function.args.args) + len(function.args.kwonlyargs) > 7
    ]
    assert long == []


def test_every_public_thing_says_what_it_does() -> None:
    """The docstring is where units, bounds and errors stand; the next reader has nothing else."""
    silent = [name for name, module in modules().items() if module.body and not ast.get_docstring(module)]
    silent += [
        f"{name}.{node.name}"
        for name, module in modules().items()
        for node in public(module)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_every_test_says_why_anyone_cares() -> None:
    """A red test whose reason nobody knows is deleted instead of obeyed."""
    silent = [
        f"{name}: {function.name}"
        for name, text in texts().items()
        if name.startswith("tests/") and name.endswith(".py")
        for function in functions(ast.parse(text))
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_project_speaks_only_of_itself(what: str) -> None:
    """Somebody else will build this on another machine, from another registry."""
    pattern = re.compile(FORBIDDEN[what])
    assert {name: found[0] for name, text in texts().items() if (found := pattern.search(text))} == {}


def test_nothing_is_patched_in_tests() -> None:
    """A test that must patch a module is telling about the design; the fakes in tests/fakes need no patching."""
    pattern = re.compile(r"unittest[.]mock|monkeypa[t]ch\b|m[o]cker\b")
    assert [name for name, text in texts().items() if name.startswith("tests/") and pattern.search(text)] == []
