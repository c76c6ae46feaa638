"""How soon a customer is served again whose Worker broke a limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench import cpu
from bench.child import HOST
from bench.processes import isolates

_PATIENCE = 30.0
"""Seconds that one answer may take."""

_ASKED = 5


@dataclass(frozen=True, slots=True)
class Recovery:
    """One breach of a limit. Times are in seconds."""

    told: float
    """From the end of the process to the answer that says why."""
    served: float
    """From the end of the process to the answer to the next request, sent at once."""
    error: str
    """What the customer's caller was told."""


async def recover(port: int, host: str, service: int) -> Recovery:
    """Have the Worker `host`, which runs in `service`, break its limit, and ask it again.

    Its path `/` answers 200, and `/break` breaks the limit. Raises `RuntimeError` where the first
    is not so.
    """
    isolate = await _isolate(port, host, service)
    async with _end(isolate) as ended:
        status, error = await _ask(port, host, "/break")
        told = time.monotonic()
        await _expect_ok(port, host)
        served = time.monotonic()
        at = await ended
    if status < 500:
        raise RuntimeError(f"{host} broke no limit: {status} {error}")
    return Recovery(told - at, served - at, error)


async def _isolate(port: int, host: str, service: int) -> int:
    """The process of a Worker: the one that uses CPU where it is asked."""
    await _expect_ok(port, host)
    before = {pid: cpu.seconds(pid) for pid in workers(service)}
    for _ in range(_ASKED):
        await _expect_ok(port, host)
    return max(before, key=lambda pid: cpu.seconds(pid) - before[pid])


def workers(service: int) -> set[int]:
    """The isolates that a service runs."""
    return set(isolates(service))


@contextlib.asynccontextmanager
async def _end(pid: int) -> AsyncIterator[asyncio.Future[float]]:
    """When a process ends, by the kernel's word: pidfd_open(2)."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[float] = loop.create_future()
    descriptor = os.pidfd_open(pid)

    def end() -> None:
        if not ended.done():
            ended.set_result(time.monotonic())

    loop.add_reader(descriptor, end)
    try:
        async with asyncio.timeout(_PATIENCE):
            yield ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _expect_ok(port: int, host: str) -> None:
    status, body = await _ask(port, host, "/")
    if status != 200:
        raise RuntimeError(f"{host} answers {status} {body}")


async def _ask(port: int, host: str, path: str) -> tuple[int, str]:
    """Status and body of one answer, on a connection of its own."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n".encode())
    async with asyncio.timeout(_PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1]), body.decode()
