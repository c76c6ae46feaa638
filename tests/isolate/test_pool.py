from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.isolate.workers import MakeWorkers

PID = "export default { async fetch(r) { return fetch('https://pid.test/') } } // "


async def pid(_: Invocation[str], exchange: Exchange) -> Response:
    """Answer with the isolate's process id."""
    return Response(200, [("x", exchange.peer.address.encode())])


async def test_isolate_is_kept_warm(make_workers: MakeWorkers) -> None:
    """Requests to one version share a process; concurrent first ones start just one."""
    workers = make_workers()
    pids: list[int | None] = []

    async def note(_: Invocation[str], exchange: Exchange) -> Response:
        pids.append(exchange.peer.pid)
        return Response(204)

    workers.answer = note
    await asyncio.gather(*(workers.fetch(PID) for _ in range(10)))
    await workers.fetch(PID)
    assert len(set(pids)) == 1


async def test_full_pool_evicts_the_least_recently_used(make_workers: MakeWorkers) -> None:
    """A full pool makes room by ending the isolate that was idle longest."""
    workers = make_workers(max_isolates=2)
    pids: dict[str, set[int | None]] = {}

    async def note(invocation: Invocation[str], exchange: Exchange) -> Response:
        pids.setdefault(invocation.detail, set()).add(exchange.peer.pid)
        return Response(204)

    workers.answer = note
    for name in ("a", "b", "a", "c", "a", "b"):
        await workers.fetch(PID + name, detail=name)
    assert {name: len(found) for name, found in pids.items()} == {"a": 1, "b": 2, "c": 1}


async def test_full_of_busy_isolates_sheds_load(make_workers: MakeWorkers) -> None:
    """Where every isolate is busy, one more Worker is refused at once with LOAD_SHED."""
    workers = make_workers(max_isolates=1)
    busy, free = asyncio.Event(), asyncio.Event()

    async def hold(_: Invocation[str], __: Exchange) -> Response:
        busy.set()
        await free.wait()
        return Response(204)

    workers.answer = hold
    first = asyncio.create_task(workers.fetch(PID + "a"))
    await busy.wait()
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(PID + "b")
    assert raised.value.reason is Reason.LOAD_SHED
    free.set()
    assert (await first)[0] == 204


async def test_idle_isolate_is_evicted(make_workers: MakeWorkers) -> None:
    """An isolate that nobody uses is ended, and the next request starts another."""
    workers = make_workers(idle=0.1)
    pids: list[int | None] = []

    async def note(_: Invocation[str], exchange: Exchange) -> Response:
        pids.append(exchange.peer.pid)
        return Response(204)

    workers.answer = note
    await workers.fetch(PID)
    pool = workers.runner._pool
    (isolate,) = pool._isolates.values()
    await asyncio.wait_for(isolate.dead.wait(), 5)
    await workers.fetch(PID)
    assert len(set(pids)) == 2


async def test_large_isolate_is_recycled_without_failing_a_request(
    make_workers: MakeWorkers,
) -> None:
    """An isolate over the memory watermark is replaced; what it serves meanwhile finishes."""
    workers = make_workers(recycle_bytes=1)
    hold = asyncio.Event()
    busy = asyncio.Event()

    async def wait(_: Invocation[str], __: Exchange) -> Response:
        busy.set()
        await hold.wait()
        return Response(204)

    workers.answer = wait
    first = asyncio.create_task(workers.fetch(PID))
    await busy.wait()
    pool = workers.runner._pool
    (isolate,) = pool._isolates.values()
    async with asyncio.timeout(10):
        while pool._isolates:
            await asyncio.wait([asyncio.create_task(isolate.dead.wait())], timeout=0.1)
    assert not isolate.dead.is_set()
    hold.set()
    assert (await first)[0] == 204
    await asyncio.wait_for(isolate.dead.wait(), 10)


async def test_same_code_of_two_customers_is_two_isolates(make_workers: MakeWorkers) -> None:
    """Two Workers whose bundles are the same share no isolate, and so no memory."""
    workers = make_workers()
    source = """let count = 0;
        export default { fetch() { return new Response(String(++count)) } }"""
    assert await workers.fetch(source, name="one") == (200, "1")
    assert await workers.fetch(source, name="two") == (200, "1")
    assert await workers.fetch(source, name="one") == (200, "2")


async def test_no_collector_is_needed(make_workers: MakeWorkers) -> None:
    """What is left of an isolate that broke a limit is gone with its process."""
    workers = make_workers()
    source = """export default { fetch(r) {
        if (r.url.endsWith('loop')) for (;;); return fetch('https://origin.test/') } }"""
    gc.collect()
    gc.disable()
    try:
        assert (await workers.fetch(source))[0] == 200
        gone = asyncio.Event()
        for isolate in workers.runner._pool._isolates.values():
            weakref.finalize(isolate, gone.set)
        del isolate
        with pytest.raises(SluiceError, match="CPU"):
            await workers.fetch(source, "http://acme.test/loop", limits=Limits(cpu=0.1))
        await asyncio.wait_for(gone.wait(), 10)
    finally:
        gc.enable()
