"""Sockets: refused in words, which the system-call filter has none of."""

from __future__ import annotations

import errno
import socket
from typing import Any, NoReturn

from sluice_guest.replacement import replace

WORDS = (
    "A Worker has no sockets: only HTTP requests leave it. Use workers.fetch, urllib.request, "
    "http.client, requests, httpx or aiohttp."
)

_init = socket.socket.__init__


def install() -> None:
    """Refuse every socket but those that there are, as of a pair, and every lookup of a name."""
    replace(socket.socket, __init__=_init_made)
    replace(
        socket,
        getaddrinfo=_refuse_lookup,
        gethostbyname=_refuse_lookup,
        gethostbyname_ex=_refuse_lookup,
        gethostbyaddr=_refuse_lookup,
    )


def _init_made(
    self: socket.socket,
    family: int = -1,
    type: int = -1,  # noqa: A002 — the name there
    proto: int = -1,
    fileno: int | None = None,
) -> None:
    if fileno is None:
        raise PermissionError(errno.EPERM, WORDS)
    _init(self, family, type, proto, fileno)


def _refuse_lookup(*_: Any, **__: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_FAIL, WORDS)
