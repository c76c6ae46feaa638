"""Names to addresses, in threads that nothing else waits for."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

THREADS = 64
"""Lookups at one time. A name whose servers do not answer holds a thread for tens of seconds, and
Workers choose the names: the loop's own pool (uvloop: two lookups at a time) would soon be full."""

MAX_WAITING = 1000
"""Lookups under way or waiting for a thread, at most."""


class Resolver(AbstractResolver):
    """The system's resolver (`getaddrinfo`, so `/etc/hosts` and search domains count)."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolver")
        self._waiting = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of `host`. Raises `OSError` (`socket.gaierror`) where it has none."""
        if self._waiting >= MAX_WAITING:
            raise socket.gaierror(socket.EAI_AGAIN, "too many lookups under way")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, _lookup, host, port, family
            )
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Drop the lookups that wait. Those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    # As bytes: a str would be checked by the IDNA codec first, which raises UnicodeError.
    name = host.encode("ascii")
    found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=found_family,
            proto=proto,
            flags=socket.AI_NUMERICHOST,
        )
        for found_family, _, proto, _, address in found
    ]
