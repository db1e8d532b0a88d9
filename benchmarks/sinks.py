"""Servers that take mail and throw it away, each in a process of its own, and what their sockets read: the one clock for all.

`smtp-sink` is Debian's (package postfix: as a tool, nothing is configured or started). `fastsink` is a C program beside the
checkout, compiled here. The counting sink and the delaying road are ours (`counting.py`); they serve for TLS and for distance.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FASTSINK = Path(__file__).resolve().parents[2] / "shared" / "tools" / "fastsink.c"
LOOK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink: where it listens, which process reads its sockets."""

    name: str
    port: int
    pid: int


def tool(name: str) -> str | None:
    """Return the path of a program, also of those that Debian keeps for administrators."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """Yield Postfix's sink."""
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    port = free_port()
    with _running([str(tool("smtp-sink")), *user, f"127.0.0.1:{port}", "1000"], port) as process:
        yield Sink("smtp-sink", port, process.pid)


def missing(name: str) -> str | None:
    """Return why a sink cannot be used here, or None."""
    if name == "fastsink":
        if not FASTSINK.exists():
            return "left out: ../shared/tools/fastsink.c is not here"
        return None if tool("gcc") else "left out: no gcc to compile fastsink.c"
    return None if tool("smtp-sink") and tool("smtp-source") else "left out: no smtp-sink here (Debian: postfix)"


@contextmanager
def fastsink(folder: Path) -> Iterator[Sink]:
    """Yield the C sink that costs a third of Postfix's; it prints what it counted into fastsink.log."""
    program, port = folder / "fastsink", free_port()
    if not program.exists():
        subprocess.run([str(tool("gcc")), "-O2", "-w", "-o", str(program), str(FASTSINK)], check=True)
    with _running([str(program), str(port)], port, log=folder / "fastsink.log") as process:
        yield Sink("fastsink", port, process.pid)


def counted(folder: Path) -> int:
    """Return how many messages the fastsink that has ended last took."""
    words = (folder / "fastsink.log").read_text().split()
    return int(words[words.index("msgs") + 1])


@contextmanager
def counting(*, certificate: Path | None = None) -> Iterator[Sink]:
    """Yield our own sink on uvloop, with TLS from the first byte where a certificate is given."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "benchmarks.counting",
        "sink",
        str(port),
        *([str(certificate)] if certificate else []),
    ]
    with _running(command, port) as process:
        yield Sink("counting sink, TLS" if certificate else "counting sink", port, process.pid)


@contextmanager
def far(to: Sink, *, milliseconds: int) -> Iterator[int]:
    """Yield the port of a road to a sink on which every answer is late by so much: half of it each way, in order."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.counting", "road", str(port), str(to.port), str(milliseconds)]
    with _running(command, port):
        yield port


def certificate(folder: Path) -> Path:
    """Return a self-made certificate for localhost with its key, in one file that may be trusted and served."""
    path = folder / "localhost.pem"
    if not path.exists():
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
        subprocess.run([*command, *names, *files], check=True, capture_output=True)
        path.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return path


class Watch:
    """Looks every 2 ms at how much a sink has read: `with Watch(sink) as watch: …`, then `seconds` and `size_bytes`.

    Both sides of every ratio are timed like this, from the first byte that the sink reads to the last. /proc/PID/io counts
    what read(2) returned, which is how all these sinks read their sockets.
    """

    def __init__(self, sink: Sink) -> None:
        self._path = Path(f"/proc/{sink.pid}/io")
        self._over = threading.Event()
        self._first = self._last = 0.0
        self._before = self._read = self._bytes()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def first(self) -> float:
        """When its first byte was read, by the monotonic clock."""
        return self._first

    @property
    def seconds(self) -> float:
        """From the first byte to the last."""
        return max(self._last - self._first, LOOK_SECONDS)

    @property
    def size_bytes(self) -> int:
        """What the sink has read."""
        return self._read - self._before

    def _bytes(self) -> int:
        return int(self._path.read_bytes().split()[1])

    def _look(self) -> None:
        at = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            read = self._bytes()
            if read != self._read:
                # It began after the look before this one, and has not ended before now.
                self._first = self._first or at
                self._last = time.monotonic()
                self._read = read
            at = time.monotonic()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, *, log: Path | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    with (log or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=out)
        try:
            _await(port)
            yield process
        finally:
            process.terminate()
            process.wait(20)


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody listens on port {port}")
