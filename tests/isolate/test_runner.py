from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from sluice.http1.server import Exchange
from sluice.isolate import control
from sluice.isolate.invocation import Invocation, Limits
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.isolate.workers import MakeWorkers, Workers, bundle_of

HELLO = "export default { fetch() { return new Response('hello') } }"
FETCH = "export default { async fetch(r) { return fetch('https://origin.test/' + new URL(r.url).search) } }"


async def test_worker_answers(workers: Workers) -> None:
    """A Worker's response comes back as it made it."""
    assert await workers.fetch(HELLO) == (200, "hello")


async def test_https_url_survives(workers: Workers) -> None:
    """The Worker sees the URL as the client wrote it, scheme and port included."""
    source = "export default { fetch(r) { return new Response(r.url) } }"
    url = "https://acme.example.com:8443/a%2Fb?x=%20"
    assert await workers.fetch(source, url) == (200, url)


async def test_subrequest_carries_its_invocation(workers: Workers) -> None:
    """64 requests at once to one isolate: each subrequest is of the invocation that made it."""
    source = """export default { async fetch(r) {
        await scheduler.wait(Math.random() * 20);
        return fetch('https://origin.test/') } }"""

    async def one(number: int) -> None:
        assert await workers.fetch(source, detail=str(number)) == (200, f"for {number}")

    await asyncio.gather(*(one(number) for number in range(64)))
    assert len(workers.subrequests) == 64


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("throw new TypeError('no é')", "TypeError", "no é"),  # a built-in class
        ("throw Object.assign(new Error('x'), {name: 'Mine'})", "Mine", "x"),  # a name of its own
        ("throw 'text'", "Error", "text"),  # not an Error at all
        ("await fetch('https://origin.test/refused')", "Error", "Network connection lost."),  # ours
    ],
)
async def test_exception_keeps_name_and_message(
    workers: Workers, source: str, name: str, message: str
) -> None:
    """What a Worker throws arrives with its name and message."""

    async def refuse(_: Invocation[str], __: Exchange) -> Response:
        raise SluiceError(Reason.CONNECTION_REFUSED, "origin.test refused the connection")

    workers.answer = refuse
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(f"export default {{ async fetch() {{ {source} }} }}")
    assert raised.value.reason is Reason.WORKER_EXCEPTION
    assert raised.value.metadata == {"name": name, "message": message}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("export default {", "SyntaxError"),
        ("import x from './missing.js'; export default {}", "missing.js"),
        ("throw new Error('at the top'); export default {}", "at the top"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
async def test_load_failure_names_the_cause(
    make_workers: MakeWorkers, source: str, says: str, trusted: bool
) -> None:
    """Code that cannot be loaded is a load failure that says why, for every role."""
    with pytest.raises(SluiceError, match=says) as raised:
        await make_workers(trusted=trusted).fetch(source)
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED


async def test_subrequest_limit(workers: Workers) -> None:
    """The subrequest after the last one allowed throws, redirect hops counted."""

    async def redirect(_: Invocation[str], __: Exchange) -> Response:
        return Response(302, [("location", b"https://origin.test/next")])

    workers.answer = redirect
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(FETCH, limits=Limits(subrequests=3))
    assert raised.value.metadata["message"] == "Too many subrequests by single Worker invocation."
    assert len(workers.subrequests) == 3


async def test_runaway_loop_is_killed(workers: Workers) -> None:
    """A Worker that loops for ever ends with EXCEEDED_CPU, and its next request is served."""
    source = (
        "export default { fetch(r) { while (r.url.endsWith('loop')); return new Response('ok') } }"
    )
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, "http://acme.test/loop", limits=Limits(cpu=0.2))
    assert raised.value.reason is Reason.EXCEEDED_CPU
    assert await workers.fetch(source) == (200, "ok")


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
async def test_a_greedy_worker_stands_back(make_workers: MakeWorkers) -> None:
    """A process that is busy for long runs only where nobody wants the core; then it is replaced.

    So do the next ones of the Worker, until its probation is over.
    """
    workers = make_workers(wall_time=40, probation=1.5)
    seen: list[tuple[int, int]] = []

    async def look(_: Invocation[str], exchange: Exchange) -> Response:
        assert exchange.peer.pid is not None
        seen.append((exchange.peer.pid, os.sched_getscheduler(exchange.peer.pid)))
        return Response(200, body=Whole(str(seen[-1][1]).encode()))

    workers.answer = look
    source = f"""export default {{ async fetch(request) {{
      const look = async () => await (await fetch("http://origin.test/")).text();
      while (await look() !== "{os.SCHED_IDLE}" && request.url.endsWith("busy"))
        for (let n = 0; n < 2e8; n++);
      return new Response("ok") }} }}"""
    assert await workers.fetch(source, "http://acme.test/busy") == (200, "ok")
    assert len({pid for pid, _ in seen}) == 1
    assert {policy for _, policy in seen} == {os.sched_getscheduler(0), os.SCHED_IDLE}
    async with asyncio.timeout(20):
        while seen[-1][1] == os.SCHED_IDLE:  # the pool looks every second
            await asyncio.sleep(0.1)
            await workers.fetch(source)
    processes = list(dict.fromkeys(pid for pid, _ in seen))
    policies = {pid: [policy for one, policy in seen if one == pid] for pid in processes}
    assert len(processes) == 3
    assert set(policies[processes[1]]) == {os.SCHED_IDLE}
    assert set(policies[processes[2]]) == {os.sched_getscheduler(0)}


