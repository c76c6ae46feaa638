"""Every other way out that a runtime might have: each is refused, or is a subrequest like any."""

from __future__ import annotations

import json

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.pb import worker_pb2
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.isolate.workers import Workers, bundle_of

NOT_PERMITTED = "This worker is not permitted to access the internet"
NO_MODULE = "Error: No such module"
NO_FILE = "Error: no such file or directory"

RUNNER = """import * as cloudflare from 'cloudflare:workers';
const bare = { fetch: ServiceWorkerGlobalScope.prototype.fetch };
const text = async (response) => (await response).text();
const told = (thing, good, bad) => new Promise((resolve) => {
  thing.on(good, () => resolve('done')); thing.on(bad, (error) => resolve(`${error.name}: ${error.message}`)) });
const attacks = { %s };
export default { async fetch(request, env, ctx) {
  const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
  try { return new Response(String(await attacks[name](request, env, ctx))) }
  catch (error) { return new Response(`${error.name}: ${error.message}`) } } }"""

REFUSED = [
    ("the native fetch", "text(bare.fetch.call(globalThis, 'https://out.test/'))", NOT_PERMITTED),
    ("the native fetch, ours deleted", "(async () => { delete globalThis.fetch; try { return await text(globalThis.fetch('https://out.test/')) } finally { globalThis.fetch = bare.saved } })()", NOT_PERMITTED),
    ("the shim's native fetch", "(async () => text((await import('./__sluice_shim.js')).nativeFetch.call(globalThis, 'https://out.test/')))()", NOT_PERMITTED),
    ("connect()", "(async () => (await import('cloudflare:sockets')).connect('192.0.2.1:80').opened)()", NOT_PERMITTED),
    ("connect() with TLS", "(async () => (await import('cloudflare:sockets')).connect('192.0.2.1:443', { secureTransport: 'on' }).opened)()", NOT_PERMITTED),
    ("connect() to the host", "(async () => (await import('cloudflare:sockets')).connect('unix:egress.sock').opened)()", "TypeError: Specified address could not be parsed"),
    ("an HTTP client on a socket", "(async () => { const s = await import('cloudflare:sockets'); return (await s.internalNewHttpClient(s.connect('192.0.2.1:80'))).fetch('http://out.test/') })()", NOT_PERMITTED),
    ("node:net", "(async () => told((await import('node:net')).connect(80, '192.0.2.1'), 'connect', 'error'))()", NOT_PERMITTED),
    ("node:net to a unix socket", "(async () => told((await import('node:net')).connect({ path: 'egress.sock' }), 'connect', 'error'))()", "TypeError: The argument 'path' is not supported"),
    ("node:tls", "(async () => told((await import('node:tls')).connect(443, '192.0.2.1'), 'secureConnect', 'error'))()", NOT_PERMITTED),
    ("node:http2", "(async () => told((await import('node:http2')).connect('http://out.test'), 'connect', 'error'))()", "Error: The http2.connect method is not implemented"),
    ("node:dgram", "import('node:dgram')", NO_MODULE),
    ("node:child_process", "import('node:child_process')", NO_MODULE),
    ("node:worker_threads", "import('node:worker_threads')", NO_MODULE),
    ("node:cluster", "(async () => (await import('node:cluster')).default.fork())()", "Error: "),
    ("node:repl", "import('node:repl')", NO_MODULE),
    ("node:inspector", "import('node:inspector')", NO_MODULE),
    ("node:sqlite", "import('node:sqlite')", NO_MODULE),
    ("node:v8", "import('node:v8')", NO_MODULE),
    ("node:vm", "(async () => (await import('node:vm')).runInThisContext('1'))()", "Error: The runInThisContext method is not implemented"),
    ("node:module", "(async () => (await import('node:module')).createRequire('/')('/etc/passwd'))()", "Error: Invalid specifier path"),
    ("process.binding", "process.binding('fs')", "Error: The process.binding method is not implemented"),
    ("process.dlopen", "process.dlopen({}, 'libc.so.6')", "Error: The process.dlopen method is not implemented"),
    ("a file of the host", "(async () => (await import('node:fs')).readFileSync('/etc/passwd'))()", NO_FILE),
    ("a file by ..", "(async () => (await import('node:fs')).readFileSync('/bundle/../../../etc/passwd'))()", NO_FILE),
    ("a file by a link", "(async () => { const fs = await import('node:fs'); fs.symlinkSync('/etc/passwd', '/tmp/link'); return fs.readFileSync('/tmp/link') })()", NO_FILE),
    ("/proc", "(async () => (await import('node:fs')).readFileSync('/proc/self/environ'))()", NO_FILE),
    ("the worker's folder", "(async () => (await import('node:fs')).readFileSync('config.capnp'))()", NO_FILE),
    ("import https:", "import('https://out.test/x.js')", NO_MODULE),
    ("import http:", "import('http://169.254.169.254/')", NO_MODULE),
    ("import data:", "import('data:text/javascript,export default 1')", NO_MODULE),
    ("import file:", "import('file:///etc/passwd')", NO_MODULE),
    ("import a path", "import('/etc/passwd')", NO_MODULE),
    ("import .. ", "import('../../m0')", NO_MODULE),
    ("import the gate", "import('gate.js')", NO_MODULE),
    ("import the runtime's", "import('cloudflare-internal:sockets')", NO_MODULE),
    ("import node's own", "import('node-internal:internal_net')", NO_MODULE),
    ("import workerd:unsafe", "import('workerd:unsafe')", NO_MODULE),
    ("eval", "eval('1')", "EvalError: Code generation from strings disallowed"),
    ("Function", "(async () => {}).constructor('return 1')()", "EvalError: Code generation from strings disallowed"),
    ("wasm from bytes", "WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))", "CompileError: WebAssembly.compile(): Wasm code generation disallowed"),
    ("the cache", "caches.default.put('http://out.test/', new Response('x'))", "Error: No Cache was configured"),
    ("a cache of its own", "(async () => (await caches.open('x')).match('http://out.test/'))()", "Error: No Cache was configured"),
    ("a file: URL", "fetch('file:///etc/passwd')", "TypeError: Fetch API cannot load"),
    ("a blob: URL", "fetch('blob:https://out.test/x')", "TypeError: Fetch API cannot load"),
    ("an ftp: URL", "fetch('ftp://out.test/')", "TypeError: Fetch API cannot load"),
    ("a relative URL", "fetch('/etc/passwd')", "TypeError: Invalid URL"),
    ("a data: URL", "text(fetch('data:text/plain,inside'))", "inside"),
    ("a unix: URL", "fetch('unix:egress.sock')", "TypeError: Fetch API cannot load"),
    ("a tunnel", "fetch('https://out.test/', { method: 'CONNECT' })", "TypeError: Invalid HTTP method string: CONNECT"),
    ("a loopback", "cloudflare.exports.Entry.fetch('https://own.test/the native fetch')", "[object Response]"),
    ("a loopback, no way out", "text(cloudflare.exports.Entry.fetch('https://own.test/plain'))", "TypeError: Cannot read properties of undefined (reading 'fetch')"),
    ("a loopback, one of its own", "text(cloudflare.exports.Entry({ props: { egress: {} } }).fetch('https://own.test/plain'))", "TypeError: egress.fetch is not a function"),
    ("a loopback, one of its own that calls out", "text(cloudflare.exports.Entry({ props: { egress: cloudflare.exports.Entry } }).fetch('https://own.test/plain'))", "DataCloneError: Could not serialize object of type"),
    ("a timer that outlives its request", "(setTimeout(() => fetch('https://out.test/').catch(() => {}), 1), 'set')", "set"),
    ("HTMLRewriter", "text(new HTMLRewriter().on('esi', { element() {} }).transform(new Response('<img src=https://out.test/><esi:include src=https://out.test/>')))", "<img"),
    ("a report", "new Response('', { headers: { 'report-to': 'https://out.test/', link: '<https://out.test/>; rel=preload' } }).status", "200"),
    ("the machine's name", "(async () => { const os = await import('node:os'); return JSON.stringify([os.hostname(), os.networkInterfaces(), os.cpus().length]) })()", '["localhost",{},0]'),
    ("the process", "JSON.stringify([process.pid, process.cwd(), process.execPath, process.argv, process.env])", '[1,"/bundle","",["workerd"],{}]'),
    ("the files there are", "(async () => (await import('node:fs')).readdirSync('/').join())()", "bundle,tmp,dev"),
    ("the devices there are", "(async () => (await import('node:fs')).readdirSync('/dev').join())()", "null,zero,full,random"),
]  # fmt: skip

