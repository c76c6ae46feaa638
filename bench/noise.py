"""Customers who take all they get.

A process of its own: `python -m bench.noise PORT HOST...` asks each host again and again, as soon
as it was answered, until the process is ended.
"""

from __future__ import annotations

import asyncio
import sys

from bench.child import HOST

_PAUSE = 0.05
"""Seconds before a host that refused is asked again."""


async def run(port: int, hosts: list[str]) -> None:
    """Ask for ever."""
    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(_ask(port, host))


async def _ask(port: int, host: str) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            await reader.read()  # to the end, which is a body's, too
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    _port, *_hosts = sys.argv[1:]
    asyncio.run(run(int(_port), _hosts))
