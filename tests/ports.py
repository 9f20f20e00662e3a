"""Ports for servers that are started by a test."""

import os
import random
import socket
from contextlib import suppress

_given: set[int] = set()


def free_port() -> int:
    """Nobody listens there, and it is below those that systems give to clients: it stays free until it is used."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        # Each worker of a run has ports of its own, as those of others are free until their servers have started.
        port = random.randrange(15_000, 32_000) // 8 * 8 + worker % 8
        if port in _given:
            continue
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given.add(port)
            return port
