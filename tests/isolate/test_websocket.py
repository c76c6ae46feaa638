from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.messages import Request, Response
from sluice.wire.websocket import Binary, Close, Message, Text, WebSocket
from tests.isolate.workers import MakeWorkers, Workers

ECHO = """export default { async fetch(request) {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.addEventListener('message', async ({ data }) => {
    if (data === 'fetch') server.send(await (await fetch('http://o.test/')).text());
    else if (data === 'close') server.close(4321, 'the Worker');
    else server.send(data);
  });
  server.addEventListener('close', ({ code, reason }) => code === 1005 ? server.close() : server.close(code, reason));
  return new Response(null, { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': 'chat' } });
} }"""
CLOSES = [
    Close(1000, "done"),
    Close(1001, "away"),
    Close(1008, "policy"),
    Close(1011, "bug"),
    Close(3000, "library"),
    Close(4999, "ü"),
    Close(),
]


class Echo:
    """An origin's WebSocket: sends back what it gets, or does what it says."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def receive(self) -> Message | None:
        return await self.queue.get()

    async def send(self, message: Message) -> None:
        self.received.append(message)
        match message:
            case Text("vanish"):
                self.queue.put_nowait(None)
            case Text(text) if text.startswith("close"):
                self.queue.put_nowait(Close(int(text[5:]), "the origin"))
            case _:
                self.queue.put_nowait(message)

    async def aclose(self) -> None:
        self.closed.set()


@pytest.fixture(params=[False, True], ids=["user", "trusted"])
async def either(request: pytest.FixtureRequest, make_workers: MakeWorkers) -> Workers:
    """Workers behind the gate, and without it."""
    return make_workers(trusted=request.param)


@pytest.fixture
async def origin(either: Workers) -> Echo:
    """What their WebSockets reach. A path `/refused` is refused."""
    echo = Echo()

    async def answer(_: Invocation[str], exchange: Exchange) -> Response:
        if not exchange.request.websocket or exchange.request.url.endswith("/refused"):
            return Response(403, body=Whole(b"no"))
        return Response(101, [("sec-websocket-protocol", b"v2")], websocket=echo)

    either.answer = answer
    return echo


async def opened(workers: Workers, source: str = ECHO) -> tuple[Response, WebSocket]:
    """The Worker's WebSocket, open."""
    response = await workers.start(source, Request("GET", "http://a.test/", websocket=True))
    assert response.status == 101
    assert response.websocket is not None
    return response, response.websocket


async def run(workers: Workers, body: str, url: str = "ws://o.test/x?y") -> list[Any]:
    """What a Worker notes that opens `url` with `new WebSocket`, until it is closed."""
    status, text = await workers.fetch(f"""export default {{ async fetch(request) {{
      const out = [];
      const ws = new WebSocket({json.dumps(url)}, ['v1', 'v2']);
      await new Promise((over) => {{
        ws.addEventListener('error', ({{ message }}) => out.push(['error', message]));
        ws.addEventListener('close', ({{ code, reason, wasClean }}) => {{
          out.push(['close', code, reason, wasClean, ws.readyState]); over(); }});
        {body}
      }});
      return Response.json(out);
    }} }}""")
    assert status == 200, text
    return list(json.loads(text))


async def test_a_worker_serves_one(either: Workers) -> None:
    """Text and binary cross whole, and the invocation lasts as long as the WebSocket."""
    response, socket = await opened(either)
    assert response.headers == [("sec-websocket-protocol", b"chat")]
    for message in (Text("ä"), Binary(b"\0\xff" * 2**19), Text("")):
        await socket.send(message)
        assert await socket.receive() == message
    (isolate,) = either.runner._pool._isolates.values()
    assert len(isolate.invocations.in_flight) == 1
    await response.aclose()
    assert not isolate.invocations.in_flight


async def test_listeners_have_a_way_out(either: Workers) -> None:
    """A fetch() in a listener is of the request that opened the WebSocket."""
    response, socket = await opened(either)
    await socket.send(Text("fetch"))
    assert await socket.receive() == Text("for d")
    assert [(detail, request.url) for detail, request in either.subrequests] == [
        ("d", "http://o.test/")
    ]
    await response.aclose()


