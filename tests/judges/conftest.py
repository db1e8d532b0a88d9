"""The judges: programs that nobody here wrote, installed once by npm from a lock with hashes, or a skip that says why."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Judges:
    """The folder with the installed judges; `ask` runs one of our scripts beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, script: str, *arguments: str) -> list[dict]:
        """Run a script of this folder and return its lines, each a JSON document."""
        shutil.copy(HERE / script, self.folder / script)
        command = ["node", str(self.folder / script), *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr[-2000:]
        return [json.loads(line) for line in ran.stdout.splitlines()]

    @cached_property
    def axe(self) -> str:
        """Return axe, to be run in a page."""
        return (self.folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def judges() -> Judges:
    """Node's judges, fetched on first use into the user's cache."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not on this machine, so the foreign judges cannot be asked")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "newsletter-judges" / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder / name)
        ran = subprocess.run(["npm", "ci"], cwd=folder, capture_output=True, text=True, timeout=240)
        if ran.returncode:
            pytest.skip(f"npm could not fetch the foreign judges: {ran.stderr.strip()[-200:]}")
        (folder / "installed").touch()
    return Judges(folder)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that pages are looked at with, where its driver is installed as well."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed here (make proof installs it)")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium is on this machine (Debian: apt install chromium)")
    return found
