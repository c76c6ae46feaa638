"""Names to addresses, as every program on this machine has them.

c-ares (`aiodns`) was tried: it needs no threads and keeps its deadlines, but keeps answers in a
cache that has no bound and no switch, and Workers choose the names.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_ADDRESSES = 16
"""Most addresses of a name that are used. An answer may have thousands."""


class Resolver(AbstractResolver):
    """The system's resolver (`getaddrinfo`, so `/etc/hosts` and search domains count).

    Each lookup has a thread of its own, whose number the caller bounds. A name whose servers do
    not answer keeps its thread for tens of seconds, which the end of the process does not wait for.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises `OSError` (`socket.gaierror`) where it has none."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def ask() -> None:
            found: list[ResolveResult] | Exception
            try:
                found = _lookup(host, port, family)
            except Exception as error:
                found = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_deliver, answer, found)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        return await answer

    async def close(self) -> None:
        """Nothing to close: lookups under way end by themselves."""


def _deliver(
    answer: asyncio.Future[list[ResolveResult]], found: list[ResolveResult] | Exception
) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


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
        for found_family, _, proto, _, address in found[:MAX_ADDRESSES]
    ]