async def test_wall_time(make_workers: MakeWorkers) -> None:
    """A Worker that never answers ends with EXCEEDED_WALL_TIME."""
    workers = make_workers(wall_time=0.3)

    async def never(_: Invocation[str], __: Exchange) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    workers.answer = never
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(FETCH)
    assert raised.value.reason is Reason.EXCEEDED_WALL_TIME


async def test_killed_isolate_is_replaced(workers: Workers) -> None:
    """After kill -9 of an isolate the request in flight fails clearly, and the next one is served."""
    killed = asyncio.Event()

    async def kill_first(_: Invocation[str], exchange: Exchange) -> Response:
        if not killed.is_set():
            killed.set()
            assert exchange.peer.pid is not None
            os.kill(exchange.peer.pid, signal.SIGKILL)
            await asyncio.Event().wait()
        return Response(200, body=Whole(b"alive"))

    workers.answer = kill_first
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(FETCH)
    assert raised.value.reason is Reason.ISOLATE_DIED
    assert await workers.fetch(FETCH) == (200, "alive")


async def test_wait_until_outlives_the_response(workers: Workers) -> None:
    """Work handed to waitUntil makes its subrequest after the response, as the same invocation."""
    arrived = asyncio.Event()

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        arrived.set()
        return Response(204)

    workers.answer = answer
    source = """export default { fetch(r, env, ctx) {
        ctx.waitUntil((async () => { await scheduler.wait(50); await fetch('https://log.test/') })());
        return new Response('done') } }"""
    assert await workers.fetch(source, detail="mine") == (200, "done")
    assert not arrived.is_set()
    await asyncio.wait_for(arrived.wait(), 5)
    assert workers.subrequests[0][0] == "mine"


async def test_props(workers: Workers) -> None:
    """What the dispatch Worker passes as props is ctx.props, in every form of a handler."""
    for source in (
        "export default { fetch(r, env, ctx) { return Response.json(ctx.props) } }",
        """import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint { fetch() { return Response.json(this.ctx.props) } }""",
    ):
        said = {control.CALL: control.encode({"props": {"plan": "é"}})}
        assert json.loads((await workers.fetch(source, said=said))[1]) == {"plan": "é"}


async def test_service_worker_syntax(make_workers: MakeWorkers) -> None:
    """A service-worker script runs, its bindings global, in every role."""
    source = "addEventListener('fetch', (e) => e.respondWith(fetch('https://origin.test/' + PLAN)))"
    bundle = bundle_of(source, worker_pb2.Module.KIND_SERVICE_WORKER)
    bundle.vars.update({"PLAN": "gold"})
    for trusted in (False, True):
        workers = make_workers(trusted=trusted)
        assert await workers.fetch(bundle, detail="sw") == (200, "for sw")
        assert workers.subrequests[0][1].url == "https://origin.test/gold"


async def test_params_are_env(make_workers: MakeWorkers) -> None:
    """Params are in env for one request, by the argument and by import, and bindings stay."""
    workers = make_workers(trusted=True)
    bundle = bundle_of("""import { env as imported } from 'cloudflare:workers';
        export default { async fetch(r, env) { await scheduler.wait(5);
            return Response.json([env.customer, imported.customer, env.OWN]) } }""")
    bundle.vars.update({"OWN": 1})

    async def one(customer: str) -> None:
        said = {control.ENV: control.encode({"customer": customer})}
        _, text = await workers.fetch(bundle, said=said)
        assert json.loads(text) == [customer, customer, 1]

    await asyncio.gather(*(one(f"c{number}") for number in range(20)))
    assert json.loads((await workers.fetch(bundle))[1]) == [None, None, 1]


