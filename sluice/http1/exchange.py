"""One request as a server received it, and who sent it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from sluice.wire.messages import Request, Response

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is on the other end."""

    address: str
    """`ip:port`, or `pid:N` for a unix socket."""
    pid: int | None
    """Process that opened a unix connection, by the kernel's word (SO_PEERCRED, unix(7))."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Peer:
        """The peer of a connected transport."""
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            pid = _UCRED.unpack(credentials)[0]
            return cls(f"pid:{pid}", pid)
        host, port = (transport.get_extra_info("peername") or ("unknown", 0))[:2]
        return cls(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", None)


@dataclass(slots=True)
class Exchange:
    """One request as received."""

    request: Request
    """With an absolute URL, and headers as `headers.carried` leaves them, less `expect`."""
    control: dict[str, str]
    """Headers with the prefix `headers.CONTROL_PREFIX`, as latin-1 text."""
    peer: Peer
    upgrade: str | None = None
    """Lowercase `Upgrade` of a request that asks for one other than to a WebSocket. The handler may
    answer as ever."""


Handler: TypeAlias = Callable[[Exchange], Awaitable[Response]]
