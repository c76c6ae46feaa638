"""Attacks on what Workers share: connections, bytes, places, logs, time after the response, memory.

Each ends in a documented error for the one who made it, and its neighbours do not notice.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from sluice.http1.server import Exchange
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.isolate import Isolate
from sluice.isolate.pool import PoolConfig
from sluice.isolate.program import user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.machine import best
from sluice.isolate.workerd import find_workerd
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from sluice.wire.places import Bounds
from tests.bodies import read_all
from tests.e2e.mesh import Mesh, dispatch_bundle, running
from tests.e2e.origin import Origin
from tests.isolate.workers import Workers

OK = "export default { fetch() { return new Response('ok') } }"
FETCH = "export default { async fetch() { return fetch('https://origin.test/') } }"

Make = Callable[..., Workers]


class Endless:
    """A body that has no end, and knows how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return b"x", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield b"x" * (1 << 16)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.closed.set()


class Stalled(Endless):
    """A body that stops after its first byte."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


@pytest_asyncio.fixture(loop_scope="session")
async def make(run_folder: Path) -> AsyncIterator[Make]:
    """Makes runners of user Workers with a capacity of their own."""
    executable = find_workerd({})
    runtime = Runtime(executable, run_folder, best(executable, run_folder))
    made: list[Workers] = []

    def make(capacity: Capacity | None = None, *, wall_time: float = 20, **pool: object) -> Workers:
        workers = Workers()
        config = RunnerConfig(
            runtime,
            PoolConfig(**pool),  # type: ignore[arg-type]
            wall_time,
            capacity=capacity or Capacity(),
        )
        workers.runner = Runner(config, workers.bundle, user_program, workers.on_subrequest)
        workers.runner.begin()
        made.append(workers)
        return workers

    yield make
    for workers in made:
        await workers.runner.aclose()


async def reason_of(answer: Awaitable[tuple[int, str]]) -> Reason | int:
    """Status of an answer, or why there is none."""
    try:
        return (await answer)[0]
    except SluiceError as error:
        return error.reason


def isolate_of(workers: Workers, name: str = "acme") -> Isolate:
    """The isolate that takes a Worker's requests."""
    isolates = workers.runner._pool._isolates
    return next(isolate for version, isolate in isolates.items() if version.name == name)


# Connections


async def test_seventh_connection_waits(make: Make) -> None:
    """Six subrequests wait for their answers; the seventh leaves when one of them has its own."""
    workers, free = make(), asyncio.Queue[None]()

    async def hold(_: Invocation[str], __: Exchange) -> Response:
        await free.get()
        return Response(204)

    workers.answer = hold
    source = """export default { async fetch() {
        await Promise.all(Array.from({ length: 8 }, (_, n) => fetch('https://origin.test/' + n)));
        return new Response('all') } }"""
    asking = asyncio.create_task(workers.fetch(source))
    await workers.until(6)
    connecting = workers.runner._egress._connecting
    async with asyncio.timeout(10):
        while connecting.queued < 2:
            await asyncio.wait([asking], timeout=0.01)
    assert len(workers.subrequests) == 6
    free.put_nowait(None)
    await workers.until(7)
    assert (connecting.taken, connecting.queued) == (6, 1)
    for _ in range(7):
        free.put_nowait(None)
    assert await asking == (200, "all")
    assert (connecting.taken, connecting.queued) == (0, 0)


async def test_unread_bodies_hold_no_connection(make: Make) -> None:
    """Answers that nobody reads do not keep the next subrequest waiting, as in the original."""
    workers = make()
    bodies: list[Endless] = []

    async def endless(_: Invocation[str], exchange: Exchange) -> Response:
        if exchange.request.url.endswith("/last"):
            return Response(200, body=Whole(b"last"))
        bodies.append(Endless())
        return Response(200, body=bodies[-1])

    workers.answer = endless
    source = """const hoard = [];
    export default { async fetch() {
        for (let i = 0; i < 20; i++) hoard.push(await fetch('https://origin.test/'));
        return fetch('https://origin.test/last') } }"""
    assert await workers.fetch(source) == (200, "last")
    assert len(bodies) == 20


async def test_wait_for_a_connection_ends(make: Make) -> None:
    """A subrequest that waits too long throws, and says of what there was too much."""
    workers = make(Capacity(connections=2, connection_wait=0.2))

    async def never(_: Invocation[str], __: Exchange) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    workers.answer = never
    source = """export default { async fetch() {
        fetch('https://origin.test/').catch(() => {}); fetch('https://origin.test/').catch(() => {});
        try { await fetch('https://origin.test/') } catch (e) { return new Response(e.name + ': ' + e.message) } } }"""
    message = "Error: Too many open connections by single Worker invocation."
    assert await workers.fetch(source) == (200, message)


