"""What the documents say is true of the code: links lead somewhere, commands exist, states are named."""

import re
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from newsletter.cli.commands import app
from newsletter.ledger.deliveries import DeliveryState
from newsletter.ledger.mailings import State
from newsletter.web.api import describing

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    """A dead link is the first thing a newcomer meets."""
    text = page.read_text(encoding="utf-8")
    for target in [*re.findall(r"\]\(([^)#]+)\)", text), *re.findall(r'src="([^"]+)"', text)]:
        if "://" not in target:
            assert (page.parent / target).exists(), target


@cache
def program():
    """Return the tree of commands: half a second's work to make, and the same for every line."""
    return get_command(app)


def known(words):
    """Return whether words begin with a command path of the program, and what looks like an option is one of it."""
    command = program()
    for place, word in enumerate(words):
        if word in ("COMMAND", "…"):
            return True
        if not hasattr(command, "commands"):
            options = {name for one in command.params for name in one.opts} | {"--help"}
            return {each.split("=")[0] for each in words[place:] if each.startswith("-")} <= options
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_printed_exists(page):
    """Someone will type it at night."""
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"(?:^ {4}|^\$ |`)(?:\.venv/bin/)?newsletter ([a-z][^`\n]*)", text, flags=re.MULTILINE):
        assert known(line.partition("#")[0].split()), line


def commands(command, *path):
    """Yield each command of the program: its path in words, and itself."""
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, *path, name)
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def test_every_command_takes_json_but_the_one_that_prints_nothing_else():
    """The README promises it to whoever writes a program around ours."""
    found = dict(commands(program()))
    assert len(found) > 50
    without = [
        path for path, one in found.items() if "--json" not in {name for each in one.params for name in each.opts}
    ]
    assert without == ["privacy export"]
    said = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Every command takes `--json` (`privacy export` prints nothing else)" in said


def test_every_target_of_make_that_is_printed_exists():
    """The two commands above all."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_glossary_names_every_state():
    """One word for each thing: also for the person who reads the books."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").lower()
    assert [state for state in (*DeliveryState, *State) if state not in text] == []


def test_the_api_of_the_documents_is_the_one_of_its_description():
    """Somebody writes a program by one of them: every path of either stands in the other, with its method."""
    described = {
        f"{method.upper()} {re.sub(r'{[a-z]+}', '7', path)}"
        for path, item in describing.describe("https://news.example.org")["paths"].items()
        for method in item
    }
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z]+ /api/v1/[^`]+)` \|", text, flags=re.MULTILINE)) == described
    known = {one.partition(" ")[2] for one in described} | {describing.PATH}
    for page in PAGES:
        for path in re.findall(r"/api/v1(?:/[a-z0-9.]+)+", page.read_text(encoding="utf-8")):
            assert path in known, (page.name, path)


def test_every_claim_names_tests_that_exist():
    """A claim whose test was renamed or deleted is a wish again."""
    lines = (ROOT / "docs/claims.md").read_text(encoding="utf-8").splitlines()
    claims = [line for line in lines if line.startswith("- ")]
    assert claims
    for claim in claims:
        named = re.findall(r"`(tests/[\w/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", claim)
        assert named, f"no test is named: {claim}"
        for file, tests in named:
            text = (ROOT / file).read_text(encoding="utf-8")
            for test in re.findall(r"`(test_\w+)`", tests):
                assert re.search(rf"^(?:async )?def {test}\(", text, flags=re.MULTILINE), f"{file}: {test}"
