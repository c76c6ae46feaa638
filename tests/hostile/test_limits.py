"""Attacks on what Workers share: connections, logs, time after the response, memory, CPU time.

Each ends in a documented error for the one who made it, and its neighbours do not notice.
"""

from __future__ import annotations

import asyncio
import json
import zlib

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation, Limits
from sluice.isolate.isolate import Isolate
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.bodies import Endless
from tests.e2e.mesh import Mesh
from tests.hostile.dispatchers import limiting_dispatcher
from tests.isolate.workers import MakeWorkers, Workers, bundle_of

OK = "export default { fetch() { return new Response('ok') } }"


def isolate_of(workers: Workers, name: str = "acme") -> Isolate:
    """The isolate that takes a Worker's requests."""
    isolates = workers.runner._pool._isolates
    return next(isolate for version, isolate in isolates.items() if version.name == name)


# Connections


async def test_seventh_connection_waits(make_workers: MakeWorkers) -> None:
    """Six subrequests wait for their answers; the seventh leaves when one of them has its own."""
    workers, free = make_workers(), asyncio.Queue[None]()

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


async def test_unread_bodies_hold_no_connection(make_workers: MakeWorkers) -> None:
    """Answers that nobody reads do not keep the next subrequest waiting, as in the original."""
    workers = make_workers()
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


async def test_wait_for_a_connection_ends(make_workers: MakeWorkers) -> None:
    """A subrequest that waits too long throws, and says of what there was too much."""
    workers = make_workers(Capacity(connections=2, connection_wait=0.2))

    async def never(_: Invocation[str], __: Exchange) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    workers.answer = never
    source = """export default { async fetch() {
        fetch('https://origin.test/').catch(() => {}); fetch('https://origin.test/').catch(() => {});
        try { await fetch('https://origin.test/') } catch (e) { return new Response(e.name + ': ' + e.message) } } }"""
    message = "Error: Too many open connections by single Worker invocation."
    assert await workers.fetch(source) == (200, message)


async def test_hoard_of_answers_is_bounded(make_workers: MakeWorkers) -> None:
    """The answer too many that is left unread throws at once, and another invocation has its own."""
    workers = make_workers(Capacity(open_subrequests=10))
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


async def test_much_work_after_responses(make_workers: MakeWorkers) -> None:
    """An isolate that uses much CPU time after its responses is replaced, and with it such work."""
    workers = make_workers(background_cpu=0.2)
    source = """let count = 0;
        export default { fetch(r, env, ctx) {
            ctx.waitUntil((async () => { for (;;) { await scheduler.wait(5); for (let i = 0; i < 1e7; i++); } })());
            return new Response(String(++count)) } }"""
    assert await workers.fetch(source) == (200, "1")
    await asyncio.wait_for(isolate_of(workers).dead.wait(), 20)
    assert await workers.fetch(source) == (200, "1")


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
    "big numbers": ("for (let n = 2n; ; ) n *= n", Reason.EXCEEDED_CPU),
    "a sort": ("for (;;) Array.from({ length: 1e6 }, Math.random).sort()", Reason.EXCEEDED_CPU),
    "clones": ("for (;;) kept.push(structuredClone(new Uint8Array(1 << 24)))", Reason.EXCEEDED_MEMORY),
    "a body without end": ("kept.push(await new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1 << 20)) } })).arrayBuffer())", Reason.EXCEEDED_MEMORY),
    "blobs": ("for (;;) kept.push(new Blob([new Uint8Array(1 << 24)]))", Reason.EXCEEDED_MEMORY),
    "encoded text": ("for (;;) kept.push(new TextEncoder().encode('x'.repeat(1 << 24)))", Reason.EXCEEDED_MEMORY),
    "buffers that grow": ("for (;;) { const b = new ArrayBuffer(0, { maxByteLength: 1 << 26 }); kept.push(b); b.resize(1 << 26); new Uint8Array(b).fill(1) }", Reason.EXCEEDED_MEMORY),
    "shared buffers": ("for (;;) kept.push(new Uint8Array(new SharedArrayBuffer(1 << 24)).fill(1))", Reason.EXCEEDED_MEMORY),
    "responses": ("for (;;) kept.push(new Response(new Uint8Array(1 << 24)))", Reason.EXCEEDED_MEMORY),
    "slices": ("const b = new Uint8Array(1 << 24); for (;;) kept.push(b.slice())", Reason.EXCEEDED_MEMORY),
    "headers": ("for (;;) { const h = new Headers(); for (let i = 0; i < 1000; i++) h.set('x-' + i, 'x'.repeat(1000)); kept.push(h) }", Reason.EXCEEDED_MEMORY),
    "timers": ("for (;;) { const big = new Uint8Array(1 << 20); setTimeout(() => big, 1e6) }", Reason.EXCEEDED_MEMORY),
    "pairs of sockets": ("for (;;) { const [a, b] = Object.values(new WebSocketPair()); a.accept(); kept.push(a, b); a.send('x'.repeat(1e6)) }", Reason.EXCEEDED_MEMORY),
    "tables of wasm": ("for (;;) kept.push(new WebAssembly.Table({ initial: 1e6, element: 'anyfunc' }))", Reason.EXCEEDED_MEMORY),
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


