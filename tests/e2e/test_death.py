from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.conftest import OUTBOUND
from tests.e2e.mesh import SERVICES, Mesh, running
from tests.e2e.origin import Origin

RECOVERY = 10.0


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


async def serve_under_load(mesh: Mesh, done: asyncio.Event) -> list[tuple[int, str]]:
    """Answers to requests made all the while."""
    answers: list[tuple[int, str]] = []

    async def client() -> None:
        while not done.is_set():
            try:
                answers.append(await mesh.get("acme.example.com"))
            except OSError as error:
                answers.append((0, type(error).__name__))

    await asyncio.gather(*(client() for _ in range(4)))
    return answers


async def recovered(mesh: Mesh) -> None:
    """Wait until five requests in a row succeed."""
    good = 0
    async with asyncio.timeout(RECOVERY):
        while good < 5:
            try:
                good = good + 1 if await mesh.get("acme.example.com") == (200, "origin") else 0
            except OSError:
                good = 0


@pytest.mark.parametrize("service", SERVICES)
async def test_killed_isolate_heals(mesh: Mesh, origin: Origin, service: str) -> None:
    """Kill -9 of any isolate under load: what failed failed clearly, and requests succeed again."""
    await mesh.deploy(
        "acme", f"export default {{ fetch() {{ return fetch('{origin.url}/') }} }}", "production"
    )
    await recovered(mesh)
    done = asyncio.Event()
    load = asyncio.create_task(serve_under_load(mesh, done))
    for pid in isolates_of(mesh.services[service].process.pid):
        os.kill(pid, signal.SIGKILL)
    await recovered(mesh)
    done.set()
    failed = [answer for answer in await load if answer != (200, "origin")]
    for status, text in failed:
        assert status in (500, 502), (status, text)
        assert "ISOLATE_DIED" in text or "Network connection lost." in text, text


@pytest.mark.parametrize("name", SERVICES)
async def test_killed_service_heals(short_folder: Path, origin: Origin, name: str) -> None:
    """Kill -9 of any service under load, then its restart: requests succeed again within seconds."""
    async with running(short_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await mesh.deploy(
            "acme",
            f"export default {{ fetch() {{ return fetch('{origin.url}/') }} }}",
            "production",
        )
        await recovered(mesh)
        service = mesh.services[name]
        orphans = isolates_of(service.process.pid)
        done = asyncio.Event()
        load = asyncio.create_task(serve_under_load(mesh, done))
        service.process.kill()
        await service.wait()
        await service.start()
        await mesh.healthy(name)
        await recovered(mesh)
        done.set()
        for status, text in await load:
            assert status in (0, 200, 500, 502, 503), (status, text)
        assert not [pid for pid in orphans if alive(pid)], "an isolate outlived its service"


async def test_drain_finishes_what_is_in_flight(short_folder: Path, origin: Origin) -> None:
    """SIGTERM to every service: a request in flight gets its answer, and no process is left."""
    go = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="late")

    origin.answer = hold
    async with running(short_folder, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await mesh.deploy(
            "acme",
            f"export default {{ fetch() {{ return fetch('{origin.url}/') }} }}",
            "production",
        )
        request = asyncio.create_task(mesh.get("acme.example.com"))
        await origin.until(1)
        pids = [pid for s in mesh.services.values() for pid in isolates_of(s.process.pid)]
        mesh.terminate()
        go.set()
        assert await request == (200, "late")
    assert len(pids) == 3
    assert not [pid for pid in pids if alive(pid)]
