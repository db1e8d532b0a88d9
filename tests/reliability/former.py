"""The version before this one, for what both do side by side: from the history where it is another, else a copy made another.

"Before" is the oldest commit that works with today's tables. Where nothing of what carries mail differs there (it was made with the
newest migration, or the clone has no history), a copy of today's is changed in what two versions may well differ in: how many
outcomes are written at once, how large a window is, what the log says.
"""

import filecmp
import shutil
import subprocess
import tarfile
from pathlib import Path

PACKAGES = ("newsletter", "workers", "templates")
CARRYING = ("newsletter/delivery", "newsletter/relay", "newsletter/ledger", "workers")
"""Where a difference counts."""
OTHERWISE = (
    ("newsletter/delivery/findings.py", "FLUSH = 500\n", "FLUSH = 120\n"),
    ("newsletter/delivery/pacing.py", "WINDOW_MESSAGES = 250\n", "WINDOW_MESSAGES = 60\n"),
    ("newsletter/delivery/sending.py", 'log.info("shard", ', 'log.info("shard", version="former", '),
)


def lay_out(root: Path, folder: Path) -> str:
    """Lay out another version than that in `root` in a new folder; return where it is from: a commit, or "changed"."""
    folder.mkdir()
    commit = _with_todays_tables(root)
    if commit and _unpack(root, commit, folder) and differing(root, folder):
        return commit
    for package in PACKAGES:
        shutil.rmtree(folder / package, ignore_errors=True)
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, now, before in OTHERWISE:
        words = (folder / name).read_text()
        assert words.count(now) == 1, f"{name} says {now!r} no longer: change it in something else"
        (folder / name).write_text(words.replace(now, before))
    return "changed"


def differing(root: Path, folder: Path) -> list[str]:
    """Return the files of what carries mail that are not the same in both."""
    found = {
        str(path.relative_to(where))
        for where in (root, folder)
        for package in CARRYING
        for path in (where / package).rglob("*.py")
    }
    return sorted(name for name in found if not _same(root / name, folder / name))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def _with_todays_tables(root: Path) -> str:
    """Return the commit that last touched the newest migration; "" where there is no history, or it is not committed."""
    newest = max((root / "newsletter/migrations/versions").glob("[0-9]*.py"))
    query = ["git", "-C", str(root), "log", "-1", "--format=%H", "--", str(newest)]
    try:
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:  # a machine without git
        return ""


def _unpack(root: Path, commit: str, folder: Path) -> bool:
    archive = folder / "former.tar"
    asked = ["git", "-C", str(root), "archive", "-o", str(archive), commit, *PACKAGES]
    if subprocess.run(asked, capture_output=True).returncode:
        return False
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    return True
