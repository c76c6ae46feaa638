"""Answers and floods that are meant for the host: each ends in a documented error, and it serves on."""

from __future__ import annotations

import asyncio
import json

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.isolate.workers import Workers, bundle_of

EXCEPTION, LOAD = Reason.WORKER_EXCEPTION, Reason.WORKER_LOAD_FAILED
INVALID, CUT = Reason.INVALID_RESPONSE, Reason.BODY_CUT_SHORT


async def outcome(workers: Workers, body: str, top: str = "") -> Reason | int:
    """Status of the answer of a Worker whose fetch() is `body`, or why there is none."""
    bundle = bundle_of(f"{top}\nexport default {{ async fetch(request, env, ctx) {{ {body} }} }}")
    bundle.compatibility_flags.append("nodejs_compat")
    try:
        return (await workers.fetch(bundle, limits=Limits(cpu=5)))[0]
    except SluiceError as error:
        return error.reason


def with_header(value: str) -> str:
    """A handler that answers with a control header of that value: a JavaScript expression."""
    return f"return new Response('', {{ headers: {{ 'x-sluice-error': {value} }} }})"


# What a Worker that answers with the host's own header gets: it fails itself, and nothing else.
FAKE = [
    ("a load failure", """'{"kind":"load","name":"Error","message":"forged"}'""", LOAD),
    ("an exception", """'{"kind":"exception","name":"Error","message":"forged"}'""", EXCEPTION),
    ("another kind", """'{"kind":"EXCEEDED_CPU","name":"Error","message":"forged"}'""", EXCEPTION),
    ("a kind that is a list", """'{"kind":["load"],"name":"Error","message":"x"}'""", EXCEPTION),
    ("no JSON", "'hello'", EXCEPTION),
    ("a number", "'1'", EXCEPTION),
    ("null", "'null'", EXCEPTION),
    ("a list", "'[]'", EXCEPTION),
    ("nothing in it", "'{}'", EXCEPTION),
    ("no text", """'{"kind":{},"name":[],"message":null}'""", EXCEPTION),
    ("half a surrogate pair", r"""'{"kind":"load","name":"\\ud800","message":"\\udfff"}'""", LOAD),
    ("NUL and line ends", r"""'{"kind":"load","name":"\\u0000","message":"a\\r\\nb"}'""", LOAD),
    ("not a number", """'{"kind":NaN,"name":Infinity,"message":-Infinity}'""", EXCEPTION),
    ("a number of 10,000 digits", """'{"kind":"load","name":' + '9'.repeat(10000) + ',"message":1}'""", EXCEPTION),
    ("100,000 lists", "'['.repeat(100000)", EXCEPTION),
    ("20,000 objects", """'{"a":'.repeat(20000) + '1' + '}'.repeat(20000)""", EXCEPTION),
    ("a long name", """JSON.stringify({ kind: 'load', name: 'n'.repeat(60000), message: 'm'.repeat(60000) })""", LOAD),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"), [row[1:] for row in FAKE], ids=[row[0] for row in FAKE]
)
async def test_fake_error(workers: Workers, value: str, reason: Reason) -> None:
    """The header that says what was thrown, from user code, is what user code threw."""
    assert await outcome(workers, with_header(value)) is reason


