"""Customers who ask at a steady pace, and what they see.

A process of its own: `python -m bench.paced PORT SECONDS INTERVAL HOST...` prints one JSON object,
a `Paced`. Each host has a connection and a request every INTERVAL seconds. A latency counts from
the moment at which its request was due, so that one slow answer does not hide those behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict, dataclass, field

import uvloop

from bench.child import HOST

_PATIENCE = 30.0
"""Seconds that one answer may take."""


@dataclass(slots=True)
class Paced:
    """What one run saw."""

    latencies: list[float] = field(default_factory=list)
    """Seconds, of every request that was answered."""
    failures: list[str] = field(default_factory=list)
    """What was answered in place of 200, or how it broke off."""


async def run(port: int, seconds: float, interval: float, hosts: list[str]) -> Paced:
    """Ask for `seconds`, then wait for the last answers."""
    paced = Paced()
    start = asyncio.get_running_loop().time() + interval
    async with asyncio.TaskGroup() as group:
        for at, host in enumerate(hosts):
            # Spread over the interval, as independent customers are.
            began = start + interval * at / len(hosts)
            group.create_task(_customer(paced, port, host, began, seconds, interval))
    return paced


async def _customer(
    paced: Paced, port: int, host: str, began: float, seconds: float, interval: float
) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    loop = asyncio.get_running_loop()
    for at in range(round(seconds / interval)):
        due = began + at * interval
        await asyncio.sleep(due - loop.time())
        try:
            async with asyncio.timeout(_PATIENCE):
                status = await _ask(reader, writer, host)
        except (OSError, EOFError, ValueError) as error:
            paced.failures.append(f"{type(error).__name__}: {error}")
            writer.close()
            reader, writer = await asyncio.open_connection(HOST, port)
            continue
        if status != 200:
            paced.failures.append(f"status {status}")
        paced.latencies.append(loop.time() - due)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> int:
    """Send one request and read all of its answer, which has a length or is chunked."""
    writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, after = head.partition(b"content-length: ")
    if found:
        await reader.readexactly(int(after.partition(b"\r\n")[0]))
    else:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head.split(b" ", 2)[1])


if __name__ == "__main__":
    _port, _seconds, _interval, *_hosts = sys.argv[1:]
    _paced = run(int(_port), float(_seconds), float(_interval), _hosts)
    print(json.dumps(asdict(uvloop.run(_paced))))
