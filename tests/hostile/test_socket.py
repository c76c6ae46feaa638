"""Attacks on an isolate's egress socket: from other processes, and with tokens of others.

A Worker without the gate stands for one that broke out of it: it says any token it likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sluice.http1.server import Exchange
from sluice.isolate.folder import EGRESS_SOCKET
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.messages import Request, Response
from tests.isolate.workers import Workers

WAITS = "export default { async fetch() { return fetch('https://origin.test/stay') } }"
REQUESTS = {
    "a request": b"GET https://origin.test/ HTTP/1.1\r\nx-sluice-token: %b\r\n\r\n",
    "a tunnel": b"CONNECT 192.0.2.1:80 HTTP/1.1\r\nx-sluice-token: %b\r\n\r\n",
    "an upgrade": b"GET https://origin.test/ HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nx-sluice-token: %b\r\n\r\n",
    "nothing": b"",
}
DIAL = """import socket, sys
peer = socket.socket(socket.AF_UNIX); peer.settimeout(5); peer.connect(sys.argv[1])
try: peer.sendall(bytes.fromhex(sys.argv[2])); print(peer.recv(65536))
except (BrokenPipeError, ConnectionResetError): print(b'')"""


@pytest_asyncio.fixture(loop_scope="session")
async def held(workers: Workers, run_folder: Path) -> AsyncIterator[tuple[Path, str]]:
    """The egress socket of an isolate, and the token of an invocation that is live there."""
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    go = asyncio.Event()

    async def answer(invocation: Invocation[str], _: Exchange) -> Response:
        came.set_result(invocation.token)
        await go.wait()
        return Response(200)

    workers.answer = answer
    before = set(run_folder.glob(f"**/{EGRESS_SOCKET}"))
    # A source of its own, so that it has a process of its own.
    running = asyncio.create_task(workers.fetch(f"{WAITS} // {secrets.token_hex(8)}"))
    token = await came
    (path,) = set(run_folder.glob(f"**/{EGRESS_SOCKET}")) - before
    workers.subrequests.clear()
    yield path, token
    go.set()
    await running


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_another_process(workers: Workers, held: tuple[Path, str], sent: bytes) -> None:
    """A process other than the isolate's gets no answer, whatever token it knows."""
    path, token = held
    data = sent % token.encode() if b"%b" in sent else sent
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIAL, str(path), data.hex(), stdout=PIPE, stdin=DEVNULL
    )
    out, _ = await process.communicate()
    assert out == b"b''\n"
    assert workers.subrequests == []


async def test_the_service_itself(workers: Workers, held: tuple[Path, str]) -> None:
    """Not even the process that listens there is let in."""
    path, token = held
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(REQUESTS["a request"] % token.encode())
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert workers.subrequests == []


async def test_socket_is_alone(held: tuple[Path, str]) -> None:
    """Nobody but the service's user can open an isolate's folder."""
    path, _ = held
    assert path.parent.stat().st_mode & 0o077 == 0
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer,
        pytest.raises(OSError, match="Protocol"),
    ):
        peer.connect(str(path))


LIAR = """export default { async fetch(request) {
  const { headers } = await request.json();
  try {
    const response = await ServiceWorkerGlobalScope.prototype.fetch.call(globalThis, 'https://origin.test/', { headers });
    return Response.json([response.status, response.headers.get('x-sluice-error') ?? await response.text()]);
  } catch (error) { return Response.json([0, error.message]) } } }"""


async def lie(trusted: Workers, headers: list[tuple[str, str]]) -> tuple[int, str]:
    """What comes of a subrequest with these headers and no others."""
    body = json.dumps({"headers": headers}).encode()
    _, text = await trusted.fetch(LIAR, request=Request("POST", "http://a.test/", body=Whole(body)))
    status, said = json.loads(text)
    return status, said


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-sluice-token", "")],
        [("x-sluice-token", "a" * 48)],
        [("x-sluice-token", "None")],
        [("x-sluice-token", "null")],
        [("x-sluice-token", "\u00e9" * 24)],
        [("x_sluice_token", "a" * 48)],
        [("x-sluice-get", '{"binding":"dispatcher","name":"victim","props":{},"outbound":{},"limits":{}}')],
    ],
)  # fmt: skip
async def test_no_token(trusted: Workers, headers: list[tuple[str, str]]) -> None:
    """A subrequest without a live token goes nowhere, and says so."""
    status, said = await lie(trusted, headers)
    assert status == 403
    assert "not permitted to access the internet outside of a request" in said
    assert trusted.subrequests == []


async def test_token_of_another_isolate(trusted: Workers, held: tuple[Path, str]) -> None:
    """The token of an invocation that is live in another isolate is none here."""
    _, token = held
    status, said = await lie(trusted, [("x-sluice-token", token)])
    assert status == 403
    assert "not permitted" in said
    assert trusted.subrequests == []


async def test_two_tokens(trusted: Workers) -> None:
    """Two tokens are none: workerd joins them, or sends both, and neither is let through."""
    status, _ = await lie(trusted, [("x-sluice-token", "a" * 48), ("x-sluice-token", "b" * 48)])
    assert status in (400, 403)
    assert trusted.subrequests == []


async def test_dead_token(trusted: Workers) -> None:
    """A token is good for a while after its response, and then for nothing."""
    source = """let token; const native = (...args) => ServiceWorkerGlobalScope.prototype.fetch.apply(globalThis, args);
        const set = Headers.prototype.set;
        Headers.prototype.set = function (name, value) { if (name === 'x-sluice-token') token ??= value; return set.call(this, name, value) };
        export default { async fetch(request) {
          if (request.url.endsWith('first')) { await fetch('https://origin.test/first'); return new Response(token) }
          const response = await native('https://origin.test/late', { headers: { 'x-sluice-token': token } });
          return new Response(response.headers.get('x-sluice-error') ?? await response.text()) } }"""
    assert (await trusted.fetch(source, "http://a.test/first", detail="first"))[0] == 200
    assert await trusted.fetch(source, "http://a.test/late", detail="late") == (200, "for first")
    for isolate in trusted.runner._pool._isolates.values():
        isolate.invocations.forget_ended(float("inf"))
    _, text = await trusted.fetch(source, "http://a.test/late", detail="late")
    assert "not permitted" in text
    assert len(trusted.subrequests) == 2