ANSWERS: list[tuple[str, str, Reason | int]] = [
    ("two errors", "const h = new Headers(); h.append('x-sluice-error', '{}'); h.append('x-sluice-error', '{}'); return new Response('', { headers: h })", INVALID),
    ("a token", "return new Response('', { headers: { 'x-sluice-token': 'a', 'x-sluice-get': '{}' } })", 200),
    ("257 headers", "const h = new Headers(); for (let i = 0; i < 257; i++) h.append('x-' + i, ''); return new Response('', { headers: h })", INVALID),
    ("20,000 headers", "const h = new Headers(); for (let i = 0; i < 20000; i++) h.append('x-' + i, ''); return new Response('', { headers: h })", INVALID),
    ("30,000 headers", "const h = new Headers(); for (let i = 0; i < 30000; i++) h.append('x-' + i, ''); return new Response('', { headers: h })", 500),
    ("a header of 200 kB", "return new Response('', { headers: { 'x-a': 'a'.repeat(200000) } })", INVALID),
    ("a header of 20 MB", "return new Response('', { headers: { 'x-a': 'a'.repeat(20000000) } })", INVALID),
    ("a long name", "return new Response('', { headers: { ['x' + 'a'.repeat(300)]: '' } })", INVALID),
    ("a split header", r"return new Response('', { headers: { 'x-a': 'a\r\nx-sluice-error: {}' } })", EXCEPTION),
    ("a split status text", r"return new Response('', { statusText: 'OK\r\nx-sluice-error: {}' })", EXCEPTION),
    ("a long status text", "return new Response('', { statusText: 'a'.repeat(200000) })", INVALID),
    ("status 101", "return new Response(null, { status: 101 })", EXCEPTION),
    ("status 100", "return new Response(null, { status: 100 })", EXCEPTION),
    ("status 600", "return new Response(null, { status: 600 })", EXCEPTION),
    ("status 999", "return new Response(null, { status: 999 })", EXCEPTION),
    ("a false length", "return new Response('abc', { headers: { 'content-length': '999' } })", 200),
    ("two lengths", "return new Response('abc', { headers: [['content-length', '1'], ['content-length', '2']] })", 200),
    ("a coding", "return new Response('abc', { headers: { 'transfer-encoding': 'gzip, chunked' } })", 200),
    ("a coding of the body that is none", "return new Response('abc', { headers: { 'content-encoding': 'gzip' }, encodeBody: 'manual' })", 200),
    ("less than it said", "const s = new FixedLengthStream(10); const w = s.writable.getWriter(); w.write(new Uint8Array(3)); w.close().catch(() => {}); return new Response(s.readable)", CUT),
    ("a body that throws", "return new Response(new ReadableStream({ pull() { throw null } }))", CUT),
    ("a stream of no bytes", "return new Response(new ReadableStream({ pull(c) { c.enqueue({}); } }))", CUT),
    ("no response", "return { status: 200, headers: new Headers(), body: 'x' }", EXCEPTION),
    ("a response by its prototype", "return Object.create(Response.prototype)", EXCEPTION),
    ("a proxy", "return new Proxy(new Response('x'), {})", EXCEPTION),
    ("an error response", "return Response.error()", EXCEPTION),
    ("a response twice used", "const r = new Response('x'); await r.text(); return r", EXCEPTION),
    ("a null", "throw null", EXCEPTION),
    ("an error whose message throws", "throw { get message() { throw null }, get stack() { throw null } }", EXCEPTION),
    ("an error whose name throws", "throw Object.defineProperty(new Error('x'), 'name', { get() { throw new Error('y') } })", EXCEPTION),
    ("an error that is a proxy", "throw new Proxy({}, { get() { throw new Error('trap') }, has() { throw new Error('trap') }, getPrototypeOf() { throw null } })", EXCEPTION),
    ("an error with no text", "throw { toString: null, valueOf: null }", EXCEPTION),
    ("an error with a symbol", "throw { message: Symbol('x'), name: Symbol('y'), toString: null }", EXCEPTION),
    ("a long error", "throw new Error('x'.repeat(1000000))", EXCEPTION),
    ("half a surrogate pair", r"throw Object.assign(new Error('\udfff'), { name: '\ud800' })", EXCEPTION),
    ("an error that says load", "throw new Error('Failed to start Worker: forged')", EXCEPTION),
    ("the end of the process", "process.exit(1)", EXCEPTION),
    ("the end of the isolate", "(await import('cloudflare:workers')).abortIsolate('gone')", EXCEPTION),
    ("a promise for ever", "await new Promise(() => {})", EXCEPTION),
    ("a recursion", "const f = () => f() + f(); f()", EXCEPTION),
    ("10,001 timers", "for (let i = 0; i < 20000; i++) setTimeout(() => {}, 1e6)", EXCEPTION),
    ("a wait", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)", EXCEPTION),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS]
)
async def test_odd_answer(workers: Workers, body: str, expected: Reason | int) -> None:
    """An odd answer is an answer, or the Worker's own failure with its documented reason."""
    assert await outcome(workers, body) == expected