ATTRIBUTED = [
    ("plain", "text(fetch('https://out.test/'))", ["https://out.test/"]),
    ("a saved reference", "text(bare.saved('https://out.test/'))", ["https://out.test/"]),
    ("node:http", "(async () => told((await import('node:http')).get('http://out.test/'), 'response', 'error'))()", ["http://out.test/"]),
    ("node:https", "(async () => told((await import('node:https')).get('https://out.test/'), 'response', 'error'))()", ["https://out.test/"]),
    ("node:dns", "(async () => (await import('node:dns')).promises.resolve4('out.test').catch(() => 'none'))()", ["https://cloudflare-dns.com/dns-query?name=out.test&type=A"]),
    ("new WebSocket", "new Promise((ok) => { new WebSocket('wss://out.test/').onerror = ok })", ["https://out.test/"]),
    ("an upgrade", "fetch('https://out.test/', { headers: { upgrade: 'websocket' } })", ["https://out.test/"]),
    ("new EventSource", "new Promise((ok) => { new EventSource('https://out.test/').onerror = ok })", ["https://out.test/"]),
    ("a beacon", "navigator.sendBeacon('https://out.test/', 'x')", ["https://out.test/"]),
    ("waitUntil", "(ctx.waitUntil(scheduler.wait(10).then(() => fetch('https://out.test/'))), 'later')", ["https://out.test/"]),
    ("another origin's Request", "text(fetch(new Request('https://own.test/', { headers: { host: 'x' } }), { cf: { resolveOverride: 'out.test' } }))", ["https://own.test/"]),
    ("userinfo", "text(fetch('https://out.test:443@in.test/'))", ["https://in.test/"]),
    ("a number for a host", "text(fetch('http://2130706433/'))", ["http://127.0.0.1/"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def attacker() -> worker_pb2.Bundle:
    """A Worker that runs an attack by its path."""
    listed = ",\n".join(
        f"{json.dumps(name)}: (request, env, ctx) => {source}"
        for name, source, _ in [*REFUSED, *ATTRIBUTED]
    )
    bundle = bundle_of(
        "const saved = globalThis.fetch;"
        + RUNNER.replace("const bare = {", "const bare = { saved,") % listed
    )
    bundle.compatibility_flags.append("nodejs_compat")
    return bundle


async def attack(workers: Workers, bundle: worker_pb2.Bundle, name: str) -> str:
    """What comes of an attack."""
    _, text = await workers.fetch(
        bundle, f"http://acme.test/{name}".replace(" ", "%20"), detail="own"
    )
    return text


@pytest.mark.parametrize(("name", "says"), [(row[0], row[2]) for row in REFUSED])
async def test_no_way_out(
    workers: Workers, attacker: worker_pb2.Bundle, name: str, says: str
) -> None:
    """It is refused in words, and nothing is on the way out."""
    text = await attack(workers, attacker, name)
    assert says in text, text
    assert workers.subrequests == []


@pytest.mark.parametrize(("name", "urls"), [(row[0], row[2]) for row in ATTRIBUTED])
async def test_subrequest_like_any(
    workers: Workers, attacker: worker_pb2.Bundle, name: str, urls: list[str]
) -> None:
    """It works, and is a subrequest of the request that made it."""
    await attack(workers, attacker, name)
    await workers.until(len(urls))  # some go on after the response
    asked = [(detail, request.url) for detail, request in workers.subrequests]
    assert asked == [("own", url) for url in urls]


@pytest.mark.parametrize(
    "flag",
    ["experimental", "unsafe_module", "connect_pass_through", "service_binding_extra_handlers"],
)
async def test_flag_of_the_host(workers: Workers, flag: str) -> None:
    """A flag that would open more of the runtime fails the load: the gate's own do not reach in."""
    bundle = bundle_of("export default { fetch() { return new Response('loaded') } }")
    bundle.compatibility_flags.append(flag)
    with pytest.raises(SluiceError, match=flag) as raised:
        await workers.fetch(bundle)
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED


@pytest.mark.parametrize(
    "name", ["__sluice_entry.js", "__sluice_shim.js", "__sluice_rpc.js", "gate.js"]
)
async def test_module_in_place_of_ours(workers: Workers, name: str) -> None:
    """A module with the name of one of ours, were it ever let in, opens no way out."""
    source = """import { WorkerEntrypoint } from 'cloudflare:workers';
        export class Entry extends WorkerEntrypoint { async fetch(request) {
          try { await fetch('https://out.test/'); return new Response('out') }
          catch (error) { return new Response(error.message) } } }
        export const entrypoint = () => Entry, answer = () => {};"""
    bundle = bundle_of(
        "export default { async fetch() { return new Response(String(await ServiceWorkerGlobalScope.prototype.fetch.call(globalThis, 'https://out.test/').catch((e) => e.message))) } }"
    )
    bundle.modules.add(name=name, kind=worker_pb2.Module.KIND_ES_MODULE, content=source.encode())
    _, text = await workers.fetch(bundle)
    assert text.startswith(NOT_PERMITTED)
    assert workers.subrequests == []


async def test_hops_of_a_redirect(workers: Workers) -> None:
    """Each is a subrequest of the request that made the first."""

    async def answer(_: Invocation[str], exchange: Exchange) -> Response:
        is_first = exchange.request.url.endswith("/first")
        return Response(302, [("location", b"https://next.test/")]) if is_first else Response(200)

    workers.answer = answer
    source = "export default { fetch: () => fetch('https://out.test/first') }"
    assert await workers.fetch(source, detail="own") == (200, "")
    asked = [(detail, request.url) for detail, request in workers.subrequests]
    assert asked == [("own", "https://out.test/first"), ("own", "https://next.test/")]


async def test_no_way_out_while_loading(workers: Workers) -> None:
    """Top-level code belongs to no request, and has no way out."""
    source = "await fetch('https://out.test/'); export default { fetch: () => new Response() }"
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source)
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED
    assert workers.subrequests == []


HEADERS = {
    "257 headers": ("Array.from({ length: 257 }, (_, n) => ['x-' + n, ''])", "TypeError: A request may have at most 256 headers."),
    "30,000 headers": ("Array.from({ length: 30000 }, (_, n) => ['x-' + n, ''])", "TypeError: A request may have at most 256 headers."),
    "a header of 200 kB": ("[['x-a', 'a'.repeat(200000)]]", "431"),
    "a header of 20 MB": ("[['x-a', 'a'.repeat(2e7)]]", "431"),
    "a name of 300 bytes": ("[['x'.repeat(300), '']]", "431"),
}  # fmt: skip


@pytest.mark.parametrize("flood", HEADERS)
async def test_flood_of_headers(workers: Workers, flood: str) -> None:
    """A subrequest with too many or too long headers goes nowhere, and its process serves on."""
    headers, says = HEADERS[flood]
    source = f"""let served = 0;
        export default {{ async fetch(request) {{
          if (!request.url.endsWith('flood')) return new Response(String(served));
          served++;
          try {{ return new Response(String((await fetch('https://out.test/', {{ headers: {headers} }})).status)) }}
          catch (error) {{ return new Response(`${{error.name}}: ${{error.message}}`) }} }} }}"""
    assert await workers.fetch(source, "http://acme.test/flood") == (200, says)
    assert workers.subrequests == []
    assert await workers.fetch(source) == (200, "1")
