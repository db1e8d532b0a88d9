"""A real Postfix on loopback that takes our mail and hands it on to a sink of the test, or a skip that says why."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.ports import free_port

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.test
mydestination =
local_recipient_maps =
alias_maps =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{behind}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_recipient_restrictions = permit_mynetworks, reject
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_client_connection_count_limit = 0
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running relay: where it listens, and the log that it writes."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """It as a relay."""
        return f"smtp://127.0.0.1:{self.port}"


@contextmanager
def relaying(behind: int) -> Iterator[Postfix]:
    """Run a Postfix of our own until the block ends; all it takes goes to the port `behind` on loopback."""
    daemons = next(
        (path for path in (Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix")) if path.is_dir()), None
    )
    if not shutil.which("postfix") or daemons is None:
        pytest.skip("no Postfix is on this machine (Debian: apt install postfix)")
    if os.geteuid() != 0:
        pytest.skip("Postfix is started by root only")
    home = Path(tempfile.mkdtemp(prefix="newsletter-postfix-"))
    port = free_port()
    try:
        _lay_out(home, port=port, behind=behind, daemons=daemons)
        _ask(home, "start")
        _wait_for(port)
        yield Postfix(port, home / "mail.log")
    finally:
        _ask(home, "stop", check=False)
        shutil.rmtree(home, ignore_errors=True)


def _lay_out(home: Path, *, port: int, behind: int, daemons: Path) -> None:
    home.chmod(0o755)  # its daemons are another user
    for name in ("conf", "spool", "data"):
        (home / name).mkdir()
    (home / "conf" / "main.cf").write_text(_MAIN.format(home=home, behind=behind, daemons=daemons))
    (home / "conf" / "master.cf").write_text(_MASTER.format(port=port))
    shutil.chown(home / "data", "postfix")


def _ask(home: Path, what: str, *, check: bool = True) -> None:
    ran = subprocess.run(
        ["postfix", "-c", str(home / "conf"), what], capture_output=True, text=True, timeout=60, check=False
    )
    assert not check or ran.returncode == 0, ran.stderr[-2000:]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                assert connection.recv(3) == b"220"
                return
        except OSError:
            assert time.monotonic() < deadline, "Postfix does not answer"
            time.sleep(0.2)
