"""Setting up, on the machines of others: what is missing is said in a sentence, and what is installed is what was tested."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

TOOLS = ("sh", "dirname", "date", "touch", "rm", "env", "mkdir")
OLD = '#!/bin/sh\ncase "$2" in *version_info*) exit 1 ;; *) echo 3.9.2 ;; esac\n'
BARE = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing but the set-up in it, and a PATH of its own beside it."""
    (tmp_path / "checkout/.ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/setup", tmp_path / "checkout/.ci/setup")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path / "checkout"


def set_up(checkout: Path, python: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the set-up where python3 is the given script, or where there is none."""
    path = checkout.parent / "bin"
    if python:
        (path / "python3").write_text(python)
        (path / "python3").chmod(0o755)
    environment = {"PATH": str(path), "HOME": str(checkout)}
    return subprocess.run([checkout / ".ci/setup"], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [(None, "there is no python3 here"), (OLD, "this machine's python3 is 3.9.2"), (BARE, "apt install python3-venv")],
    ids=["none", "old", "without venv"],
)
def test_what_is_missing_is_said(checkout: Path, python: str | None, sentence: str) -> None:
    """The first thing a visitor sees must not be a traceback, and must say what to install."""
    ran = set_up(checkout, python)
    assert ran.returncode != 0
    assert sentence in ran.stderr
    assert ran.stdout == ""
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_locks_pin_by_hash_and_name_no_host(lock: str) -> None:
    """The same bytes everywhere, from whatever registry a machine uses."""
    text = (ROOT / f"requirements/{lock}.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][^\n]*", text, re.MULTILINE)
    assert pins
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ (; .* )?\\$", pin) for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text


def test_what_runs_is_what_was_tested() -> None:
    """A version in production that the tests never saw is an experiment on readers."""

    def pins(lock: str) -> set[str]:
        return set(
            re.findall(r"^\S+==\S+", (ROOT / f"requirements/{lock}.lock").read_text(encoding="utf-8"), re.MULTILINE)
        )

    assert pins("runtime") <= pins("dev")


def test_every_target_says_what_it_does() -> None:
    """`make help` is the only page that everybody reads."""
    environment = os.environ | {"MAKEFLAGS": ""}
    ran = subprocess.run(["make", "help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    for target in ("setup", "demo", "up", "test", "proof", "check", "bench", "clean"):
        assert re.search(rf"^  make {target} +\S", ran.stdout, re.MULTILINE), target


def test_scripts_can_be_read_by_their_shells() -> None:
    """A script that is only run by hand, once a month, must not fail at a missing quote."""
    for script, shell in (("setup", "sh"), ("run", "bash"), ("fresh-machine", "bash")):
        assert os.access(ROOT / ".ci" / script, os.X_OK), script
        subprocess.run([shell, "-n", ROOT / ".ci" / script], check=True)
