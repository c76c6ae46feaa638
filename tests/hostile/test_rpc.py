"""Attacks by JS RPC: by a hostile user Worker on the dispatch Worker that calls it, and on itself.

A user Worker can answer any bytes where a result is awaited: it may replace `Response`. So what the
dispatch Worker reads is hostile, and the dispatch Worker is everybody's.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation, Limits
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.e2e.mesh import Mesh, dispatch_bundle
from tests.isolate.workers import Workers, bundle_of

# The dispatch Worker: it calls, looks at what it got as a careless one does, and at itself.
CALLER = """const own = (value) => ['object', 'function'].includes(typeof value) && value !== null;
const inherited = new Set();
for (const type of [Object, Array, Function, String, Number, Boolean, Promise, Map, Set, Date, RegExp, Error, Uint8Array])
  for (const one of [type, type.prototype]) inherited.add(one);
export default { async fetch(request, env) {
  const path = new URL(request.url).pathname.slice(1);
  const before = [Object.prototype, Array.prototype, Function.prototype].map((one) => Reflect.ownKeys(one).length).join();
  let answer;
  try {
    const result = await env.dispatcher.get('hostile').method();
    answer = { type: Object.prototype.toString.call(result) };
    const walk = (value, depth = 0) => {
      if (!own(value) || depth > 5) return;
      if (inherited.has(value)) throw new Error('POLLUTED: a built-in is in the result');
      if (typeof value === 'function') throw new Error('POLLUTED: a function is in the result');
      if (!Object.isFrozen(value)) try { value.touched = true } catch {}
      const members = value instanceof Map || value instanceof Set ? [...value].flat() : Reflect.ownKeys(value).map((key) => Object.getOwnPropertyDescriptor(value, key).value);
      for (const member of members) walk(member, depth + 1);
    };
    walk(result);
  } catch (error) {
    answer = { thrown: error instanceof Error || error instanceof DOMException, text: `${error.name}: ${error.message}`.slice(0, 300) };
  }
  const after = [Object.prototype, Array.prototype, Function.prototype].map((one) => Reflect.ownKeys(one).length).join();
  answer.polluted = before !== after || 'touched' in {} || 'touched' in (() => {}) || ({}).polluted !== undefined;
  return Response.json(answer) } }"""


@pytest.fixture(scope="module")
def caller() -> worker_pb2.Bundle:
    """The dispatch Worker."""
    bundle = bundle_of(CALLER)
    bundle.dispatch_namespaces.add(binding="dispatcher", dispatch_namespace="production")
    return bundle


Answer = Callable[[Invocation[str], Exchange], Awaitable[Response]]


def answering(body: bytes, *headers: tuple[str, bytes]) -> Answer:
    """What the user Worker answers every call with."""

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        return Response(200, list(headers), Whole(body))

    return answer


async def result_of(trusted: Workers, caller: worker_pb2.Bundle, answer: Answer) -> dict[str, Any]:
    """What the dispatch Worker made of the answer, and that it still works and is what it was."""
    trusted.answer = answer
    status, text = await trusted.fetch(caller)
    assert status == 200
    trusted.answer = answering(b'[["object","a",1],1]')
    assert json.loads((await trusted.fetch(caller))[1]) == {
        "type": "[object Object]",
        "polluted": False,
    }
    made: dict[str, Any] = json.loads(text)
    return made


REFUSED = [
    ("no JSON", b"hello"),
    ("nothing", b""),
    ("no list", b"{}"),
    ("null", b"null"),
    ("a number", b"1"),
    ("text", b'"text"'),
    ("an unknown tag", b'[["evil"]]'),
    ("no tag", b"[[]]"),
    ("a tag that is a list", b'[[["array"]]]'),
    # Names that every object inherits are no tags, and no types.
    ("the codec itself, by valueOf", b'[["valueOf"]]'),
    ("the codec's prototype", b'[["__proto__"]]'),
    ("the constructor", b'[["constructor","x"]]'),
    ("a getter on the codec", b'[["__defineGetter__","array"]]'),
    ("what the codec has", b'[["hasOwnProperty","array"]]'),
    ("a view of a constructor", b'[["view","constructor",1,0,1],["buffer","AAAA"]]'),
    ("a view of valueOf", b'[["view","valueOf",1,0,1],["buffer","AAAA"]]'),
    # Members are numbers of nodes, and nothing else that a list has.
    ("a list's prototype in a list", b'[["array","__proto__"]]'),
    ("a list's prototype in an object", b'[["object","a","__proto__"]]'),
    ("a list's prototype in a set", b'[["set","__proto__"]]'),
    ("a list's prototype in a map", b'[["map","__proto__","constructor"]]'),
    ("a list's method", b'[["array","push"]]'),
    ("a thenable", b'[["object","then","forEach"]]'),
    ("a view of a list's prototype", b'[["view","Uint8Array","__proto__",0,1]]'),
    ("a node that is not there", b'[["array",7]]'),
    ("a negative node", b'[["array",-2]]'),
    ("half a node", b'[["array",0.5]]'),
    ("a node by its text", b'[["array","0"]]'),
    ("an object's odd member", b'[["object","a"]]'),
    ("a key that is no text", b'[["object",["a"],1],1]'),
    ("a raw object", b'[{"__proto__":{"polluted":1}}]'),
    # Sizes.
    ("a view past its buffer", b'[["view","Uint8Array",1,0,9],["buffer","AAAA"]]'),
    ("a view off its buffer", b'[["view","Float64Array",1,1,1],["buffer","AAAAAAAAAAAAAAAAAAAAAA=="]]'),
    ("a view of a negative length", b'[["view","Uint8Array",1,0,-1],["buffer","AAAA"]]'),
    ("a view of a number", b'[["view","Uint8Array",1,0,1],4294967295]'),
    ("a buffer that is no base64", b'[["buffer","!"]]'),
    ("a buffer of a number", b'[["buffer",99999999999]]'),
    ("a deep document", b"[" * 200_000),
    ("a deep document that ends", b"[" * 100_000 + b"]" * 100_000),
    ("a bigint that is no number", b'[["bigint","x"]]'),
    ("a pattern that is none", b'[["regexp","(","g"]]'),
    ("more than 32 MiB", b'["' + b"a" * (32 * 1024 * 1024) + b'"]'),
]  # fmt: skip


@pytest.mark.parametrize("body", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_forged_result(trusted: Workers, caller: worker_pb2.Bundle, body: bytes) -> None:
    """A result that no codec wrote is an exception in the dispatch Worker, and never an object of its own."""
    made = await result_of(trusted, caller, answering(body))
    assert made["thrown"], made
    assert "POLLUTED" not in made["text"], made
    assert made["polluted"] is False


CARRIED = [
    ("a key that is a prototype", b'[["object","__proto__",1],["object","polluted",2],1]', "[object Object]"),
    ("a key that is a constructor", b'[["object","constructor",1],["object","prototype",2],["object","polluted",3],1]', "[object Object]"),
    ("a cycle", b'[["array",0,0,0]]', "[object Array]"),
    ("a list that holds itself deeply", b'[["array",1],["map",0,1]]', "[object Array]"),
    ("deep nesting", ("[" + ",".join(f'["array",{n + 1}]' for n in range(50_000)) + ",1]").encode(), "[object Array]"),
    ("an error of a constructor", b'[["error","constructor","x"]]', "[object Error]"),
    ("an error of a prototype", b'[["error","__proto__","x"]]', "[object Error]"),
    ("an error with a name of its own", b'[["error","Evil","x"]]', "[object Error]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind"), [row[1:] for row in CARRIED], ids=[row[0] for row in CARRIED]
)
async def test_odd_result(
    trusted: Workers, caller: worker_pb2.Bundle, body: bytes, kind: str
) -> None:
    """An odd value that structured clone carries too is a value, and pollutes nothing."""
    assert await result_of(trusted, caller, answering(body)) == {"type": kind, "polluted": False}


async def test_endless_result(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """A result without end is refused at 32 MiB: it does not fill the dispatch Worker's memory."""
    taken = 0

    class Endless:
        def take(self) -> tuple[bytes, bool]:
            return b'["', False

        async def __aiter__(self) -> Any:
            nonlocal taken
            while True:
                taken += 1 << 20
                yield b"a" * (1 << 20)

        async def aclose(self) -> None:
            """Nothing to give back."""

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        return Response(200, body=Endless())

    made = await result_of(trusted, caller, answer)
    assert made["thrown"]
    assert "32MiB" in made["text"]
    assert taken < 64 << 20


