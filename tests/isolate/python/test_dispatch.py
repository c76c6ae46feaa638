"""Dispatch Workers in Python, and RPC from and to them."""

from __future__ import annotations

import pytest

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.isolate.python.conftest import StartGuest

SEED = """
from urllib.parse import urlparse
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            # parse the URL, read the subdomain
            worker_name = urlparse(request.url).hostname.split(".")[0]
            context_from_dispatcher = {"customer_name": worker_name, "url": request.url}
            user_worker = self.env.dispatcher.get(
                worker_name, {}, {"outbound": {"params_object": context_from_dispatcher}}
            )
            return await user_worker.fetch(request)
        except Exception as e:
            if str(e).startswith("Worker not found"):
                # we tried to get a worker that doesn't exist in our dispatch namespace
                return Response("", status=404)
            return Response(f"{e.name}: {e}", status=500)
"""
DIRECT = {"role": "direct", "dispatch_namespaces": ["dispatcher"]}


async def test_the_seeds_dispatch_worker(start: StartGuest) -> None:
    """The seed's Worker in Python passes on name, params and request, and takes 404 for unknown."""
    guest = await start(SEED, **DIRECT)

    async def answer(exchange: Exchange, _: bytes) -> Response:
        if "nobody" in exchange.request.url:
            raise SluiceError(Reason.WORKER_NOT_FOUND, "no such Worker")
        if "broken" in exchange.request.url:
            raise SluiceError(Reason.WORKER_EXCEPTION, "", name="RangeError", message="out of it")
        return Response(201, [("x-from", b"acme")], Whole(b"hello"))

    guest.answer = answer
    url = "http://acme.example.com/a?b"
    reply = await guest.fetch(url, method="POST", body=b"sent", token="t-1")
    assert (reply.status, reply.text, reply["x-from"]) == (201, "hello", "acme")
    sub = guest.subrequests[0]
    assert (sub.token, sub.method, sub.url, sub.body) == ("t-1", "POST", url, b"sent")
    assert sub.chosen == {
        "binding": "dispatcher",
        "name": "acme",
        "props": {},
        "outbound": {"params_object": {"customer_name": "acme", "url": url}},
        "limits": {},
    }
    assert (await guest.fetch("http://nobody.example.com/")).status == 404
    assert (await guest.fetch("http://broken.example.com/")).text == "RangeError: out of it"


async def test_a_choice_is_of_one_request_only(start: StartGuest) -> None:
    """A plain fetch() beside a dispatched one has no choice with it."""
    guest = await start(
        """
import asyncio
from workers import Response, fetch
async def on_fetch(request, env):
    chosen = env.dispatcher.get("acme", {"props": {"a": 1}}, {"limits": {"cpuMs": 5}})
    await asyncio.gather(chosen.fetch("http://w.test/in"), fetch("http://w.test/out"))
    return Response("")
""",
        **DIRECT,
    )
    await guest.fetch()
    found = {sub.url: sub.chosen for sub in guest.subrequests}
    assert found["http://w.test/out"] is None
    chosen = found["http://w.test/in"]
    assert chosen is not None
    assert (chosen["props"], chosen["limits"]) == ({"a": 1}, {"cpuMs": 5})


REFUSED = [
    ('{"outbound": {"p": object()}}', "outbound.p has a value that cannot be carried"),
    ('{"outbound": {"p": loop}}', "outbound.p has a cycle"),
    ('{"outbound": {"p": [float("nan")]}}', "outbound.p has a number that is not finite"),
    ('{"limits": {"cpuMs": {1, 2}}}', "limits.cpuMs has a value that cannot be carried"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
async def test_what_json_cannot_carry_names_its_key(
    start: StartGuest, options: str, words: str
) -> None:
    """A param that is no JSON fails the fetch() with a TypeError that names the key."""
    guest = await start(
        "loop = []; loop.append(loop)\n"
        "async def on_fetch(request, env):\n"
        f"    return await env.dispatcher.get('acme', {{}}, {options}).fetch(request)\n",
        **DIRECT,
    )
    reply = await guest.fetch()
    assert reply.error is not None
    assert reply.error["name"] == "TypeError"
    assert reply.error["message"].startswith(f"dispatcher.get(): {words}")
    assert guest.subrequests == []


CALLED = """
from workers import WorkerEntrypoint, fetch

class Base(WorkerEntrypoint):
    async def inherited(self):
        return "of the base"

class Default(Base):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.own = lambda: "not offered"

    constant = 3

    def add(self, a, b):
        return {"sum": a + b, "plan": self.ctx.props.plan, "at": self.env.NAME}

    async def outside(self, url):
        return await (await fetch(url)).text()

    def fail(self):
        raise ValueError("no")

    def _private(self):
        return "not offered"
"""
CALLER = """
import json
from workers import Response
async def on_fetch(request, env):
    name, arguments = await request.json()
    worker = env.dispatcher.get("acme", {"props": {"plan": "free"}})
    try:
        return Response.json(await getattr(worker, name)(*arguments))
    except Exception as error:
        name = error.name if isinstance(error, OSError) else type(error).__name__
        return Response(f"{name}: {error}")
"""
CALLS = [
    ('["add", [1, 2]]', '{"sum": 3, "plan": "free", "at": "n"}'),
    ('["add", ["a", "b"]]', '{"sum": "ab", "plan": "free", "at": "n"}'),
    ('["inherited", []]', '"of the base"'),
    ('["outside", ["http://o.test/"]]', '"for callee"'),
    ('["fail", []]', "ValueError: no"),
    ('["own", []]', 'TypeError: The RPC receiver does not implement the method "own".'),
    ('["nothing", []]', 'TypeError: The RPC receiver does not implement the method "nothing".'),
    ('["env", []]', 'TypeError: The RPC receiver does not implement the method "env".'),
    ('["constant", []]', 'TypeError: "constant" is not a function.'),
    ('["alarm", []]', "TypeError: 'alarm' is a reserved method and cannot be called over RPC."),
    ('["_private", []]', "AttributeError: _private"),
]


async def test_a_method_is_called(start: StartGuest) -> None:
    """A Python dispatch Worker calls a Python user Worker's methods, and is refused as in JS."""
    callee = await start(CALLED, bindings={"NAME": "n"})
    caller = await start(CALLER, **DIRECT)

    async def answer(exchange: Exchange, content: bytes) -> Response:
        chosen = caller.subrequests[-1].chosen
        assert chosen is not None
        call = {"props": chosen["props"], "method": chosen["method"]}
        reply = await callee.fetch(
            exchange.request.url, method="POST", body=content, token="callee", call=call
        )
        if reply.error is not None:
            name, message = reply.error["name"], reply.error["message"]
            raise SluiceError(Reason.WORKER_EXCEPTION, "", name=name, message=message)
        return Response(200, body=Whole(reply.body))

    caller.answer = answer
    for call, said in CALLS:
        assert (await caller.fetch(method="POST", body=call.encode())).text == said


async def test_a_private_method_is_not_called_from_afar(start: StartGuest) -> None:
    """A caller in JavaScript that names a private method gets the words of a missing one."""
    callee = await start(CALLED)
    for method in ("_private", "__init__", "__class__"):
        reply = await callee.fetch(
            method="POST", body=b'[["array"]]', call={"props": {}, "method": method}
        )
        assert reply.error is not None
        assert "does not implement the method" in reply.error["message"]
