"""urllib3, on which `requests` stands. Its requests are made by `http.client` (http_client.py)."""

from __future__ import annotations

import socket
from types import ModuleType
from typing import Any

from sluice_guest.broker import connected

MODULE = "urllib3.connection"


def patch(module: ModuleType) -> None:
    """Let the connections of the module `urllib3.connection` be to the egress."""

    def new_socket(self: Any) -> socket.socket:
        return connected(self.timeout)

    def connect(self: Any) -> None:
        self.sock = new_socket(self)
        # The outbound service verifies the origin, whatever is said here.
        self.is_verified = True

    connections: Any = module
    connections.HTTPConnection._new_conn = new_socket  # noqa: SLF001
    connections.HTTPSConnection.connect = connect