TAMPERED = [
    ("instanceof", "Object.defineProperty(Response, Symbol.hasInstance, { value: () => true })", "return {}", EXCEPTION),
    ("JSON.stringify", "JSON.stringify = () => '['.repeat(100000)", "throw 1", EXCEPTION),
    ("JSON.stringify, no text", "JSON.stringify = () => ({})", "throw 1", EXCEPTION),
    ("String", "globalThis.String = () => { throw null }", "throw 1", EXCEPTION),
    ("String.prototype", "String.prototype.slice = String.prototype.replace = () => 'x'.repeat(200000)", "throw 1", INVALID),
    ("Error.prototype", "Object.defineProperty(Error.prototype, 'message', { get() { throw null } })", "throw new Error()", EXCEPTION),
    ("Promise.prototype.then", "Promise.prototype.then = () => { throw null }", "return new Response('x')", 200),
    ("AsyncLocalStorage", "import { AsyncLocalStorage } from 'node:async_hooks'; AsyncLocalStorage.prototype.run = () => { throw null }", "", EXCEPTION),
    ("the entrypoint", "setTimeout; const e = () => import('./__sluice_entry.js')", "(await e()).Entry.prototype.fetch = () => { throw null }; return new Response('x')", 200),
    ("Object.prototype", "Object.prototype.headers = { 'x-sluice-error': 'x' }; Object.prototype.status = 599", "return new Response('x')", 200),
    ("console", "console.error = () => { throw new Error('x') }", "throw 1", EXCEPTION),
]  # fmt: skip


@pytest.mark.parametrize(
    ("top", "body", "expected"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED]
)
async def test_tampering(workers: Workers, top: str, body: str, expected: Reason | int) -> None:
    """A Worker that breaks the shim's tools fails itself, in words that the host can read."""
    assert await outcome(workers, body, top) == expected
    assert await outcome(workers, "return new Response('x')") == 200


async def test_log_line_is_no_log_line(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    """What a Worker prints stays inside its own line of the log, whatever it looks like."""
    forged = '{"event": "subrequest", "worker": "victim", "decision": "allow"}'
    source = f"export default {{ fetch() {{ console.log({json.dumps(forged)}); console.log('a\\rb\\u2028c\\0d'); console.log('end'); return new Response() }} }}"
    await workers.fetch(source, name="forger")
    lines = workers.runner.output.follow(("ns", "forger"), forever=True)
    async with asyncio.timeout(10):
        while (await anext(lines)).text != "end":
            pass
    await lines.aclose()  # type: ignore[attr-defined]
    logged = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert forged in [line["line"] for line in logged]
    assert {(line["event"], line["worker"]) for line in logged} == {("console", "forger")}


@pytest.mark.parametrize(
    "source",
    [
        "await Promise.allSettled(Array.from({ length: 500 }, () => fetch('https://a.test/').then((r) => r.text())))",
        "for (let i = 0; i < 500; i++) await fetch('https://a.test/').then((r) => r.text(), () => {})",
        "const { get } = await import('node:http'); await Promise.all(Array.from({ length: 500 }, () => new Promise((ok) => get('http://a.test/', (r) => r.resume().on('end', ok)).on('error', ok))))",
        "for (let i = 0; i < 500; i++) navigator.sendBeacon('https://a.test/', 'x'); await fetch('https://a.test/').catch(() => {})",
        "await Promise.all(Array.from({ length: 500 }, () => new Promise((ok) => { new WebSocket('wss://a.test/').onclose = ok })))",
        "await Promise.all(Array.from({ length: 500 }, () => new Promise((ok) => { new EventSource('https://a.test/').onerror = ok })))",
    ],
    ids=["at once", "in a row", "by node:http", "by beacons", "by WebSockets", "by EventSources"],
)
async def test_subrequest_flood(workers: Workers, source: str) -> None:
    """However a Worker asks, no more subrequests leave than its limit says."""
    bundle = bundle_of(
        f"export default {{ async fetch() {{ {source}; return new Response('flooded') }} }}"
    )
    bundle.compatibility_flags.append("nodejs_compat")
    assert await workers.fetch(bundle, limits=Limits(subrequests=50)) == (200, "flooded")
    assert len(workers.subrequests) == 50


async def test_endless_redirect(workers: Workers) -> None:
    """A redirect to itself ends after 20 hops, each a subrequest, and says so."""

    async def answer(_: Invocation[str], exchange: Exchange) -> Response:
        return Response(302, [("location", b"/again")])

    workers.answer = answer
    source = "export default { async fetch() { return fetch('https://loop.test/') } }"
    with pytest.raises(SluiceError, match="redirect") as raised:
        await workers.fetch(source)
    assert raised.value.reason is EXCEPTION
    assert len(workers.subrequests) == 21


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/^(a+)+$/.test('a'.repeat(60) + 'b')", Reason.EXCEEDED_CPU),
        ("for (;;) await null", Reason.EXCEEDED_CPU),
        ("const a = []; for (;;) a.push(new Array(1e5).fill(0.5))", Reason.EXCEEDED_MEMORY),
        (
            "let s = 'x'; for (;;) { s += s; s[0]; if (s.length > 4e8) { globalThis.kept = [globalThis.kept, s.split('')]; s = 'x' } }",
            Reason.EXCEEDED_MEMORY,
        ),
        ("const m = new Map(); for (let i = 0; ; i++) m.set(i, {})", Reason.EXCEEDED_MEMORY),
    ],
    ids=["regex", "microtasks", "heap", "text", "map"],
)
async def test_bomb(workers: Workers, source: str, reason: Reason) -> None:
    """A bomb ends its own process, says why, and the Worker's next request is served."""
    bundle = bundle_of(
        f"export default {{ async fetch(r) {{ if (r.url.endsWith('bomb')) {{ {source} }} return new Response('ok') }} }}"
    )
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(
            bundle,
            "http://acme.test/bomb",
            limits=Limits(cpu=0.5 if reason is Reason.EXCEEDED_CPU else 10),
        )
    assert raised.value.reason is reason
    assert await workers.fetch(bundle) == (200, "ok")


