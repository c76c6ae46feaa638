"""The load generator: as many requests as the connections given can carry, for some seconds.

A process of its own: `python -m bench.load PORT AUTHORITY CONNECTIONS SECONDS` prints one JSON
object, a `Load`. Each connection sends its next request when the last was answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from typing import cast

import httptools
import uvloop

from bench.child import HOST


@dataclass(frozen=True, slots=True)
class Load:
    """What one run saw. Times are in seconds."""

    requests: int
    failed: int
    """Answers other than 200, and connections that broke off."""
    seconds: float
    p50: float
    p99: float
    cpu: float
    """CPU time of the load generator itself."""


class _Run:
    """What the connections of one run share."""

    def __init__(self, request: bytes, connections: int, seconds: float) -> None:
        self.request = request
        self.latencies = array("d")
        self.failed = 0
        self.deadline = time.perf_counter() + seconds
        self.over = asyncio.Event()
        self._open = connections

    def closed(self) -> None:
        self._open -= 1
        if not self._open:
            self.over.set()


class _Connection(asyncio.Protocol):
    """Asks again and again. The parser calls `on_message_complete`."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parser = httptools.HttpResponseParser(self)
        self._sent = 0.0
        self._awaited = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._run.latencies.append(now - self._sent)
        self._awaited = False
        if self._parser.get_status_code() != 200:
            self._run.failed += 1
        if now < self._run.deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if self._awaited:
            self._run.failed += 1
        self._run.closed()

    def _send(self) -> None:
        self._awaited = True
        self._sent = time.perf_counter()
        self._transport.write(self._run.request)


async def run(port: int, authority: str, connections: int, seconds: float) -> Load:
    """Send requests for `seconds`, then wait for the last answers."""
    request = f"GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), time.process_time()
    shared = _Run(request, connections, seconds)
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(shared), HOST, port)
    async with asyncio.timeout(seconds + 30):
        await shared.over.wait()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    latencies = sorted(shared.latencies) or [0.0]
    return Load(
        requests=len(shared.latencies),
        failed=shared.failed,
        seconds=took,
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        cpu=cpu,
    )


if __name__ == "__main__":
    _port, _authority, _connections, _seconds = sys.argv[1:]
    _load = run(int(_port), _authority, int(_connections), float(_seconds))
    print(json.dumps(asdict(uvloop.run(_load))))
