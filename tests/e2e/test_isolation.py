"""`SLUICE_PYTHON_ISOLATION=request`: a process for each invocation of a Python Worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.accounting import processes, settles
from tests.e2e.chain import Chain
from tests.e2e.languages import PYTHON
from tests.e2e.mesh import running
from tests.e2e.origin import Origin

REQUESTS = 60
AT_ONCE = 6


@pytest.mark.timeout(120)
async def test_a_process_for_each_request(short_folder: Path, origin: Origin) -> None:
    """Each request has its own params and three fresh processes, and leaves none of them behind."""
    waits = asyncio.Semaphore(AT_ONCE)

    async def reflect(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers["x-customer"])

    origin.answer = reflect
    variables = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_PYTHON_ISOLATION": "request",
        "SLUICE_MAX_WAIT": "30s",
    }
    async with running(short_folder, **variables) as mesh:
        chain = Chain(mesh, PYTHON)
        await chain.usual()
        await chain.dispatch("params_of_header")
        await chain.user("counts")
        served = await chain.get(x_value="first", x_url=origin.url)
        assert served == (200, "first 1")
        assert await settles(lambda: not _folders(short_folder), 10)
        idle = processes(mesh)

        async def client(number: int) -> tuple[int, str]:
            async with waits:
                return await chain.get(x_value=f"of-{number}", x_url=origin.url)

        answers = await asyncio.gather(*map(client, range(REQUESTS)))
        assert answers == [(200, f"of-{number} 1") for number in range(REQUESTS)]
        assert await settles(lambda: not _folders(short_folder), 10), _folders(short_folder)
        assert processes(mesh) == idle
    assert _folders(short_folder) == []


def _folders(run_folder: Path) -> list[str]:
    """Of the processes that run, one each."""
    return [path.name for path in run_folder.iterdir() if path.is_dir()]
