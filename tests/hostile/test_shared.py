"""Attacks on processes that all customers share, and on how many processes one customer has.

The dispatch Worker and the Outbound Worker have a process each, with everybody's requests in it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.isolate import Isolate
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.hostile.conftest import run_workers
from tests.isolate.workers import Workers

SPIN = "let n = 0; for (let i = 0; i < %d; i++) n += i %% 7;"


def isolate_of(workers: Workers, name: str) -> Isolate:
    """The isolate that takes a Worker's requests."""
    isolates = workers.runner._pool._isolates
    return next(isolate for version, isolate in isolates.items() if version.name == name)


async def test_who_waits_pays_for_nobody(trusted: Workers) -> None:
    """A customer's slow request is not charged what others use meanwhile: its end would be theirs."""
    held = asyncio.Event()

    async def hold(_: Invocation[str], __: Exchange) -> Response:
        await held.wait()
        return Response(204)

    trusted.answer = hold
    source = f"""export default {{ async fetch(request) {{
        if (request.url.endsWith('slow')) return fetch('https://slow.test/');
        {SPIN % 20_000_000}
        return new Response('ok') }} }}"""
    limits = Limits(cpu=0.25)
    slow = asyncio.create_task(
        trusted.fetch(source, "http://acme.test/slow", name="platform", limits=limits)
    )
    await trusted.until(1)
    isolate = isolate_of(trusted, "platform")
    while isolate._process.cpu_seconds() < 1.5:
        assert await trusted.fetch(source, name="platform", limits=limits) == (200, "ok")
    held.set()
    assert (await slow)[0] == 204
    assert not isolate.dead.is_set()


async def test_loop_under_traffic_ends(workers: Workers) -> None:
    """A loop does not hide among the requests that come after it: its process ends, and they have another."""
    source = """export default { fetch(request) {
        if (request.url.endsWith('loop')) for (;;);
        return new Response('ok') } }"""
    limits = Limits(cpu=1)
    loop = "http://acme.test/loop"
    assert await workers.fetch(source, name="busy", limits=limits) == (200, "ok")
    isolate = isolate_of(workers, "busy")
    asking = [asyncio.create_task(workers.fetch(source, loop, name="busy", limits=limits))]
    async with asyncio.timeout(12):
        while not isolate.dead.is_set():
            asking.append(asyncio.create_task(workers.fetch(source, name="busy", limits=limits)))
            await asyncio.wait([asking[0]], timeout=0.02)
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(ends[0], SluiceError)
    assert ends[0].reason is Reason.EXCEEDED_CPU
    assert await workers.fetch(source, name="busy", limits=limits) == (200, "ok")


async def test_shared_process_never_stands_back(trusted: Workers, workers: Workers) -> None:
    """Who keeps the dispatch Worker busy does not make it yield to customers' loops, which do yield."""
    source = "export default { fetch() { for (;;); } }"
    idle = []
    for runner, name in [(trusted, "platform"), (workers, "greedy")]:
        asking = asyncio.create_task(runner.fetch(source, name=name, limits=Limits(cpu=2)))
        pool = runner.runner._pool
        async with asyncio.timeout(12):
            while not (found := [i for i in pool._isolates.values() if i.version.digest == source]):
                await asyncio.wait([asking], timeout=0.02)
            while not found[0].cpu.greedy:
                await asyncio.wait([asking], timeout=0.02)
        idle.append(os.sched_getscheduler(found[0]._process.pid) == os.SCHED_IDLE)
        asking.cancel()
        await asyncio.wait([asking])
    assert idle == [False, True]


HOARDER = """const kept = [];
export default { async fetch(request) {
    if (request.url.endsWith('bomb')) for (;;) kept.push(new Uint8Array(1 << 24).fill(1));
    return fetch('https://never.test/') } }"""


async def test_hoard_of_processes(workers: Workers, caplog: pytest.LogCaptureFixture) -> None:
    """A customer has few processes of a Worker, however often it breaks one that is in use."""
    held = asyncio.Event()

    async def hold(_: Invocation[str], __: Exchange) -> Response:
        await held.wait()
        return Response(204)

    workers.answer = hold
    pool, asking = workers.runner._pool, []
    for number in range(6):
        asking.append(asyncio.create_task(workers.fetch(HOARDER, name="hoarder")))
        await workers.until(number + 1)
        with pytest.raises(SluiceError, match=r"out of memory|allocation failed"):
            await workers.fetch(HOARDER, "http://acme.test/bomb", name="hoarder")
    processes = [
        isolate
        for isolate in (*pool._isolates.values(), *pool._retired)
        if isolate.version.name == "hoarder" and not isolate.dead.is_set()
    ]
    held.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert len(processes) <= 4
    assert "looking after the isolates failed" not in caplog.text


@pytest_asyncio.fixture(loop_scope="session")
async def impatient(run_folder: Path) -> AsyncIterator[Workers]:
    """A runner of the operator's own Workers where no invocation may take more than a second."""
    async for workers in run_workers(run_folder, trusted=True, wall_time=1):
        yield workers


async def test_who_never_answers_replaces_no_shared_process(impatient: Workers) -> None:
    """Requests that wait until the wall time do not end the process in which others are served."""

    async def never(_: Invocation[str], __: Exchange) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    impatient.answer = never
    source = """export default { fetch(request) {
        return request.url.endsWith('slow') ? fetch('https://never.test/') : new Response('ok') } }"""
    slow = asyncio.create_task(impatient.fetch(source, "http://acme.test/slow"))
    await impatient.until(1)
    isolate = isolate_of(impatient, "acme")
    while not slow.done():
        assert await impatient.fetch(source) == (200, "ok")
        await asyncio.wait([slow], timeout=0.2)
    with pytest.raises(SluiceError, match="no response within"):
        await slow
    assert await impatient.fetch(source) == (200, "ok")
    assert isolate_of(impatient, "acme") is isolate