async def test_hoard_of_answers_is_bounded(make: Make) -> None:
    """The answer too many that is left unread throws at once, and another invocation has its own."""
    workers = make(Capacity(open_subrequests=10))
    bodies: list[Endless] = []

    async def endless(_: Invocation[str], exchange: Exchange) -> Response:
        if exchange.request.url.endswith("/other"):
            return Response(200, body=Whole(b"served"))
        bodies.append(Endless())
        return Response(200, body=bodies[-1])

    workers.answer = endless
    source = """let go; const end = new Promise((ok) => go = ok);
    export default { async fetch(request) {
        if (request.url.endsWith('other')) return fetch('https://origin.test/other');
        const hoard = [];
        try { for (;;) hoard.push(await fetch('https://origin.test/')) }
        catch (e) {
            const count = hoard.length;
            for (const one of hoard) await one.body.cancel();
            return new Response(count + ' ' + e.message) } } }"""
    message = "10 Too many open connections by single Worker invocation."
    assert await workers.fetch(source) == (200, message)
    assert await workers.fetch(source, "http://acme.test/other") == (200, "served")
    async with asyncio.timeout(10):
        await asyncio.gather(*(body.closed.wait() for body in bodies))


# Bytes


async def test_request_body_flood(make: Make) -> None:
    """A request's body without end is refused at the limit, and so is one that says its length."""
    workers = make(Capacity(request_body=1 << 20))
    source = "export default { async fetch(r) { return new Response((await r.text()).length) } }"
    flood = Endless()
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, request=Request("POST", "http://acme.test/", body=flood))
    assert raised.value.reason is Reason.BODY_TOO_LARGE
    assert flood.taken < 3 << 20
    said = Request("POST", "http://acme.test/", body=Endless(), content_length=(1 << 20) + 1)
    with pytest.raises(SluiceError, match="larger than 1048576 bytes"):
        await workers.fetch(source, request=said)
    whole = Request("POST", "http://acme.test/", body=Whole(b"x" * (1 << 20)))
    assert await workers.fetch(source, request=whole) == (200, str(1 << 20))


async def test_subrequest_body_flood(make: Make) -> None:
    """A Worker that sends without end is told that it was too much, and the rest goes nowhere."""
    workers = make(Capacity(request_body=1 << 20))
    got = 0

    async def read(_: Invocation[str], exchange: Exchange) -> Response:
        nonlocal got
        got += len(exchange.request.body.take()[0])
        async for chunk in exchange.request.body:
            got += len(chunk)
        return Response(204)

    workers.answer = read
    source = """export default { async fetch() {
        const body = new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } });
        try { await fetch('https://origin.test/', { method: 'POST', body }); return new Response('sent') }
        catch (e) { return new Response(e.message) } } }"""
    assert await workers.fetch(source) == (200, "The request's body is larger than 1048576 bytes.")
    assert 0 < got <= 1 << 20


async def test_response_body_floods(make: Make) -> None:
    """Where there is a limit on responses, an endless one is cut short, of a Worker or an origin."""
    workers = make(Capacity(response_body=1 << 20))
    source = """export default { fetch(r) { return r.url.endsWith('own')
        ? new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(65536)) } }))
        : fetch('https://origin.test/') } }"""
    endless = Endless()

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        return Response(200, body=endless)

    workers.answer = answer
    for url, reason in [("own", Reason.BODY_TOO_LARGE), ("origin", Reason.BODY_CUT_SHORT)]:
        response = await workers.start(source, Request("GET", f"http://acme.test/{url}"))
        with pytest.raises(SluiceError) as raised:
            await read_all(response.body, 1 << 30)
        assert raised.value.reason is reason
        await response.aclose()
    assert endless.taken < 4 << 20
    await endless.closed.wait()


async def test_stalled_request_body(make: Make) -> None:
    """A client that stops amid its body has until the wall time; then its place is free."""
    workers = make(wall_time=0.5)
    source = "export default { async fetch(r) { return new Response(await r.text()) } }"
    stalled = [Request("POST", "http://acme.test/", body=Stalled()) for _ in range(5)]
    ends = await asyncio.gather(*(reason_of(workers.fetch(source, request=one)) for one in stalled))
    assert set(ends) == {Reason.EXCEEDED_WALL_TIME}
    assert workers.runner._places.taken == 0
    assert await workers.fetch(OK, name="other") == (200, "ok")


# Logs


