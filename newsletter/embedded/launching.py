"""Bringing a server up and down: a free port, a lock that the server inherits, and patience."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from newsletter import errors
from newsletter.embedded.guise import Guise, identity
from newsletter.embedded.state import PATIENCE_SECONDS, Program, State, alive, take, within, write

LAUNCHES = 3
# Kept so that a server that ends is waited for, and leaves no zombie in the program that started it.
spawned: list["subprocess.Popen[bytes]"] = []


@dataclass(frozen=True, slots=True)
class Launch:
    """What it takes to bring one server up."""

    home: Path
    server: str
    program: Program
    data: Path
    guise: Guise


def attached(home: Path, server: str, answers: Callable[[], bool]) -> bool:
    """Wait for a living server to answer, or for what is left of a killed one to be gone; True when it answers."""
    answered = False

    def settled() -> bool:
        nonlocal answered
        answered = answers()
        return answered or not alive(home, server)

    if not within(PATIENCE_SECONDS, settled):
        raise errors.Conflict("embedded.silent", server=server, folder=str(home))
    return answered


def launch(
    launch: Launch, state: State, command: Callable[[int], list[str]], answers: Callable[[State], bool]
) -> State:
    """Start the server on its port of last time or a free one, wait for its answer, and pin both in the state."""
    for _ in range(LAUNCHES):  # somebody may take the port between our look and the server's
        port = free_port(state.ports.get(launch.server))
        state = state.pinned(launch.server, launch.program, port)
        write(launch.home, state)
        process = spawn(launch, command(port))
        if _up(state, process, answers):
            return state
        if process.poll() is None:
            process.kill()
    log = launch.home / f"{launch.server}.log"
    raise failed(launch.home, launch.server, log.read_text(errors="replace") if log.exists() else "")


def _up(state: State, process: "subprocess.Popen[bytes]", answers: Callable[[State], bool]) -> bool:
    within(PATIENCE_SECONDS, lambda: answers(state) or process.poll() is not None)
    return process.poll() is None and answers(state)


def spawn(launch: Launch, command: list[str]) -> subprocess.Popen[bytes]:
    """Start the server's process with its lock inherited and its log in the home."""
    lock = os.open(launch.home / f"{launch.server}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    log = os.open(launch.home / f"{launch.server}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        within(PATIENCE_SECONDS, lambda: take(lock))
        process = subprocess.Popen(
            command,
            cwd=launch.data,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C at the terminal ends the program that asked, not the servers
            **identity(launch.guise),
        )
    finally:
        os.close(lock)
        os.close(log)
    spawned.append(process)
    return process


def free_port(wanted: int | None) -> int:
    """Return the wanted port if it is free, else one the kernel gives."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise errors.Conflict("embedded.no-port")


def pid_of(home: Path, server: str) -> int:
    """Return the id in the server's own file, or 0 where there is none."""
    file = home / ("postgresql/postmaster.pid" if server == "postgresql" else "redis.pid")
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(file.read_text().splitlines()[0])
    return 0


def end(home: Path, server: str, signals: tuple[signal.Signals, ...]) -> None:
    """Send one signal after the other, 20 s apart, until no process of the server lives. Raises Conflict."""
    for sent in signals:
        if not alive(home, server):
            break
        pid = pid_of(home, server)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if Path(f"/proc/{pid}/comm").read_text().strip() in ("postgres", "redis-server", "valkey-server"):
                os.kill(pid, sent)
        within(20.0, lambda: not alive(home, server))
    spawned[:] = [process for process in spawned if process.poll() is None]
    if alive(home, server):
        raise errors.Conflict("embedded.not-stopped", server=server, folder=str(home))


def failed(home: Path, server: str, told: str) -> errors.Conflict:
    """Return the refusal for a server that did not come up, from what it told: its first error, else its last line."""
    if "No space left" in told:
        return errors.Conflict("embedded.disk-full", folder=str(home))
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    faults = [line for line in lines if re.search(r"error|fatal|panic", line, re.IGNORECASE)]
    reason = next(iter([*faults, *reversed(lines)]), "it says nothing")
    return errors.Conflict("embedded.failed", server=server, log=str(home / f"{server}.log"), reason=reason)
