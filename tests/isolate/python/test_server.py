"""The guest's server: what the Worker sees of a request, and what the host of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sluice.http1.server import Exchange
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.bodies import read_all
from tests.isolate.python.conftest import StartGuest


class Chunks:
    """A body that is sent as the test says."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.taken = 0
        self.is_closed = asyncio.Event()

    def take(self) -> tuple[bytes, bool]:
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            chunk = await self.queue.get()
            if isinstance(chunk, Exception):
                raise chunk
            if chunk is None:
                return
            self.taken += 1
            yield chunk

    async def aclose(self) -> None:
        self.is_closed.set()


async def test_control_headers_are_nobodys(start: StartGuest) -> None:
    """A Worker sees none of the host's headers, and sends none of its own."""
    guest = await start("""
from workers import Response
def on_fetch(request, env, ctx):
    seen = [name for name in request.headers if name.startswith("x-sluice")]
    return Response(f"{seen} {ctx.props.plan} {env.customer_name}", headers={
        "x-sluice-error": "{}", "X-Sluice-Other": "1", "connection": "close", "x-mine": "1"})
""")
    reply = await guest.fetch(
        call={"props": {"plan": "free"}}, env={"customer_name": "acme"}, headers=[("x-a", "1")]
    )
    assert reply.text == "[] free acme"
    assert reply.error is None
    assert sorted(name for name, _ in reply.headers) == ["content-type", "x-mine"]


async def test_params_stand_before_vars(start: StartGuest) -> None:
    """What the host says of this request's env wins over the Worker's own bindings."""
    guest = await start(
        "from workers import Response, env\n"
        "def on_fetch(request): return Response(f'{env.A} {env.B}')\n",
        bindings={"A": "var", "B": "var"},
    )
    assert (await guest.fetch(env={"A": "param"})).text == "param var"
    assert (await guest.fetch()).text == "var var"


RAISED = [
    ("raise ValueError('bad \u00e9\\n')", "ValueError", "bad \u00e9\n"),
    ("raise KeyError('k')", "KeyError", "k"),
    ("class Mine(Exception): pass\n    raise Mine('m' * 3000)", "Mine", "m" * 2048),
    ("return 'text'", "TypeError", "A handler must return a Response, not str."),
    ("return None", "TypeError", "A handler must return a Response, not NoneType."),
    (
        "return Response.error()",
        "TypeError",
        "Return value from serve handler must not be an error response (like Response.error())",
    ),
    (
        "r = Response('x'); await r.text(); return r",
        "TypeError",
        "Body has already been used. It can only be used once.",
    ),
    ("raise SystemExit(3)", "SystemExit", "3"),
    (
        "class Bad(Exception):\n        def __str__(self): raise OSError\n    raise Bad",
        "Bad",
        "<str() of the exception raised OSError>",
    ),
]


async def test_what_is_raised_is_told(start: StartGuest) -> None:
    """The host learns the name and the message of whatever a handler raises, and the next works."""
    ways = "".join(f"async def way_{i}():\n    {way[0]}\n" for i, way in enumerate(RAISED))
    guest = await start(
        f"from workers import Response\n{ways}"
        "async def on_fetch(request): return await globals()[request.url[14:]]()\n"
    )
    for number, (_, name, message) in enumerate(RAISED):
        reply = await guest.fetch(f"http://w.test/way_{number}")
        assert (reply.status, reply.body) == (500, b"")
        assert reply.error == {"kind": "exception", "name": name, "message": message}


async def test_a_traceback_has_the_workers_frames_only(start: StartGuest) -> None:
    """Standard error shows file and line in the bundle, and nothing of the machine."""
    guest = await start(
        {
            "main.py": "import pkg.deep\ndef on_fetch(request): pkg.deep.fail()\n",
            "pkg/deep.py": "import json\ndef fail():\n    json.loads('{')\n",
        }
    )
    await guest.fetch()
    printed = await guest.printed()
    assert 'File "main.py", line 2, in on_fetch' in printed
    assert 'File "pkg/deep.py", line 3, in fail' in printed
    assert 'File "json/decoder.py"' in printed
    assert "aiohttp" not in printed
    assert "sluice" not in printed
    assert "JSONDecodeError" in printed


