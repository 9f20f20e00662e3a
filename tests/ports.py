"""Ports for servers that are started by a test."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Nobody listens there, and it is below those that systems give to clients: it stays free until it is used."""
    while True:
        port = random.randrange(15_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