# (module (func (export "f") (loop (br 0))))
LOOP = bytes.fromhex("0061736d01000000 010401600000 03020100 07050101660000 0a0901070003400c000b0b")


async def test_loop_in_wasm(workers: Workers) -> None:
    """A loop that never comes back to JavaScript ends like one that does."""
    bundle = bundle_of("""import loop from './loop.wasm';
        export default { fetch(r) {
          if (r.url.endsWith('bomb')) new WebAssembly.Instance(loop).exports.f();
          return new Response('ok') } }""")
    bundle.modules.add(name="loop.wasm", kind=worker_pb2.Module.KIND_WASM, content=LOOP)
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(bundle, "http://acme.test/bomb", name="wasm", limits=Limits(cpu=0.3))
    assert raised.value.reason is Reason.EXCEEDED_CPU
    assert await workers.fetch(bundle, name="wasm") == (200, "ok")


async def test_bomb_of_gzip(workers: Workers) -> None:
    """Half a gigabyte in a few compressed bytes of its own ends the Worker that unpacks it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    bundle = bundle_of("""import bomb from './bomb.gz';
        const unpack = () => new Response(new Response(bomb).body.pipeThrough(new DecompressionStream('gzip')));
        export default { async fetch(r) {
          if (r.url.endsWith('bomb')) return new Response((await unpack().arrayBuffer()).byteLength);
          return new Response('ok') } }""")
    bundle.modules.add(name="bomb.gz", kind=worker_pb2.Module.KIND_DATA, content=packed)
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(bundle, "http://acme.test/bomb", name="gzip")
    assert raised.value.reason is Reason.EXCEEDED_MEMORY
    assert await workers.fetch(bundle, name="gzip") == (200, "ok")


# What the dispatch Worker sees

SEEN = {
    "heap": ("const a = []; for (;;) a.push(new Array(1e5).fill(0.5))", "Error: Worker exceeded memory limit."),
    "buffers": ("const a = []; for (;;) a.push(new ArrayBuffer(1 << 24))", "Error: Worker exceeded memory limit."),
    "loop": ("for (;;);", "Error: Worker exceeded CPU time limit."),
    "subrequests": ("for (;;) await fetch('https://a.invalid/').catch((e) => { if (e.message.startsWith('Too many')) throw e })", "Error: Too many subrequests by single Worker invocation."),
}  # fmt: skip


@pytest.mark.parametrize("limit", SEEN)
async def test_dispatch_worker_sees(mesh: Mesh, limit: str) -> None:
    """Across the mesh a broken limit is thrown with the documented message, and the next is served."""
    body, message = SEEN[limit]
    await mesh.deploy("dispatch", limiting_dispatcher())
    source = f"export default {{ async fetch(r) {{ if (r.url.endsWith('bomb')) {{ {body} }} return new Response('ok') }} }}"
    await mesh.deploy("limited", source, "production")
    assert await mesh.get("limited.test", "/bomb") == (500, message)
    assert await mesh.get("limited.test") == (200, "ok")