async def test_bodies_stream_both_ways(start: StartGuest) -> None:
    """A chunk that is sent comes back before the next is sent."""
    guest = await start(
        "from workers import Response\ndef on_fetch(request): return Response(request.body)\n"
    )
    sent = Chunks()
    sent.queue.put_nowait(b"first")
    response, _ = await guest.open(method="POST", body=sent)
    received = aiter(response.body)
    assert await anext(received) == b"first"
    sent.queue.put_nowait(b"second")
    assert await anext(received) == b"second"
    sent.queue.put_nowait(None)
    with pytest.raises(StopAsyncIteration):
        await anext(received)


async def test_a_slow_reader_slows_the_worker(start: StartGuest) -> None:
    """A Worker is not let write more than some buffers hold while nobody reads."""
    guest = await start("""
from workers import Response
written = 0
async def much():
    global written
    for _ in range(1000):
        written += 65536
        yield bytes(65536)
def on_fetch(request):
    return Response(str(written) if request.url.endswith("/look") else much())
""")
    response, _ = await guest.open()
    first = (await guest.fetch("http://w.test/look")).text
    assert int((await guest.fetch("http://w.test/look")).text) < 4 * 1024 * 1024, first
    content = await read_all(response.body, 70 * 1024 * 1024)
    assert content is not None
    assert len(content) == 65536 * 1000


CUT = {
    "a stream that fails": "async def parts():\n    yield b'a'\n    raise OSError('oops')\n",
    "a stream of a wrong type": "async def parts():\n    yield b'a'\n    yield 3\n",
}


@pytest.mark.parametrize("case", CUT)
async def test_a_body_that_breaks_off_is_not_whole(start: StartGuest, case: str) -> None:
    """The host never takes a response that failed midway for a whole one, and goes on."""
    guest = await start(
        f"from workers import Response\n{CUT[case]}"
        "def on_fetch(request):\n"
        "    return Response('fine' if request.url.endswith('/ok') else parts())\n"
    )
    response, _ = await guest.open()
    with pytest.raises(SluiceError) as failure:
        await read_all(response.body, 1024)
    assert failure.value.reason is Reason.BODY_CUT_SHORT
    assert (await guest.fetch("http://w.test/ok")).text == "fine"
    printed = await guest.printed()
    assert "Error: " in printed
    assert "aiohttp" not in printed


async def test_an_origins_body_that_breaks_off_is_not_whole(start: StartGuest) -> None:
    """A response that is cut short on its way through the Worker is cut short for the host too."""
    guest = await start(
        "from workers import fetch\nasync def on_fetch(request): return await fetch('http://o/')\n"
    )

    async def answer(_: Exchange, __: bytes) -> Response:
        body = Chunks()
        body.queue.put_nowait(b"begin")
        body.queue.put_nowait(SluiceError(Reason.BODY_CUT_SHORT, "gone"))
        return Response(200, body=body)

    guest.answer = answer
    response, _ = await guest.open()
    with pytest.raises(SluiceError):
        await read_all(response.body, 1024)


async def test_a_request_that_breaks_off_is_an_error_to_its_reader(start: StartGuest) -> None:
    """The Worker's read of a body that is cut short raises; the origin never sees it whole."""
    guest = await start(
        "from workers import fetch, Response\n"
        "async def on_fetch(request):\n"
        "    return await fetch('http://o.test/', method='POST', body=request.body)\n"
    )
    sent = Chunks()
    sent.queue.put_nowait(b"part")
    sent.queue.put_nowait(SluiceError(Reason.BODY_CUT_SHORT, "gone"))
    with pytest.raises(SluiceError):
        await guest.open(method="POST", body=sent)
    assert guest.subrequests == []


async def test_a_client_that_leaves_cancels_the_handler(start: StartGuest) -> None:
    """When the host gives a request up, the Worker's handler is cancelled, and its subrequest."""
    guest = await start("""
import asyncio
from workers import Response, fetch
cancelled = asyncio.Event()
async def on_fetch(request):
    if request.url.endswith("/look"):
        await cancelled.wait()
        return Response("cancelled")
    try:
        await fetch("http://origin.test/")
    except asyncio.CancelledError:
        cancelled.set()
        raise
""")
    gone = asyncio.Event()

    async def answer(_: Exchange, __: bytes) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError

    guest.answer = answer
    request = asyncio.create_task(guest.open())
    await guest.until(1)
    request.cancel()
    assert (await guest.fetch("http://w.test/look")).text == "cancelled"
    async with asyncio.timeout(5):
        await gone.wait()


