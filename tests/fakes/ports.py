"""Ports for servers that are told where to listen, and have to find it still free."""

import random
import socket

ORDINARY = range(20_000, 32_000)
"""Below those that Linux gives to whoever connects (32768 and more), which may take one between our look and the server's."""


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    while True:
        with socket.socket() as probe:
            port = random.SystemRandom().choice(ORDINARY)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
