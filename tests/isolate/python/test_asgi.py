"""Applications on ASGI: one by hand, event by event, and Starlette as a bundle vendors it."""

from __future__ import annotations

import asyncio
import json

import pytest

from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from sluice.wire.websocket import Binary, Close, Text, WebSocket
from tests.bodies import read_all
from tests.isolate.python.conftest import StartGuest
from tests.isolate.python.guest import Guest
from tests.isolate.python.test_server import Chunks

WORKER = """
import asgi
from workers import WorkerEntrypoint
class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await asgi.fetch(app, request.js_object, self.env)
"""
# Each path is a function of its own; `lifespan` counts.
BY_HAND = (
    """
import asyncio, json
lives = []
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]}
def part(content, more=False): return {"type": "http.response.body", "body": content, "more_body": more}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["n"] = len(lives)
        lives.append("started")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        lives[-1] = "ended"
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await globals()[scope["path"].strip("/").split("/")[0]](scope, receive, send)
async def told(scope, receive, send):
    said = {key: value for key, value in scope.items() if key not in ("env", "headers", "asgi")}
    said["headers"] = [[part.decode("latin-1") for part in field] for field in scope["headers"]]
    said["env"] = scope["env"].NAME
    await send({**START, "status": 201})
    await send(part(json.dumps(said, default=lambda raw: raw.decode()).encode()))
async def echo(scope, receive, send):
    await send(START)
    while (event := await receive())["more_body"]:
        await send(part(event["body"], True))
    await send(part(b""))
    assert (await receive())["type"] == "http.disconnect"
async def nothing(scope, receive, send): await send({**START, "status": 204}); await send(part(b""))
async def silent(scope, receive, send): pass
async def early(scope, receive, send): raise ValueError("early")
async def late(scope, receive, send): await send(START); await send(part(b"a", True)); raise ValueError("late")
async def unended(scope, receive, send): await send(START); await send(part(b"a", True))
async def after(scope, receive, send):
    await send(START); await send(part(b"sent"))
    raise ValueError("after the response")

async def endless(scope, receive, send):
    await receive()
    await send(START)
    while (await asyncio.wait([gone := asyncio.ensure_future(receive())], timeout=0))[1]:
        gone.cancel()
        await send(part(b"x" * 1000, True))

async def look(scope, receive, send):
    while lives[0] != "ended": await asyncio.sleep(0)
    await send(START); await send(part(" ".join(lives).encode()))
"""
    + WORKER
)


async def test_what_an_application_is_told(start: StartGuest) -> None:
    """The scope has the request as the specification wants it, and what a start left in its state."""
    guest = await start(BY_HAND, bindings={"NAME": "acme"})
    reply = await guest.fetch(
        "https://w.test:8443/told/%C3%A4?a=b%20c", method="PUT", headers=[("x-b", "1")]
    )
    assert reply.status == 201
    assert [value for name, value in reply.headers if name == "x-a"] == ["1", "2"]
    said = json.loads(reply.body)
    assert ["x-b", "1"] in said.pop("headers")
    assert said == {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "https",
        "path": "/told/\u00e4",
        "raw_path": "/told/%C3%A4",
        "query_string": "a=b%20c",
        "root_path": "",
        "client": None,
        "server": ["w.test", 8443],
        "env": "acme",
        "state": {"n": 0},
    }


async def test_bodies_stream_both_ways(start: StartGuest) -> None:
    """A chunk that is sent comes back before the next is sent."""
    guest = await start(BY_HAND)
    sent = Chunks()
    sent.queue.put_nowait(b"first")
    response, _ = await guest.open("http://w.test/echo", method="POST", body=sent)
    received = aiter(response.body)
    assert await anext(received) == b"first"
    sent.queue.put_nowait(b"second")
    assert await anext(received) == b"second"
    sent.queue.put_nowait(None)
    with pytest.raises(StopAsyncIteration):
        await anext(received)


async def test_endings(start: StartGuest) -> None:
    """What an application raises before its response is the Worker's exception."""
    guest = await start(BY_HAND)
    reply = await guest.fetch("http://w.test/early")
    assert reply.error == {"kind": "exception", "name": "ValueError", "message": "early"}
    reply = await guest.fetch("http://w.test/silent")
    assert reply.error is not None
    assert "did not generate a response" in reply.error["message"]
    reply = await guest.fetch("http://w.test/nothing")
    assert (reply.status, reply.body, reply.error) == (204, b"", None)
    reply = await guest.fetch("http://w.test/echo", method="HEAD")
    assert (reply.status, reply.body, reply.error) == (200, b"", None)


async def test_what_is_raised_after_the_response(start: StartGuest) -> None:
    """It is printed."""
    guest = await start(BY_HAND)
    assert (await guest.fetch("http://w.test/after")).text == "sent"
    async with asyncio.timeout(10):
        while await guest.process.stderr.readline() != b"ValueError: after the response\n":
            pass


@pytest.mark.parametrize("path", ["late", "unended"])
async def test_a_response_that_breaks_off_is_not_whole(start: StartGuest, path: str) -> None:
    """An application that fails midway, or stops, has sent no whole response."""
    guest = await start(BY_HAND)
    response, _ = await guest.open(f"http://w.test/{path}")
    with pytest.raises(SluiceError) as failure:
        await read_all(response.body, 1024)
    assert failure.value.reason is Reason.BODY_CUT_SHORT
    printed = await guest.printed()
    assert printed.count("Error: ") == 1, printed


async def test_a_client_that_leaves(start: StartGuest) -> None:
    """An application that streams without end hears of it, and ends."""
    guest = await start(BY_HAND)
    response, _ = await guest.open("http://w.test/endless")
    await anext(aiter(response.body))
    await response.aclose()
    async with asyncio.timeout(10):
        assert (await guest.fetch("http://w.test/look")).text == "ended started"