TINY = [
    ("lists", b'["array"]'),
    ("objects", b'["object"]'),
    ("maps", b'["map"]'),
    ("sets", b'["set"]'),
    ("errors", b'["error","Error",""]'),
    ("dates", b'["date",1]'),
    ("buffers", b'["buffer",""]'),
    ("numbers", b"1"),
    ("lists that no codec wrote", b"[]"),
    ("objects that no codec wrote", b"{}"),
    ("texts that end in a backslash", b'"\\\\"'),
]


@pytest.mark.parametrize("node", [row[1] for row in TINY], ids=[row[0] for row in TINY])
async def test_millions_of_values(trusted: Workers, caller: worker_pb2.Bundle, node: bytes) -> None:
    """A text of 20 MB of tiny values is refused before it is read: it would fill the heap."""
    count = 20_000_000 // (len(node) + 1)
    made = await result_of(
        trusted, caller, answering(b'[["array"],' + b",".join([node] * count) + b"]")
    )
    assert made["thrown"], made
    assert "limited to 250000 values" in made["text"]


async def test_many_at_once(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """Eight results of as many values as may be, at once, leave the dispatch Worker alive."""
    trusted.answer = answering(b'[["array"],' + b",".join([b'["map"]'] * 120_000) + b"]")
    answers = await asyncio.gather(*(trusted.fetch(caller) for _ in range(8)))
    assert {json.loads(text)["type"] for _, text in answers} == {"[object Array]"}


async def test_text_is_not_values(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """A long text that is full of commas, brackets, quotes and backslashes is one value."""
    text = json.dumps([',[{"\\' * 2_000_000]).encode()
    assert await result_of(trusted, caller, answering(text)) == {
        "type": "[object String]",
        "polluted": False,
    }


async def test_long_bigint(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """A number as long as a result may be takes the dispatch Worker no noticeable CPU time."""
    trusted.answer = answering(b'[["bigint","' + b"9" * 30_000_000 + b'"]]')
    _, text = await trusted.fetch(caller, limits=Limits(cpu=2))
    assert json.loads(text) == {"type": "[object BigInt]", "polluted": False}


async def test_compressed_result(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """A few compressed bytes that would be 200 MB are refused at 32 MiB too."""
    bomb = gzip.compress(b'["' + b"a" * 200_000_000 + b'"]', 1)
    made = await result_of(trusted, caller, answering(bomb, ("content-encoding", b"gzip")))
    assert made["thrown"]
    assert "32MiB" in made["text"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("constructor", "x"),
        ("__proto__", "x"),
        ("toString", "x"),
        ("hasOwnProperty", "x"),
        ("TypeError", "\ud800"),
        ("", ""),
        ("x" * 2000, "y" * 5000),
        ("message", "a\r\nb\0"),
    ],
)
async def test_exception_that_is_none(
    trusted: Workers, caller: worker_pb2.Bundle, name: str, message: str
) -> None:
    """Whatever a user Worker calls its exception, the dispatch Worker catches an Error with its message."""

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        raise SluiceError(Reason.WORKER_EXCEPTION, "thrown", name=name, message=message)

    made = await result_of(trusted, caller, answer)
    assert made["thrown"], made
    assert made["text"] == f"{name}: {message}"[:300]


FORGER = """import { WorkerEntrypoint } from 'cloudflare:workers';
const Native = Response;
let forged;
globalThis.Response = class extends Native { constructor(body, init) { super(forged ?? body, init) } };
export default class extends WorkerEntrypoint { method() { forged = %s; return 1 } }"""


async def test_user_worker_forges(mesh: Mesh) -> None:
    """A user Worker can answer what it likes; across the real mesh that is an exception too."""
    await mesh.deploy("hostile", FORGER % json.dumps('[["array","__proto__"]]'), "production")
    await mesh.deploy("dispatch", dispatch_bundle(CALLER))
    _, text = await mesh.get("any.test")
    made = json.loads(text)
    assert made["thrown"], made
    assert "POLLUTED" not in made["text"]
    assert made["polluted"] is False


async def test_base64_is_bounded(trusted: Workers, caller: worker_pb2.Bundle) -> None:
    """A buffer is as large as its text says, and no larger."""
    body = json.dumps([["buffer", base64.b64encode(bytes(1 << 20)).decode()]]).encode()
    made = await result_of(trusted, caller, answering(body))
    assert made == {"type": "[object ArrayBuffer]", "polluted": False}


BY_METHOD = """export default { async fetch(request, env) {
  const name = new URL(request.url).host.split('.')[0];
  if (name === 'other') return env.dispatcher.get(name).fetch(request);
  try { return new Response((await env.dispatcher.get(name).big()).length) }
  catch (e) { return new Response(e.message, { status: 503 }) } } }"""

BIG = """import { WorkerEntrypoint } from 'cloudflare:workers';
const Native = Response;
const piece = new TextEncoder().encode('x'.repeat(1_000_000));
function long() {
  let left = 30;
  return new ReadableStream({ pull(c) {
    if (left === 30) c.enqueue(new TextEncoder().encode('["'));
    if (left-- > 0) return c.enqueue(piece.slice());
    c.enqueue(new TextEncoder().encode('"]'));
    c.close(); } });
}
globalThis.Response = class extends Native { constructor(body, init) { super(long(), init) } };
export default class extends WorkerEntrypoint { big() { return 1 } }"""


async def test_long_results_at_once(mesh: Mesh) -> None:
    """Long results at once end no request of another customer: those too many are refused."""
    await mesh.deploy("dispatch", dispatch_bundle(BY_METHOD))
    await mesh.deploy("big", BIG, "production")
    waits = (
        "export default { async fetch() { await scheduler.wait(%d); return new Response('ok') } }"
    )
    await mesh.deploy("other", waits % 3000, "production")
    other = asyncio.create_task(mesh.get("other.test"))
    async with asyncio.timeout(45):
        answers = await asyncio.gather(*(mesh.get("big.test") for _ in range(12)))
        assert await other == (200, "ok")
        assert await mesh.get("big.test") == (200, "30000000")
    assert 503 in {status for status, _ in answers}
    assert {text for status, text in answers if status != 503} <= {"30000000"}
