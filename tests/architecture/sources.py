"""The project's own files, as the tests of its shape read them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("newsletter", "workers")


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the product by its dotted name."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = ast.parse(file.read_text(encoding="utf-8"))
    return found


@cache
def imports(module: str) -> tuple[str, ...]:
    """Return the dotted name of everything a module imports, names of `from` imports included."""
    return tuple(_imports(modules()[module]))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reaches(module: str, *targets: str) -> list[str]:
    """Return what a module imports of the targets: themselves or anything in them."""
    return [name for name in imports(module) if any(f"{name}.".startswith(f"{target}.") for target in targets)]


def within(*packages: str) -> list[str]:
    """Return the names of the modules that are one of the packages or lie in one."""
    return [name for name in modules() if any(f"{name}.".startswith(f"{package}.") for package in packages)]


@cache
def texts() -> dict[str, str]:
    """Return every text file that is part of the project by its path; what git ignores is not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    found = {}
    for name in filter(None, names):
        file = ROOT / name
        if file.is_file() and file.stat().st_size < 2_000_000:
            data = file.read_bytes()
            if b"\0" not in data:
                found[name] = data.decode("utf-8", "replace")
    return found
