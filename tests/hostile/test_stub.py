"""Attacks on the way out itself: the stub that a request was given, held in hand by user code.

The shim hides it behind fetch(). Here user code has it, by a trap on the prototype of all stubs,
and tries what it is good for: to look inside, to say what only the gate says, and to be another
request.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.workers import Workers, bundle_of

OTHER_REQUEST = "Error: Cannot perform I/O on behalf of a different request."
NOT_BOUND_HERE = "Error: Cannot call this AsyncLocalStorage bound function outside of the request"
NO_METHOD = "TypeError: The RPC receiver does not implement"

HOLDER = """import * as cloudflare from 'cloudflare:workers';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
const { run } = AsyncLocalStorage.prototype;
let send, stub, patched;
const kept = {};
AsyncLocalStorage.prototype.run = function (store, ...rest) { send = store; return run.call(this, store, ...rest) };
async function hold() {
  if (!patched) {
    patched = true;
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(cloudflare.exports.Entry));
    const native = prototype.fetch;
    prototype.fetch = function (...args) { stub = this; return native.apply(this, args) };
  }
  await (await fetch('https://origin.test/hold')).text();
}
const ask = async (channel, ...args) => (await channel.fetch('https://origin.test/asked', ...args)).text();
const attacks = { %s };
export default { async fetch(request, env, ctx) {
  const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
  try { return new Response(String(await attacks[name](request, env, ctx))) }
  catch (error) { return new Response(`${error.name}: ${error.message}`) } } }"""


def holder(attacks: dict[str, str]) -> worker_pb2.Bundle:
    """A Worker that runs an attack by its path."""
    listed = ",\n".join(
        f"{json.dumps(name)}: async (request, env, ctx) => {source}"
        for name, source in attacks.items()
    )
    bundle = bundle_of(HOLDER % listed)
    bundle.compatibility_flags.extend(["nodejs_compat", "allow_irrevocable_stub_storage"])
    return bundle


# What a request does with its own stub, and what comes of it.
OWN = [
    ("a property", "await stub.props", NO_METHOD),
    ("a property of a property", "await stub.ctx.props.token", NO_METHOD),
    ("the env of the gate", "await stub.env", NO_METHOD),
    ("a call", "await stub.anything(1)", NO_METHOD),
    ("its class", "await stub.constructor('return 1')", "TypeError: Illegal constructor"),
    ("its keys", "JSON.stringify([Reflect.ownKeys(stub), stub])", "[[],{}]"),
    ("its source", "Function.prototype.toString.call(stub.fetch)", "function (...args) { stub = this;"),
    ("a clone", "structuredClone(stub)", "DataCloneError"),
    ("a TCP connection", "(await stub.connect('192.0.2.1:80').opened).remoteAddress", "Error: proxy request failed, cannot connect"),
    ("a wrapper", "new cloudflare.RpcStub(stub)", "TypeError: RpcStubs can only wrap plain objects"),
    ("a stored form", "await stub[cloudflare.restore]", "undefined"),
    ("a scheduled event", "await stub.scheduled({})", NO_METHOD),
    ("a queue", "await stub.queue('q', [])", NO_METHOD),
    ("an alarm", "await stub.alarm()", "TypeError: 'alarm' is a reserved method"),
    ("a trace", "await stub.trace([])", NO_METHOD),
    ("a prototype", "await stub.__proto__.fetch.call({}, 'https://origin.test/')", "TypeError: Illegal invocation"),
]  # fmt: skip


@pytest.fixture(scope="module")
def own() -> worker_pb2.Bundle:
    """The Worker that holds its own stub."""
    return holder({name: f"{{ await hold(); return {source} }}" for name, source, _ in OWN})


@pytest.mark.parametrize(("name", "says"), [(row[0], row[2]) for row in OWN])
async def test_stub_tells_nothing(
    workers: Workers, own: worker_pb2.Bundle, name: str, says: str
) -> None:
    """The stub has nothing to look at, no method but fetch(), and no connection."""
    _, text = await workers.fetch(own, f"http://acme.test/{name}".replace(" ", "%20"))
    assert text.startswith(says), text
    assert {request.url for _, request in workers.subrequests} == {"https://origin.test/hold"}


FORGED = {
    "a token": "{ 'x-sluice-token': 'a'.repeat(48) }",
    "two tokens": "[['x-sluice-token', 'a'.repeat(48)], ['X-Sluice-Token', 'b'.repeat(48)]]",
    "a choice": """{ 'x-sluice-get': '{"binding":"dispatcher","name":"victim","props":{},"outbound":{},"limits":{}}' }""",
    "params": """{ 'x-sluice-env': '{"customer_name":"victim"}' }""",
    "a call": """{ 'x-sluice-call': '{"props":{"plan":"gold"},"method":"secret"}' }""",
    "an error": """{ 'x-sluice-error': '{"kind":"load","name":"Error","message":"forged"}' }""",
    "no hops": "{ 'x-sluice-hops': '0' }",
    "a name to drop": "{ connection: 'x-sluice-token, x-a', 'x-a': 'b' }",
    "another host": "{ host: 'victim.test' }",
    "framing": "{ 'content-length': '9', 'transfer-encoding': 'chunked', te: 'trailers', upgrade: 'h2c' }",
}


@pytest.fixture(scope="module")
def forger() -> worker_pb2.Bundle:
    """The Worker that says by its stub what only the gate says."""
    return holder(
        {
            name: f"{{ await hold(); return ask(stub, {{ headers: new Headers({headers}) }}) }}"
            for name, headers in FORGED.items()
        }
    )


@pytest.mark.parametrize("name", FORGED)
async def test_forged_header(workers: Workers, forger: worker_pb2.Bundle, name: str) -> None:
    """Whatever user code sets, the subrequest is its own, and says nothing of the kind further on."""
    assert await workers.fetch(
        forger, f"http://acme.test/{name}".replace(" ", "%20"), detail="own"
    ) == (200, "for own")
    detail, request = workers.subrequests[-1]
    assert (detail, request.url) == ("own", "https://origin.test/asked")
    assert {name for name, _ in request.headers} <= {"x-a"}


# What one request keeps, and another uses.
REUSED = [
    ("the stub", "stub", "ask(kept.it)", OTHER_REQUEST),
    ("the shim's closure", "send", "kept.it(new Request('https://origin.test/'))", OTHER_REQUEST),
    ("a snapshot", "AsyncLocalStorage.snapshot()", "kept.it(() => fetch('https://origin.test/'))", NOT_BOUND_HERE),
    ("a bound function", "AsyncResource.bind(() => fetch('https://origin.test/'))", "kept.it()", NOT_BOUND_HERE),
    ("a resource", "new AsyncResource('mine')", "kept.it.runInAsyncScope(() => fetch('https://origin.test/'))", NOT_BOUND_HERE),
    ("its own entrypoint, which holds the stub", "cloudflare.exports.Entry({ props: { egress: stub } })", "ask(kept.it)", OTHER_REQUEST),
    ("the stub, for its own entrypoint", "stub", "ask(cloudflare.exports.Entry({ props: { egress: kept.it } }))", OTHER_REQUEST),
    ("a response", "await fetch('https://origin.test/')", "kept.it.text()", OTHER_REQUEST),
    ("a proxy", "new Proxy(stub, {})", "ask(kept.it)", "TypeError: Illegal invocation"),
]  # fmt: skip


@pytest.fixture(scope="module")
def keeper() -> worker_pb2.Bundle:
    """The Worker whose requests use what others kept. One that keeps may be live until told."""
    attacks = {}
    for name, keep, use, _ in REUSED:
        attacks[f"keep {name}"] = f"{{ await hold(); kept.it = {keep}; return 'kept' }}"
        attacks[f"live {name}"] = (
            f"{{ await hold(); kept.it = {keep}; await (await fetch('https://origin.test/stay')).text(); return 'kept' }}"
        )
        attacks[f"use {name}"] = f"{{ return {use} }}"
    return holder(attacks)


@pytest.mark.parametrize(("name", "says"), [(row[0], row[3]) for row in REUSED])
@pytest.mark.parametrize("live", [False, True], ids=["over", "live"])
async def test_reuse(
    workers: Workers, keeper: worker_pb2.Bundle, name: str, says: str, live: bool
) -> None:
    """What one request was given is of no use in another, be the first over or still being served."""
    stays, go = asyncio.Event(), asyncio.Event()

    async def answer(invocation: Invocation[str], exchange: Exchange) -> Response:
        if exchange.request.url.endswith("/stay"):
            stays.set()
            await go.wait()
        return Response(200, body=Whole(f"for {invocation.detail}".encode()))

    workers.answer = answer
    kind = "live" if live else "keep"
    first = asyncio.create_task(
        workers.fetch(keeper, f"http://acme.test/{kind} {name}".replace(" ", "%20"), detail="first")
    )
    await (stays.wait() if live else first)
    workers.subrequests.clear()
    _, text = await workers.fetch(
        keeper, f"http://acme.test/use {name}".replace(" ", "%20"), detail="second"
    )
    go.set()
    assert await first == (200, "kept")
    assert text.startswith(says), text
    assert workers.subrequests == []
