from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.chain import Chain
from tests.e2e.languages import JAVASCRIPT, PYTHON, Languages
from tests.e2e.mesh import running
from tests.e2e.origin import Origin

RECOVERY = 20.0
PATIENCE = 0.05
"""Seconds that a client waits where nobody listens, before it asks again."""


def isolates_of(pid: int) -> list[int]:
    """Process ids of a service's isolates."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def alive(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@asynccontextmanager
async def under_load(chain: Chain, url: str) -> AsyncIterator[list[tuple[int, str]]]:
    """Requests made all the while. Gives their answers; 0 is no answer."""
    answers: list[tuple[int, str]] = []

    async def client() -> None:
        while True:
            try:
                answers.append(await chain.ask(url))
            except OSError as error:
                answers.append((0, type(error).__name__))
                await asyncio.sleep(PATIENCE)

    clients = [asyncio.create_task(client()) for _ in range(4)]
    try:
        yield answers
    finally:
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def recovered(chain: Chain, url: str) -> None:
    """Wait until five requests in a row succeed."""
    good = 0
    async with asyncio.timeout(RECOVERY):
        while good < 5:
            try:
                good = good + 1 if await chain.ask(url) == (200, "origin") else 0
            except OSError:
                good = 0


async def test_killed_isolates_heal(chain: Chain, origin: Origin) -> None:
    """Kill -9 of any isolate under load: what failed failed clearly, and requests succeed again."""
    await chain.user("asks")
    await recovered(chain, origin.url)
    async with under_load(chain, origin.url) as answers:
        for service in chain.mesh.services.values():
            for pid in isolates_of(service.process.pid):
                os.kill(pid, signal.SIGKILL)
            await recovered(chain, origin.url)
    for status, text in answers:
        if (status, text) != (200, "origin"):
            assert status in (500, 502), (status, text)
            assert "ISOLATE_DIED" in text or "Network connection lost." in text, text


@pytest.mark.parametrize("languages", [JAVASCRIPT, PYTHON], ids=str, indirect=True, scope="session")
async def test_killed_services_heal(strict: Chain, origin: Origin) -> None:
    """Kill -9 of any service under load, then its restart: requests succeed again within seconds."""
    await strict.user("asks")
    await recovered(strict, origin.url)
    async with under_load(strict, origin.url) as answers:
        for name, service in strict.mesh.services.items():
            orphans = isolates_of(service.process.pid)
            service.process.kill()
            await service.wait()
            await service.start()
            await strict.mesh.healthy(name)
            await recovered(strict, origin.url)
            assert not [pid for pid in orphans if alive(pid)], "an isolate outlived its service"
    for status, text in answers:
        assert status in (0, 200, 500, 502, 503), (status, text)


async def test_drain_finishes_what_is_in_flight(
    short_folder: Path, origin: Origin, languages: Languages
) -> None:
    """SIGTERM to every service: a request in flight gets its answer, and no process is left."""
    go = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="late")

    origin.answer = hold
    async with running(short_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        chain = Chain(mesh, languages)
        await chain.usual()
        await chain.user("asks")
        request = asyncio.create_task(chain.ask(origin.url))
        await origin.until(1)
        pids = [pid for s in mesh.services.values() for pid in isolates_of(s.process.pid)]
        mesh.terminate()
        go.set()
        assert await request == (200, "late")
    assert len(pids) >= 3
    assert not [pid for pid in pids if alive(pid)]