async def test_user_code_cannot_see_or_set_control_headers(workers: Workers) -> None:
    """No control header reaches user code, and one that user code sets is overwritten."""
    source = """export default { async fetch(r) {
        await fetch('https://origin.test/', { headers: {'x-sluice-token': 'forged', 'x-sluice-get': '{}', 'x-a': 'b'} });
        return Response.json([...r.headers.keys()]) } }"""
    _, text = await workers.fetch(source, detail="own")
    assert not [name for name in json.loads(text) if name.startswith("x-sluice")]
    assert workers.subrequests[0][0] == "own"
    assert [name for name, _ in workers.subrequests[0][1].headers] == ["x-a"]


async def test_stub_of_another_request_is_refused(workers: Workers) -> None:
    """A request that kept another's way out cannot use it: workerd refuses."""
    source = """let stolen;
        export default { async fetch(r) {
            const { AsyncLocalStorage } = await import('node:async_hooks');
            if (!stolen) { stolen = AsyncLocalStorage.snapshot(); return new Response('kept') }
            try { return await stolen(() => fetch('https://origin.test/')) }
            catch (e) { return new Response('refused: ' + e.message) } } }"""
    bundle = bundle_of(source)
    bundle.compatibility_flags.append("nodejs_compat")
    assert await workers.fetch(bundle, detail="first") == (200, "kept")
    status, text = await workers.fetch(bundle, detail="second")
    assert (status, text[:9]) == (200, "refused: ")
    assert workers.subrequests == []


async def test_fetch_outside_of_a_request_is_refused(make_workers: MakeWorkers) -> None:
    """Without a request there is no way out: in a user Worker workerd says so."""
    source = """let later; const wait = new Promise((r) => later = r);
        export default { async fetch(r, env, ctx) {
            try { await ServiceWorkerGlobalScope.prototype.fetch.call(globalThis, 'https://origin.test/') }
            catch (e) { return new Response(e.message) } } }"""
    _, text = await make_workers().fetch(source)
    assert text.startswith("This worker is not permitted to access the internet")


async def test_streams_as_it_comes(workers: Workers) -> None:
    """A response's chunks arrive one by one, while the Worker still writes."""
    source = """export default { fetch(r) {
        const { readable, writable } = new TransformStream(); const w = writable.getWriter();
        (async () => { await w.write(new TextEncoder().encode('one'));
            await fetch('https://origin.test/go'); await w.write(new TextEncoder().encode('two')); await w.close() })();
        return new Response(readable) } }"""
    go = asyncio.Event()

    async def wait(_: Invocation[str], __: Exchange) -> Response:
        await go.wait()
        return Response(204)

    workers.answer = wait
    response = await workers.start(source, Request("GET", "http://acme.test/"))
    first, _ = response.body.take()
    chunks = aiter(response.body)
    if not first:
        first = await anext(chunks)
    assert first == b"one"
    go.set()
    assert await anext(chunks) == b"two"
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)
    await response.body.aclose()


async def test_stream_that_breaks_is_cut_short(workers: Workers) -> None:
    """A Worker whose stream errors cuts its response short, never ends it cleanly."""
    source = """export default { fetch(r) {
        const { readable, writable } = new TransformStream(); const w = writable.getWriter();
        (async () => { await w.write(new TextEncoder().encode('one')); await scheduler.wait(20); await w.abort(new Error('broken')) })();
        return new Response(readable) } }"""
    response = await workers.start(source, Request("GET", "http://acme.test/"))
    with pytest.raises(SluiceError) as raised:
        await read_all(response.body, 1 << 20)
    assert raised.value.reason is Reason.BODY_CUT_SHORT
    await response.body.aclose()


async def test_response_that_breaks_before_it_begins(workers: Workers) -> None:
    """A Worker that drops its connection while its isolate lives on is told from a dead isolate."""
    source = """export default { fetch(r) {
        const { readable, writable } = new TransformStream(); writable.abort(new Error('broken'));
        return new Response(readable) } }"""
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source)
    assert raised.value.reason is Reason.BODY_CUT_SHORT


async def test_console_is_kept(workers: Workers) -> None:
    """What a Worker prints is kept, by Worker."""
    await workers.fetch(
        "export default { fetch() { console.log('printed'); return new Response() } }"
    )
    lines = workers.runner.output.follow(("ns", "acme"), forever=True)
    assert (await asyncio.wait_for(anext(lines), 5)).text == "printed"
    await lines.aclose()  # type: ignore[attr-defined]