async def test_endless_answer_is_let_go(workers: Workers) -> None:
    """A body without end costs no memory, and its maker is told when nobody reads on."""
    source = """let written = 0;
        export default { fetch(request) { if (request.url.endsWith('written')) return new Response(String(written));
          return new Response(new ReadableStream({ pull(c) { written++; c.enqueue(new Uint8Array(65536)) } })) } }"""
    response = await workers.start(source, Request("GET", "http://acme.test/"))
    chunks = aiter(response.body)
    for _ in range(10):
        await anext(chunks)
    await response.body.aclose()
    _, before = await workers.fetch(source, "http://acme.test/written")
    _, after = await workers.fetch(source, "http://acme.test/written")
    assert int(before) == int(after) < 200


MIX = """import { AsyncLocalStorage } from 'node:async_hooks';
const { run } = AsyncLocalStorage.prototype;
const sends = [], als = [];
// Every request runs with the way out of the one before it, where that is let to.
AsyncLocalStorage.prototype.run = function (send, ...rest) {
  als.push(this); sends.push(send);
  return run.call(this, sends.length > 1 ? sends[sends.length - 2] : send, ...rest) };
export default { async fetch(request) {
  const answers = [];
  for (let i = 0; i < 3; i++) {
    try { answers.push(await (await fetch('https://origin.test/')).text()) } catch (error) { answers.push('refused') }
    await scheduler.wait(Math.random() * 5);
  }
  return Response.json(answers) } }"""


async def test_requests_do_not_mix(workers: Workers) -> None:
    """A Worker that swaps its requests' ways out gets refusals, never another request's params."""

    async def one(number: int) -> None:
        bundle = mixed
        _, text = await workers.fetch(bundle, detail=f"c{number}")
        assert set(json.loads(text)) <= {"refused", f"for c{number}"}

    mixed = bundle_of(MIX)
    mixed.compatibility_flags.append("nodejs_compat")
    await asyncio.gather(*(one(number) for number in range(32)))


async def test_hostile_origin_says_nothing(workers: Workers) -> None:
    """Control headers of an origin never arrive, and what looks like one is a header like any."""
    source = """export default { async fetch() {
        const r = await fetch('https://origin.test/');
        return Response.json([r.status, [...r.headers.keys()]]) } }"""

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        return Response(200, [("x_sluice_error", b"{}")], Whole(b"x"))

    workers.answer = answer
    assert json.loads((await workers.fetch(source))[1]) == [
        200,
        ["content-length", "x_sluice_error"],
    ]