FLOODS = {
    "many lines": "for (let i = 0; i < 20000; i++) console.log('x'.repeat(100) + i)",
    "empty lines": "console.log('\\n'.repeat(2_000_000))",
    "one giant line": "for (let i = 0; i < 6; i++) console.log('y'.repeat(3_000_000))",
    "after the response": "ctx.waitUntil((async () => { for (let i = 0; i < 20000; i++) { console.log('x'.repeat(100) + i); if (i % 100 == 0) await scheduler.wait(1) } })())",
    "errors": "for (let i = 0; i < 5000; i++) console.error(new Error('e'.repeat(500)))",
}  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
async def test_console_flood(
    workers: Workers, flood: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a flood a bounded part is logged and kept, one line says what was dropped, others are served."""
    name = f"flood-{flood.replace(' ', '-')}"
    source = f"export default {{ async fetch(request, env, ctx) {{ {FLOODS[flood]}; return new Response('done') }} }}"
    await workers.fetch(OK, name="other")
    flooding = asyncio.create_task(workers.fetch(source, name=name))
    async with asyncio.timeout(15):
        for _ in range(20):
            assert await workers.fetch(OK, name="other") == (200, "ok")
    assert await flooding == (200, "done")
    lines = workers.runner.output.follow(("ns", name), forever=True)
    async with asyncio.timeout(10):
        while "were dropped: it prints too much" not in (line := (await anext(lines)).text):
            assert len(line) <= 8192
    await lines.aclose()  # type: ignore[attr-defined]
    logged = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert any(line["event"] == "console_dropped" and line["bytes"] > 100_000 for line in logged)
    assert sum(len(line.get("line", "")) for line in logged) < 600_000
    assert len(logged) < 5000


# Time after the response


async def test_loop_after_the_response(workers: Workers) -> None:
    """A loop in waitUntil uses up its own invocation's CPU time, and the next request is served."""
    source = """export default { fetch(r, env, ctx) {
        if (r.url.endsWith('loop')) ctx.waitUntil((async () => { await scheduler.wait(10); for (;;); })());
        return new Response('ok') } }"""
    bomb = "http://acme.test/loop"
    assert await workers.fetch(source, bomb, name="late", limits=Limits(cpu=0.3)) == (200, "ok")
    isolate = isolate_of(workers, "late")
    await asyncio.wait_for(isolate.dead.wait(), 10)
    assert await workers.fetch(source, name="late") == (200, "ok")


async def test_timers_after_the_time_is_over(workers: Workers) -> None:
    """Work that goes on when the time after the response is over ends with its process."""
    source = """export default { fetch(r, env, ctx) {
        ctx.waitUntil(new Promise(() => {}));
        setInterval(() => { for (const end = performance.now() + 1e9, s = {n: 0}; s.n++ < 2e7;); }, 1);
        return new Response('ok') } }"""
    assert await workers.fetch(source, name="timers") == (200, "ok")
    isolate = isolate_of(workers, "timers")
    isolate.invocations.forget_ended(float("inf"))
    await asyncio.wait_for(isolate.dead.wait(), 20)
    assert await workers.fetch(source, name="timers") == (200, "ok")


async def test_much_work_after_responses(make: Make) -> None:
    """An isolate that uses much CPU time after its responses is replaced, and with it such work."""
    workers = make(background_cpu=0.2)
    source = """let count = 0;
        export default { fetch(r, env, ctx) {
            ctx.waitUntil((async () => { for (;;) { await scheduler.wait(5); for (let i = 0; i < 1e7; i++); } })());
            return new Response(String(++count)) } }"""
    assert await workers.fetch(source) == (200, "1")
    await asyncio.wait_for(isolate_of(workers).dead.wait(), 20)
    assert await workers.fetch(source) == (200, "1")


# Places


async def test_flood_of_one_customer(make: Make) -> None:
    """One customer's requests fill its own share and its part of the queue; another's are served."""
    shares = Bounds(total=8, each=3, queue=8, queue_each=2, wait=30)
    workers, free = make(Capacity(shares)), asyncio.Event()

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


async def test_flood_of_cold_starts(make: Make) -> None:
    """Of fifty new Workers at once some start, some wait, the rest are refused at once; a warm one is served."""
    workers = make(starts=Bounds(total=2, queue=6, wait=20))
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


# Memory and CPU time


BOMBS = {
    "heap": ("for (;;) kept.push(new Array(1e5).fill(0.5))", Reason.EXCEEDED_MEMORY),
    "buffers": ("for (;;) kept.push(new ArrayBuffer(1 << 24))", Reason.EXCEEDED_MEMORY),
    "filled buffers": ("for (;;) kept.push(new Uint8Array(1 << 24).fill(1))", Reason.EXCEEDED_MEMORY),
    "small buffers": ("for (;;) kept.push(new ArrayBuffer(1000))", Reason.EXCEEDED_MEMORY),
    "wasm": ("for (;;) kept.push(new WebAssembly.Memory({ initial: 256, maximum: 256 }))", Reason.EXCEEDED_MEMORY),
    "wasm that grows": ("const m = new WebAssembly.Memory({ initial: 1 }); for (;;) { m.grow(256); new Uint8Array(m.buffer).fill(1) }", Reason.EXCEEDED_MEMORY),
    "text": ("for (;;) kept.push('x'.repeat(1e6) + kept.length)", Reason.EXCEEDED_MEMORY),
    "a loop": ("for (;;);", Reason.EXCEEDED_CPU),
    "a pattern": ("/^(a+)+$/.test('a'.repeat(60) + 'b')", Reason.EXCEEDED_CPU),
    "microtasks": ("for (;;) await null", Reason.EXCEEDED_CPU),
    "wasm that loops": ("Atomics.add(new Int32Array(4), 0, 1); for (let n = 0n; ; n++);", Reason.EXCEEDED_CPU),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
async def test_bomb(workers: Workers, bomb: str) -> None:
    """A bomb ends with its documented error, and the very next request has a process that has it not."""
    body, reason = BOMBS[bomb]
    source = f"""const kept = [];
    export default {{ async fetch(r) {{ if (r.url.endsWith('bomb')) {{ {body} }} return new Response(String(kept.length)) }} }}"""
    limit = Limits(cpu=0.3 if reason is Reason.EXCEEDED_CPU else 20)
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, "http://acme.test/bomb", name="bomb", limits=limit)
    assert raised.value.reason is reason
    word = "memory" if reason is Reason.EXCEEDED_MEMORY else "CPU time"
    assert raised.value.as_thrown() == ("Error", f"Worker exceeded {word} limit.")
    assert await workers.fetch(source, name="bomb") == (200, "0")


# What the dispatch Worker sees

SEEN = {
    "heap": ("const a = []; for (;;) a.push(new Array(1e5).fill(0.5))", "Error: Worker exceeded memory limit."),
    "buffers": ("const a = []; for (;;) a.push(new ArrayBuffer(1 << 24))", "Error: Worker exceeded memory limit."),
    "loop": ("for (;;);", "Error: Worker exceeded CPU time limit."),
    "subrequests": ("for (;;) await fetch('https://a.invalid/').catch((e) => { if (e.message.startsWith('Too many')) throw e })", "Error: Too many subrequests by single Worker invocation."),
}  # fmt: skip

WITH_LIMITS = """export default { async fetch(request, env) {
  const name = new URL(request.url).host.split('.')[0];
  try { return await env.dispatcher.get(name, {}, { limits: { cpuMs: 1000, subRequests: 5 } }).fetch(request) }
  catch (e) { return new Response(e.name + ': ' + e.message, { status: 500 }) } } }"""


NO_OUTBOUND = {"outbound_service": "", "outbound_parameters": []}


@pytest.mark.parametrize("limit", SEEN)
async def test_dispatch_worker_sees(mesh: Mesh, limit: str) -> None:
    """Across the mesh a broken limit is thrown with the documented message, and the next is served."""
    body, message = SEEN[limit]
    await mesh.deploy("dispatch", dispatch_bundle(WITH_LIMITS, **NO_OUTBOUND))
    source = f"export default {{ async fetch(r) {{ if (r.url.endsWith('bomb')) {{ {body} }} return new Response('ok') }} }}"
    await mesh.deploy("limited", source, "production")
    assert await mesh.get("limited.test", "/bomb") == (500, message)
    assert await mesh.get("limited.test") == (200, "ok")


async def test_large_upload_is_refused(mesh: Mesh) -> None:
    """A request that says more than 100 MiB is refused before any of it is read."""
    host, port = mesh.http.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: any.test\r\nContent-Length: 104857601\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 413 " in await reader.readline()
    writer.close()


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
        await mesh.deploy("dispatch", dispatch_bundle(WITH_LIMITS, **NO_OUTBOUND))
        flood = [asyncio.create_task(mesh.get("busy.test")) for _ in range(20)]
        for told in itertools.islice(asyncio.as_completed(flood), 18):
            assert await told == (500, "Error: The service is at capacity. Please try again.")
        assert await mesh.get("other.test") == (200, "ok")
        go.set()
        assert (await asyncio.gather(*flood)).count((200, "late")) == 2
