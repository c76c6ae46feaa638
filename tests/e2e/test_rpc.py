"""JS RPC on a dispatched Worker: `env.dispatcher.get(name).method(...)` across the mesh.

The answers and the refusals are those that plain workerd gives over a service binding.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from sluice.bundle.pack import pack_path
from sluice.mesh.channel import dial
from sluice.pb import (
    http_pb2,
    userworker_pb2,
    userworker_pb2_grpc,
    worker_pb2,
)
from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.e2e.origin import Origin

WORKERS = Path(__file__).parents[1] / "workers"

CALLER = """import assert from 'node:assert';
class Foo {}
export default { async fetch(request, env) {
  const worker = (name) => env.dispatcher.get(name, { props: { plan: 'gold' } }, {
    outbound: { params_object: { customer_name: 'over rpc' } } });
  const w = worker('rpc-class'), o = worker('rpc-object');
  const same = async (value) => { assert.deepStrictEqual(await w.echo(value), value); return true };
  try { return Response.json(await (%s) ?? null) }
  catch (e) { return new Response(`${e.name}: ${e.message}`, { status: 500 }) } } }"""


async def evaluate(mesh: Mesh, expression: str) -> object:
    """What `expression` comes to in a dispatch Worker: a value, or in words what it throws."""
    for folder in ("rpc_class", "rpc_object"):
        packed = pack_path(WORKERS / folder)
        await mesh.deploy(folder.replace("_", "-"), packed.bundle, "production")
    dispatch = dispatch_bundle(CALLER % expression)
    dispatch.compatibility_flags.append("nodejs_compat")
    await mesh.deploy("dispatch", dispatch)
    status, text = await mesh.get("any.example.com")
    return json.loads(text) if status == 200 else text


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("w.add(1, 2)", 3),
        ("w.add(...['a', 'b'])", "ab"),
        ("w.inherited()", "from the base"),  # declared by a base class
        ("w.field()", 1),  # the receiver is the real instance, private fields and all
        ("w.props()", {"plan": "gold"}),
        ("w.nothing()", None),
        ("o.greet('you')", [False, "you", "hello", {"plan": "gold"}]),
        ("Promise.all([w.add(1, 1), w.add(2, 2)])", [2, 4]),
        ("(async () => (await w.fetch('http://a/')).text())()", "over fetch"),
        ("[typeof w.any, typeof w.then, String(w)]", ["function", "undefined", "[object Object]"]),
        ("(async () => (await w) === w)()", True),  # a Fetcher is no thenable
        ("(async () => String(await w.echo(new Date(NaN))))()", "Invalid Date"),
        (
            "(async () => (await w.echo(new Uint8Array(9_000_000).fill(7))).lastIndexOf(7))()",
            8_999_999,
        ),
    ],
)
async def test_call(mesh: Mesh, expression: str, result: object) -> None:
    """A method is called with its arguments, and what it returns comes back."""
    assert await evaluate(mesh, expression) == result


@pytest.mark.parametrize(
    "value",
    [
        "[undefined, null, true, 1.5, -0, NaN, -Infinity, 'é\\u{1F600}', 12345678901234567890n]",
        "{ a: { b: [1, , 3] }, ['__proto__']: 'own', '': 0 }",  # a hole, and an awkward key
        "new Map([[{ k: 1 }, new Set(['a', 1n])], ['x', undefined]])",
        "[new Date(5), /a\\/b/giu]",
        "[new RangeError('r'), new Error('')]",
        "[new Uint8Array([1, 2, 255]), new Float64Array([0.5, NaN]), new BigInt64Array([-1n])]",
        "[new DataView(new Uint8Array([1, 2, 3]).buffer, 1, 2), new ArrayBuffer(0)]",
        "(() => { const o = {}; o.self = o; return o })()",
        "'x'.repeat(5_000_000)",  # longer than one message
    ],
)
async def test_value_keeps_its_shape(mesh: Mesh, value: str) -> None:
    """A structured-cloneable value crosses twice and is what it was."""
    assert await evaluate(mesh, f"same({value})") is True


async def test_references_are_kept(mesh: Mesh) -> None:
    """What is the same object on one side is the same on the other; deep nesting is no matter."""
    assert await evaluate(
        mesh,
        """(async () => { const one = {}, bytes = new Uint8Array(4);
        const [a, b, c, d] = await w.echo([one, one, bytes, new Uint8Array(bytes.buffer, 1, 2)]);
        let deep = []; for (let i = 0; i < 50_000; i++) deep = [deep];
        await w.echo(deep);
        return [a === b, c.buffer === d.buffer, d.byteOffset] })()""",
    ) == [True, True, 1]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("w.fails()", "RangeError: out of it"),
        ("w.nope()", 'TypeError: The RPC receiver does not implement the method "nope".'),
        ("w.ofTheInstance()", 'TypeError: The RPC receiver does not implement the method "ofThe'),
        ("w.env()", 'TypeError: The RPC receiver does not implement the method "env".'),
        ("w.connect('a:1')", "TypeError: 'connect' is a reserved method and cannot be called over"),
        ("w.dup()", "TypeError: 'dup' is a reserved method and cannot be called over RPC."),
        ("w.property()", 'TypeError: "property" is not a function.'),
        ("w.property", "TypeError: RPC to a dispatched Worker carries method calls only"),
        ("w.add.deeper(1)", "TypeError: w.add.deeper is not a function"),
        ("w.uncloneable()", 'DataCloneError: Could not serialize object of type "ReadableStream".'),
        ("w.echo(() => 1)", "DataCloneError: Could not serialize a function"),
        ("w.echo(Symbol())", "DataCloneError: Could not serialize a symbol"),
        ("w.echo(new Foo())", 'DataCloneError: Could not serialize object of type "Foo".'),
        ("w.echo(Promise.resolve(1))", 'DataCloneError: Could not serialize object of type "Promi'),
        ("w.echo('x'.repeat(33554432))", "Error: Serialized RPC arguments or return values are li"),
        ("w.open()", "Error: a call has no origin to pass to"),
        ("o.greet()", 'TypeError: Attempted to call RPC function "greet" with the wrong number of'),
        ("o.greet(1, 2)", 'TypeError: Attempted to call RPC function "greet" with the wrong numb'),
        ("o.constant(1)", 'TypeError: "constant" is not a function.'),
        ("o.toLocaleString.call(o)", None),  # Object's own methods are the caller's, not RPC
        ("worker('nobody').add(1, 2)", "Error: Worker not found."),
    ],
)
async def test_refusal(mesh: Mesh, expression: str, says: str | None) -> None:
    """What a call cannot do, it says; what the method throws, the caller sees thrown."""
    answer = await evaluate(mesh, expression)
    assert str(answer).startswith(says or "[object Object]")


async def test_subrequest_of_a_method_is_attributed(mesh: Mesh, origin: Origin) -> None:
    """What a method fetches, at once or in waitUntil, has the params of its own call."""

    async def reflect(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.headers["x-customer"])

    origin.answer = reflect
    assert await evaluate(mesh, f"w.fetches('{origin.url}/')") == "over rpc"
    assert await evaluate(mesh, f"w.later('{origin.url}/')") == "before"
    await origin.until(2)
    assert origin.received[1].headers["x-customer"] == "over rpc"
    line = await mesh.services["outbound"].line(event="subrequest", worker="rpc-class")
    assert line["outbound_worker"] == "outbound"


@pytest.mark.parametrize(
    "header", ["x-sluice-call", "X-Sluice-Get", "x-sluice-method", "x-sluice-props"]
)
async def test_call_cannot_be_forged(mesh: Mesh, header: str) -> None:
    """A client that sets a control header gets fetch(), whoever passes its request on."""
    await evaluate(mesh, "w.add(1, 2)")
    await mesh.deploy(
        "dispatch",
        dispatch_bundle(
            f"""export default {{ fetch(request, env) {{
            const headers = new Headers(request.headers);
            headers.set('{header}', '{{"method":"add"}}');
            return env.dispatcher.get('rpc-class').fetch(new Request(request, {{ headers }})) }} }}"""
        ),
    )
    forged = json.dumps({"method": "add", "props": {"plan": "forged"}})
    assert await mesh.get("a.test", headers={header: forged}) == (200, "over fetch")


async def test_call_by_hand(mesh: Mesh) -> None:
    """A method can be called with grpcurl alone: the arguments are JSON."""
    packed = pack_path(WORKERS / "rpc_class")
    await mesh.deploy("rpc-class", packed.bundle, "production")
    async with dial(mesh.grpc["userworker"]) as channel:
        call = userworker_pb2_grpc.UserWorkerServiceStub(channel).Invoke(
            userworker_pb2.InvokeRequest(
                invocation=userworker_pb2.Invocation(
                    worker=worker_pb2.Worker(dispatch_namespace="production", name="rpc-class"),
                    rpc_method="add",
                ),
                head=http_pb2.HttpRequestHead(method="POST", url="http://any.test/"),
                body=b'[["array", 1, 2], 40, 2]',
            )
        )
        answer = b"".join([part.body async for part in call])
    assert json.loads(answer) == [42]
