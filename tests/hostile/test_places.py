"""Floods of invocations and of new Workers: shed at once, and their neighbours do not notice."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from aiohttp import web

from sluice.http1.server import Exchange
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation
from sluice.wire.errors import Reason
from sluice.wire.messages import Response
from sluice.wire.places import Bounds
from tests.e2e.mesh import running
from tests.e2e.origin import Origin
from tests.hostile.dispatchers import limiting_dispatcher
from tests.isolate.workers import MakeWorkers, reason_of

OK = "export default { fetch() { return new Response('ok') } }"
FETCH = "export default { async fetch() { return fetch('https://origin.test/') } }"


async def test_flood_of_one_customer(make_workers: MakeWorkers) -> None:
    """One customer's requests fill its own share and its part of the queue; another's are served."""
    shares = Bounds(total=8, each=3, queue=8, queue_each=2, wait=30)
    workers, free = make_workers(Capacity(shares)), asyncio.Event()

    async def hold(invocation: Invocation[str], _: Exchange) -> Response:
        await free.wait()
        return Response(204)

    workers.answer = hold
    flood = [asyncio.create_task(workers.fetch(FETCH, name="flood")) for _ in range(100)]
    await workers.until(3)
    async with asyncio.timeout(5):
        refused = [task for task in flood if not (await asyncio.wait([task], timeout=0))[1]]
        while len(refused) < 95:
            await asyncio.wait(
                [task for task in flood if task not in refused], return_when="FIRST_COMPLETED"
            )
            refused = [task for task in flood if task.done()]
    assert {await reason_of(task) for task in refused} == {Reason.LOAD_SHED}
    for _ in range(10):
        assert await workers.fetch(OK, name="other") == (200, "ok")
    assert len(workers.subrequests) == 3
    free.set()
    served = await asyncio.gather(*(task for task in flood if task not in refused))
    assert [status for status, _ in served] == [204] * 5
    assert (workers.runner._places.taken, workers.runner._places.queued) == (0, 0)


async def test_flood_of_cold_starts(make_workers: MakeWorkers) -> None:
    """Of fifty new Workers at once some start, some wait, the rest are refused at once; a warm one is served."""
    workers = make_workers(starts=Bounds(total=2, queue=6, wait=20))
    await workers.fetch(OK, name="warm")
    flood = [
        asyncio.create_task(reason_of(workers.fetch(OK, name=f"cold-{number}")))
        for number in range(50)
    ]
    refused, _ = await asyncio.wait(flood, timeout=0.05, return_when="FIRST_COMPLETED")
    for _ in range(10):
        assert await workers.fetch(OK, name="warm") == (200, "ok")
    ends = await asyncio.gather(*flood)
    assert (ends.count(200), ends.count(Reason.LOAD_SHED)) == (8, 42)
    assert {task.result() for task in refused} == {Reason.LOAD_SHED}
    assert await workers.fetch(OK, name="cold-49") == (200, "ok")


async def test_load_is_shed_across_the_mesh(run_folder: Path, origin: Origin) -> None:
    """Where one Worker has all its places, its dispatch Worker is told at once, and others are served."""
    go = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.Response(text="late")

    origin.answer = hold
    folder = run_folder / "shed"
    folder.mkdir()
    settings = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "SLUICE_MAX_INVOCATIONS_PER_WORKER": "2",
        "SLUICE_MAX_WAITING": "0",
    }
    async with running(folder, **settings) as mesh, asyncio.timeout(20):
        busy = f"export default {{ fetch() {{ return fetch('{origin.url}') }} }}"
        await mesh.deploy("busy", busy, "production")
        await mesh.deploy("other", OK, "production")
        await mesh.deploy("dispatch", limiting_dispatcher())
        flood = [asyncio.create_task(mesh.get("busy.test")) for _ in range(20)]
        for told in itertools.islice(asyncio.as_completed(flood), 18):
            assert await told == (500, "Error: The service is at capacity. Please try again.")
        assert await mesh.get("other.test") == (200, "ok")
        go.set()
        assert (await asyncio.gather(*flood)).count((200, "late")) == 2
