"""Who may import whom. The layers are contracts in pyproject.toml; what those cannot say is said here."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imports, modules, reaches, within

# SQL lives with its noun: one owner for each table family.
OWNERS = {
    "mailing": ("newsletter.ledger",),
    "delivery": ("newsletter.ledger",),
    "refusal": ("newsletter.ledger",),
    "subscriber": ("newsletter.subscribers",),
    "consent": ("newsletter.subscribers",),
    "suppression": ("newsletter.subscribers",),
    "signup": ("newsletter.subscribers",),
    "fresh": ("newsletter.subscribers",),
    "privacy": ("newsletter.subscribers",),
    "topic": ("newsletter.subscribers",),
    "segment": ("newsletter.subscribers",),
    "digest": ("newsletter.issues",),
    "picture": ("newsletter.issues",),
    "article": ("newsletter.issues",),
    "mailbox": ("newsletter.mailboxes",),
    "relay": ("newsletter.delivery",),
    "operator": ("newsletter.operators",),
    "audit": ("newsletter.operators",),
    "approval": ("newsletter.operators",),
    "errand": ("newsletter.campaigns",),
    "hook": ("newsletter.operators",),
    "lock": ("newsletter.ledger",),
    "returned": ("newsletter.ledger",),
    "inbound": ("newsletter.bounces",),
    "cap": ("newsletter.campaigns",),
    "drill": ("newsletter.campaigns",),
    "turn": ("newsletter.turns",),
}
# Each exception with its reason.
EXCEPTIONS = {
    ("newsletter.subscribers.recipients", "mailbox"): "planning reads recipients and their provider in one statement",
}
DOORS = ("newsletter.web", "newsletter.cli", "workers")
ENGINES = ("newsletter.relay", "newsletter.composer", "newsletter.reports")


def test_the_road_runs_one_way() -> None:
    """A low module that reaches up makes every later change touch everything."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]


@pytest.mark.parametrize("table", OWNERS)
def test_tables_are_touched_by_their_owner_alone(table: str) -> None:
    """A second package with its own idea of a table's rules is how mail goes to people who left."""
    allowed = within("newsletter.models", "newsletter.migrations", *OWNERS[table])
    breaches = [
        name
        for name in modules()
        if name not in allowed and (name, table) not in EXCEPTIONS and reaches(name, f"newsletter.models.{table}")
    ]
    assert breaches == []


def test_every_table_family_has_an_owner() -> None:
    """A family that nobody owns is one that everybody changes."""
    families = {name.rsplit(".", 1)[1] for name in within("newsletter.models")} - {"models", "base"}
    assert families == set(OWNERS)


def test_doors_know_no_sql() -> None:
    """What a page decides by itself, the command line decides otherwise."""
    assert {name: found for name in within(*DOORS) if (found := reaches(name, "sqlalchemy", "newsletter.models"))} == {}


def test_journeys_know_no_sql() -> None:
    """A journey calls nouns in order; a rule or a query in it is one that no other journey keeps."""
    found = {name: hits for name in within("newsletter.journeys") if (hits := reaches(name, "sqlalchemy"))}
    assert found == {}


def test_engines_know_no_storage() -> None:
    """The relay and the composer must be usable, and testable, without a database."""
    forbidden = ("sqlalchemy", "celery", "newsletter.settings", "newsletter.database", "newsletter.models")
    assert {name: found for name in within(*ENGINES) if (found := reaches(name, *forbidden))} == {}


def test_only_assembly_and_doors_read_settings() -> None:
    """A noun that reads the environment cannot be tested with plain values."""
    readers = {name for name in modules() if reaches(name, "newsletter.settings")}
    assert readers <= {"newsletter.assembly", "newsletter.settings", *within(*DOORS)}


def test_the_product_never_imports_its_workers() -> None:
    """Jobs are known by name, so that a page needs no Celery application to nudge one."""
    assert [name for name in within("newsletter") if reaches(name, "workers")] == []


def test_nothing_imports_its_tests() -> None:
    """What is installed has no tests folder beside it."""
    assert [name for name in modules() if any(found.split(".")[0] == "tests" for found in imports(name))] == []