@pytest.mark.parametrize("close", CLOSES, ids=repr)
async def test_closes_reach_the_worker(workers: Workers, close: Close) -> None:
    """Each code arrives with its reason, and so does the Worker's answer."""
    response, socket = await opened(workers)
    await socket.send(close)
    assert await socket.receive() == close
    await response.aclose()


async def test_the_worker_closes(either: Workers) -> None:
    """Its code and reason arrive."""
    response, socket = await opened(either)
    await socket.send(Text("close"))
    assert await socket.receive() == Close(4321, "the Worker")
    await socket.send(Close(4321, "the Worker"))
    await response.aclose()


async def test_a_worker_that_dies(either: Workers) -> None:
    """Its WebSocket ends without a close."""
    response, socket = await opened(either)
    (isolate,) = either.runner._pool._isolates.values()
    isolate._process.kill()
    assert await socket.receive() is None
    await response.aclose()


async def test_an_ordinary_answer(either: Workers) -> None:
    """A Worker may answer a request for a WebSocket as any other."""
    source = (
        "export default { fetch: (r) => new Response(r.headers.get('upgrade'), { status: 426 }) }"
    )
    request = Request("GET", "http://a.test/", websocket=True)
    assert await either.fetch(source, request=request) == (426, "websocket")


async def test_fetch_with_upgrade(either: Workers, origin: Echo) -> None:
    """`fetch` with an Upgrade header gives the origin's WebSocket, and its headers."""
    source = """export default { async fetch() {
      const response = await fetch('https://o.test/', { headers: { Upgrade: 'websocket', 'Sec-WebSocket-Protocol': 'v2' } });
      const ws = response.webSocket;
      ws.accept();
      const got = new Promise((ok) => ws.addEventListener('message', (e) => ok(e.data)));
      ws.send('hello');
      const text = await got;
      ws.close(1000, 'enough');
      return new Response(`${response.status} ${response.headers.get('sec-websocket-protocol')} ${text}`);
    } }"""
    assert await either.fetch(source) == (200, "101 v2 hello")
    await origin.closed.wait()
    assert origin.received == [Text("hello"), Close(1000, "enough")]
    ((_, request),) = either.subrequests
    assert request.headers == [("sec-websocket-protocol", b"v2")]


async def test_a_websocket_passed_on(either: Workers, origin: Echo) -> None:
    """A Worker that returns the origin's response carries the WebSocket through."""
    response, socket = await opened(
        either, "export default { fetch: (request) => fetch('http://o.test/', request) }"
    )
    assert ("sec-websocket-protocol", b"v2") in response.headers
    await socket.send(Text("x"))
    assert await socket.receive() == Text("x")
    await socket.send(Close(3456, "reason"))
    assert await socket.receive() == Close(3456, "reason")
    assert origin.received == [Text("x"), Close(3456, "reason")]
    await response.aclose()


async def test_the_constructor(either: Workers, origin: Echo) -> None:
    """`new WebSocket` opens, carries messages and closes as the native one."""
    out = await run(
        either,
        """out.push(ws.readyState, ws.url, ws instanceof WebSocket, new WebSocketPair()[0] instanceof WebSocket);
        try { ws.send('early') } catch (e) { out.push(e.name) }
        ws.onopen = () => { out.push(ws.readyState, ws.protocol); ws.send('text'); ws.send(new Uint8Array([7])) };
        ws.onmessage = async ({ data }) => {
          if (typeof data === 'string') return out.push(data);
          out.push(new Uint8Array(data)[0], (await fetch('http://o.test/')).status);
          ws.close(4000, 'enough');
        };""",
    )
    assert out == [
        *[0, "ws://o.test/x?y", True, True],
        "InvalidStateError",
        *[1, "v2"],
        *["text", 7, 403],
        ["close", 4000, "enough", True, 3],
    ]
    assert either.subrequests[0][1].url == "http://o.test/x?y"
    assert origin.received[-1] == Close(4000, "enough")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
async def test_closes_from_the_origin(either: Workers, origin: Echo, code: int) -> None:
    """A listener is told the origin's code and reason."""
    out = await run(either, f"ws.onopen = () => ws.send('close{code}');")
    assert out[-1] == ["close", code, "the origin", True, 3]


