"""A Postfix of our own on loopback, with a configuration in a folder of its own; started and ended by its own program."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.ports import free_port

PROGRAM = shutil.which("postfix") or "/usr/sbin/postfix"
MASTER = Path("/usr/share/postfix/master.cf.dist")
_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.sarand.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
default_transport = smtp:[127.0.0.1]:{onward}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
{more}
"""


def missing() -> str | None:
    """Return why there can be no Postfix here, None where there can."""
    if not Path(PROGRAM).exists() or not MASTER.exists():
        return "Postfix is not installed"
    return None if os.geteuid() == 0 else "Postfix starts only as root"


@contextmanager
def running(*, onward: int, more: str, files: dict[str, str]) -> Iterator[int]:
    """Run until the block ends; yield the port it takes mail on.

    onward   the port on loopback that everything not routed elsewhere goes to
    more     further lines of main.cf; {home} stands for the folder of `files`
    """
    home = Path(tempfile.mkdtemp(prefix="newsletter-postfix-"))
    port = free_port()
    try:
        _write(home, port, onward, more, files)
        _do(home, "start")
        _until_it_answers(port)
        yield port
    finally:
        _do(home, "stop")
        shutil.rmtree(home, ignore_errors=True)


def _write(home: Path, port: int, onward: int, more: str, files: dict[str, str]) -> None:
    for name in ("etc", "spool", "data"):
        (home / name).mkdir()
    home.chmod(0o755)
    shutil.chown(home / "data", "postfix")
    for name, text in files.items():
        (home / name).write_text(text)
    main = _MAIN.format(home=home, onward=onward, more=more.replace("{home}", str(home)))
    (home / "etc/main.cf").write_text(main)
    lines = []
    for line in MASTER.read_text().splitlines():
        fields = line.split()
        if fields[:2] == ["smtp", "inet"]:
            line = f"127.0.0.1:{port} inet n - n - - smtpd"
        elif fields[1:2] == ["unix"]:
            line = " ".join([*fields[:4], "n", *fields[5:]])  # no chroot
        lines.append(line)
    (home / "etc/master.cf").write_text("\n".join(lines) + "\n")


def _do(home: Path, what: str) -> None:
    subprocess.run([PROGRAM, "-c", str(home / "etc"), what], check=what == "start", capture_output=True, timeout=60)


def _until_it_answers(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("Postfix does not answer")