async def test_a_start_that_fails(start: StartGuest) -> None:
    """It is the Worker's exception; an application without a lifespan needs none."""
    guest = await start(
        """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
        + WORKER
    )
    reply = await guest.fetch()
    assert reply.error == {"kind": "exception", "name": "RuntimeError", "message": "no database"}


SOCKETS = (
    """
async def app(scope, receive, send):
    assert scope["type"] == "websocket", scope["type"]
    assert (await receive()) == {"type": "websocket.connect"}
    assert (scope["scheme"], scope["subprotocols"]) == ("ws", ["v1", "v2"])
    if scope["path"] == "/refused":
        return await send({"type": "websocket.close"})
    if scope["path"] == "/fails":
        raise ValueError("no")
    await send({"type": "websocket.accept", "subprotocol": "v2", "headers": [(b"x-a", b"1")]})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") == "close":
            return await send({"type": "websocket.close", "code": 4000, "reason": "bye"})
        if event.get("text") == "fail":
            raise ValueError("midway")
        await send({**event, "type": "websocket.send"})
    print(event)
"""
    + WORKER
)


async def _opened(guest: Guest, path: str = "/") -> tuple[Response, WebSocket | None]:
    offered = [("sec-websocket-protocol", "v1, v2")]
    response, _ = await guest.open(f"http://w.test{path}", websocket=True, headers=offered)
    return response, response.websocket


async def test_websockets(start: StartGuest) -> None:
    """An application accepts, sends and receives, closes, and hears how the client closed."""
    guest = await start(SOCKETS)
    response, socket = await _opened(guest)
    assert response.headers == [("x-a", b"1"), ("sec-websocket-protocol", b"v2")]
    assert socket is not None
    for message in (Text("\u00e4"), Binary(b"\0\xff")):
        await socket.send(message)
        assert await socket.receive() == message
    await socket.send(Close(4001, "mine"))
    assert await socket.receive() == Close(4001, "mine")
    await response.aclose()
    said = b"{'type': 'websocket.disconnect', 'code': 4001, 'reason': 'mine'}\n"
    assert await guest.process.stdout.readline() == said
    for told, close in (("close", Close(4000, "bye")), ("fail", Close(1011))):
        response, socket = await _opened(guest)
        assert socket is not None
        await socket.send(Text(told))
        assert await socket.receive() == close
        await response.aclose()


async def test_websockets_that_do_not_open(start: StartGuest) -> None:
    """One that is refused is answered 403; what is raised before is the Worker's exception."""
    guest = await start(SOCKETS)
    response, socket = await _opened(guest, "/refused")
    assert (response.status, socket) == (403, None)
    await response.aclose()
    _, said = await guest.open(
        "http://w.test/fails", websocket=True, headers=[("sec-websocket-protocol", "v1, v2")]
    )
    assert '"name":"ValueError","message":"no"' in said["x-sluice-error"]


async def test_a_module_of_the_bundle_comes_first(start: StartGuest) -> None:
    """A Worker's own `asgi.py`, as Django projects have one, is what it imports."""
    guest = await start(
        {
            "main.py": "import asgi\nfrom workers import Response\n"
            "def on_fetch(request): return Response(asgi.NAME)\n",
            "asgi.py": "NAME = 'mine'\n",
        }
    )
    assert (await guest.fetch()).text == "mine"


STARLETTE = (
    """
import contextlib
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from workers import fetch
async def item(request):
    body = await request.json() if request.method == "POST" else None
    return JSONResponse({"id": request.path_params["id"], "q": dict(request.query_params),
        "body": body, "env": request.scope["env"].NAME, "state": request.state.ready})
def in_a_thread(request): return PlainTextResponse("thread")
async def numbers(request):
    async def parts():
        for number in range(3): yield f"{number}\\n"
    task = BackgroundTask(fetch, "http://logs.test/")
    return StreamingResponse(parts(), media_type="text/plain", background=task)
async def shout(socket):
    await socket.accept()
    async for text in socket.iter_text(): await socket.send_text(text.upper())
@contextlib.asynccontextmanager
async def lifespan(app): yield {"ready": True}
app = Starlette(lifespan=lifespan, routes=[Route("/items/{id:int}", item, methods=["GET", "POST"]),
    Route("/thread", in_a_thread), Route("/numbers", numbers), WebSocketRoute("/shout", shout)])
"""
    + WORKER
)
PACKAGES = ("starlette", "anyio", "idna", "typing_extensions.py")


async def test_starlette(start: StartGuest) -> None:
    """Routes, bodies, threads, streams, work after the response, state and WebSockets."""
    guest = await start(STARLETTE, packages=PACKAGES, bindings={"NAME": "acme"})
    reply = await guest.fetch("http://w.test/items/7?a=b", method="POST", body=b'{"x": 1}')
    assert reply.text == ('{"id":7,"q":{"a":"b"},"body":{"x":1},"env":"acme","state":true}'), (
        reply.error
    )
    assert (await guest.fetch("http://w.test/items/x")).status == 404
    assert (await guest.fetch("http://w.test/thread")).text == "thread"
    assert (await guest.fetch("http://w.test/numbers", token="mine")).text == "0\n1\n2\n"
    [logged] = await guest.until(1)
    assert (logged.url, logged.token) == ("http://logs.test/", "mine")
    response, _ = await guest.open("http://w.test/shout", websocket=True)
    assert response.websocket is not None
    await response.websocket.send(Text("hey"))
    assert await response.websocket.receive() == Text("HEY")
    await response.websocket.send(Close(1000))
    assert await response.websocket.receive() == Close(1000)
    await response.aclose()