async def test_an_origin_that_vanishes(either: Workers, origin: Echo) -> None:
    """It is an error and 1006, never a clean close."""
    out = await run(either, "ws.onopen = () => ws.send('vanish');")
    assert out[-1][:2] == ["close", 1006]
    assert out[-1][3] is False


async def test_an_origin_that_refuses(either: Workers, origin: Echo) -> None:
    """It is an error that says why, and 1006."""
    out = await run(either, "ws.onopen = () => out.push('open');", "wss://o.test/refused")
    assert [item[0] for item in out] == ["error", "close"]
    assert "403" in out[0][1]
    assert out[1][1:4] == [1006, "Failed to establish websocket connection", False]


@pytest.mark.parametrize(
    "arguments",
    [
        "'nonsense'",
        "'ftp://o.test/'",
        "'ws://o.test/#f'",
        "'ws://o.test/', 'a b'",
        "'ws://o.test/', ['a', 'a']",
    ],
)
async def test_bad_arguments(workers: Workers, arguments: str) -> None:
    """They throw a SyntaxError at once."""
    source = f"""export default {{ fetch() {{
      try {{ new WebSocket({arguments}); return new Response('none') }} catch (e) {{ return new Response(e.name) }} }} }}"""
    assert await workers.fetch(source) == (200, "SyntaxError")


async def test_close_before_open(either: Workers, origin: Echo) -> None:
    """A socket that is closed while it connects never opens, and is closed with that code."""
    out = await run(either, "ws.onopen = () => out.push('open'); ws.close(4000, 'never mind');")
    assert [item[0] for item in out] == ["close"]


async def test_event_source(either: Workers) -> None:
    """Events come by the Worker's own way out; a listener's fetch() has it too."""

    async def answer(_: Invocation[str], exchange: Exchange) -> Response:
        if exchange.request.url.endswith("/events"):
            assert ("accept", b"text/event-stream") in exchange.request.headers
            body = b"data: one\n\nevent: named\ndata: two\n\n"
            return Response(200, [("content-type", b"text/event-stream")], Whole(body))
        return Response(200, body=Whole(b"in a listener"))

    either.answer = answer
    status, text = await either.fetch("""export default { async fetch() {
      const out = [];
      const source = new EventSource('http://o.test/events');
      const plain = new Promise((ok) => (source.onmessage = async ({ data }) => {
        out.push(data, await (await fetch('http://o.test/')).text()); ok(); }));
      source.addEventListener('named', ({ data }) => out.push(data));
      const over = new Promise((ok) => source.addEventListener('error', ok));
      await Promise.all([plain, over]);
      return Response.json([out.sort(), source instanceof EventSource, source.readyState]);
    } }""")
    assert (status, json.loads(text)) == (200, [["in a listener", "one", "two"], True, 2])


async def test_send_beacon(either: Workers) -> None:
    """It is a POST in the background."""
    sent = asyncio.Event()

    async def answer(_: Invocation[str], exchange: Exchange) -> Response:
        sent.set()
        return Response(204)

    either.answer = answer
    source = (
        "export default { fetch: () => new Response(navigator.sendBeacon('http://o.test/', 'x')) }"
    )
    assert await either.fetch(source) == (200, "true")
    await sent.wait()
    ((_, request),) = either.subrequests
    assert request.method == "POST"


@pytest.mark.parametrize("arguments", ["1005", "999", "5000", "undefined, 'reason'"])
async def test_bad_closes(either: Workers, origin: Echo, arguments: str) -> None:
    """They throw what the native close() throws, before it has opened and after."""
    native = await either.fetch(
        f"""export default {{ fetch() {{
          const [ws] = Object.values(new WebSocketPair());
          ws.accept();
          try {{ ws.close({arguments}) }} catch (e) {{ return new Response(e.name + e.message) }} }} }}"""
    )
    out = await run(
        either,
        f"""const refused = () => {{ try {{ ws.close({arguments}) }} catch (e) {{ out.push(e.name + e.message) }} }};
        refused();
        ws.onopen = () => {{ refused(); ws.close(1000) }};""",
    )
    assert out[:2] == [native[1], native[1]]
