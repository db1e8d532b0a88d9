"""What every command shares: one document on stdout, progress on stderr, refusals as sentences, exit codes 0, 1, 2."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from newsletter import assembly, embedded, languages, logs, settings
from newsletter.assembly import Newsletter, NoServers
from newsletter.database import DatabaseUnreachable
from newsletter.errors import NewsletterError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the mailing is over.")]
LARGEST = 2**63 - 1
"""What a column of the database can hold; a number beyond it is a slip of the hand."""
Number = Annotated[int, typer.Argument(min=1, max=LARGEST)]
Operator = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Number of the operator who asks, as “operators list” shows it.")
]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")]
Reference = Annotated[
    str | None, typer.Argument(help="The eight letters of the footer; without it the address is asked for.")
]

screen = Console(stderr=True, highlight=False)
page = Console(highlight=False)


def run(app: typer.Typer) -> None:
    """Run a tree of commands: a refusal is a sentence and 1, an interruption says what stays."""
    logs.configure("WARNING")
    try:
        app()
    except NewsletterError as refusal:
        refuse(refusal)
    except KeyboardInterrupt:
        screen.print("Interrupted. What was committed stays; the rest was not begun.")
        sys.exit(1)


def refuse(refusal: NewsletterError) -> NoReturn:
    """Say why something cannot be, in a sentence, and end with 1."""
    sentence = languages.say(refusal.message, **refusal.facts)
    if "--json" in sys.argv:
        print(json.dumps({"error": refusal.message, "sentence": sentence}, ensure_ascii=False))
    screen.print(sentence, style="red" if screen.is_terminal else None, markup=False, soft_wrap=True)
    sys.exit(1)


@contextmanager
def newsletter() -> Iterator[Newsletter]:
    """Assemble the product for one command and close it afterwards."""
    made = None
    try:
        made = assembly.assemble()
        yield made
    except (NoServers, DatabaseUnreachable):
        _blame_the_disk()
        raise
    finally:
        if made:
            made.close()


def _blame_the_disk() -> None:
    """Where our own servers went away because their disk is full, say that instead."""
    chosen = settings.read()
    if settings.reveal(chosen.database_url) is None:
        embedded.require_room(chosen.home)


def show(document: Any, *, as_json: bool, words: Callable[[], None] | None = None) -> None:
    """Print a document as JSON, or in words for a person.

    document   a dataclass, a mapping or a list of them
    words      prints it for people; None prints its keys and values
    """
    plain = _plain(document)
    if as_json:
        print(json.dumps(plain, ensure_ascii=False, default=str), flush=True)
    elif words is not None:
        words()
    else:
        _pairs(plain)


def warn(sentences: Iterable[str]) -> None:
    """Say what should be read before sending: ids of sentences of the catalogue."""
    for sentence in sentences:
        screen.print(languages.say(sentence), soft_wrap=True)


def _pairs(plain: Any) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in plain.items():
        table.add_row(str(name).replace("_", " "), _cell(value))
    page.print(table)


def listing(rows: list[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows as a table, or a sentence when there are none."""
    if not rows:
        page.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(str(name).replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    page.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, str) and len(value) > 10 and value[10] == "T" and value[:4].isdigit():
        return value[:19].replace("T", " ")
    return str(value)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # No field for internal use: those hidden from repr are hidden from documents.
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum | Path):
        return str(value)
    return value


@contextmanager
def progress(words: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far a long command is, on stderr and only on a terminal; yields a function that takes the count so far."""
    if not screen.is_terminal or "--json" in sys.argv:
        yield lambda _done: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)


def ask_code() -> str:
    """Return the code a phone shows, from a prompt that hides it, or from stdin when that is no terminal."""
    if sys.stdin.isatty():
        return str(typer.prompt("Code", err=True, hide_input=True)).strip()
    return sys.stdin.readline().strip()


def agree(question: str) -> None:
    """Ask whoever sits at a terminal whether it is to be, and end with 1 where it is not; a program is asked nothing."""
    if sys.stdin.isatty() and "--json" not in sys.argv:
        typer.confirm(question, err=True, abort=True)


def ask_address(prompt: str = "Address") -> str:
    """Return an address from a prompt, or from stdin when that is no terminal; never from the command line."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, err=True)).strip()
    return sys.stdin.readline().strip()