async def test_wait_until_goes_on_after_the_response(start: StartGuest) -> None:
    """Work given to wait_until subrequests as its invocation; what it raises is printed only."""
    guest = await start("""
import asyncio
from workers import Response, fetch
async def work(go):
    await go.wait()
    await fetch("http://logs.test/")
    raise ValueError("late")
held = []
async def on_fetch(request, env, ctx):
    if request.url.endswith("/go"):
        held[0].set()
        return Response("went")
    held.append(asyncio.Event())
    ctx.waitUntil(work(held[0]))
    return Response("answered")
""")
    assert (await guest.fetch(token="worker")).text == "answered"
    await guest.fetch("http://w.test/go", token="other")
    assert [sub.token for sub in await guest.until(1)] == ["worker"]


async def test_a_request_that_failed_open_is_passed_on(start: StartGuest) -> None:
    """After pass_through_on_exception, what raises sends the request on, unless its body is read."""
    guest = await start("""
async def on_fetch(request, env, ctx):
    ctx.pass_through_on_exception()
    if request.url.endswith("/read"):
        await request.text()
    raise ValueError("no")
""")
    reply = await guest.fetch("http://w.test/a", method="POST", body=b"kept", token="t")
    assert reply.text == "for t"
    assert guest.subrequests[0].body == b"kept"
    reply = await guest.fetch("http://w.test/read", method="POST", body=b"kept")
    assert reply.error is not None
    assert reply.error["name"] == "ValueError"


async def test_a_process_for_one_request_ends(start: StartGuest) -> None:
    """With `once`, the guest ends well after its response and its work after that."""
    guest = await start(
        """
import asyncio
from workers import Response, fetch, wait_until
async def work():
    await asyncio.sleep(0)
    await fetch("http://logs.test/")
def on_fetch(request):
    wait_until(work())
    return Response("x" * 3_000_000)
""",
        once=True,
    )
    assert len((await guest.fetch()).body) == 3_000_000
    async with asyncio.timeout(5):
        assert await guest.process.wait() == 0
    assert len(guest.subrequests) == 1


EXITS = {
    "a task that nobody awaits": "asyncio.ensure_future(leave())",
    "a callback": "asyncio.get_running_loop().call_soon(sys.exit, 'left')",
    "a task that is awaited": "try: await asyncio.ensure_future(leave())\n"
    "    except SystemExit: pass",
}


@pytest.mark.parametrize("case", EXITS)
async def test_system_exit_ends_its_task(start: StartGuest, case: str) -> None:
    """It is printed, once, with the Worker's frames only; the process and other requests go on."""
    guest = await start(f"""
import asyncio, sys
from workers import Response
held = asyncio.Event()
async def leave(): raise SystemExit("left")
async def on_fetch(request):
    if request.url.endswith("/held"):
        await held.wait()
        return Response("held")
    {EXITS[case]}
    await asyncio.sleep(0)
    held.set()
    return Response("on")
""")
    held = asyncio.create_task(guest.fetch("http://w.test/held"))
    assert (await guest.fetch()).text == "on"
    assert (await held).text == "held"
    printed = await guest.printed()
    assert printed.count("SystemExit: left") == 1
    assert "sluice_guest" not in printed


async def test_a_task_that_fails_is_shown(start: StartGuest) -> None:
    """What a task raises that nobody awaits is printed, without the frames of the server."""
    guest = await start("""
import asyncio
from workers import Response
async def fail(): raise ValueError("oops")
async def on_fetch(request):
    asyncio.ensure_future(fail())
    await asyncio.sleep(0.01)
    return Response("on")
""")
    assert (await guest.fetch()).text == "on"
    printed = await guest.printed()
    assert 'File "main.py", line 4, in fail\n' in printed
    assert printed.count("oops") == 2  # its line, and its message
    assert "asyncio" not in printed
