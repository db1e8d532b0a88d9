"""A relay's machine that loses its power in the middle of a session: it says nothing any more, not even that it is gone.

    python -m tests.relay.test_vanishing

Run in a network of its own, where the wire can be cut: the kernel of a peer on the same machine would go on to confirm everything.
"""

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from newsletter.relay.pool import Pool
from newsletter.relay.target import Relay
from tests.fakes import smtp
from tests.fakes.cargo import Batch
from tests.relay.test_pool import QUICK, envelopes

APART = ("unshare", "--user", "--map-root-user", "--net", "--")
SIOCSIFFLAGS, UP, DOWN = 0x8914, 0x1, 0x0


def wire(flags):
    """Mend or cut the only wire of this network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


async def send(port):
    patient = replace(QUICK, command=60, data=60, final_dot=60, keepalive=1, vanished=2)
    pool, cargo = (
        Pool(Relay.parse(f"smtp://127.0.0.1:{port}?connections=1"), helo="x.example", manners=patient),
        Batch(envelopes(1)),
    )
    asyncio.get_running_loop().call_later(1, wire, DOWN)
    began = time.monotonic()
    await pool.send(cargo)
    return cargo.outcomes[0], time.monotonic() - began


@pytest.mark.skipif(
    subprocess.run([*APART, "true"], capture_output=True).returncode != 0,
    reason="no network of our own can be had here",
)
@pytest.mark.parametrize("what", ["vanished", "slow"])
def test_a_machine_without_power_is_noticed_before_its_time_is_up_and_a_slow_one_is_not(what):
    """It held a sender for the ten minutes of the final dot, while another relay of the setting was well."""
    ran = subprocess.run(
        [*APART, sys.executable, "-m", "tests.relay.test_vanishing", what], capture_output=True, text=True, timeout=50
    )
    assert ran.stdout.split() == (["Uncertain", "soon"] if what == "vanished" else ["Accepted", "late"]), ran.stderr


if __name__ == "__main__":
    wire(UP)
    with smtp.running(smtp.Sink(delay_seconds=lambda: 8.0)) as server:
        if sys.argv[1] == "slow":
            wire = lambda _flags: None  # noqa: E731
        outcome, took = asyncio.run(send(server.port))
        with suppress(OSError):
            print(type(outcome).__name__, "soon" if took < 7 else "late")
