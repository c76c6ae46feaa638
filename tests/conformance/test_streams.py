"""Bodies as they come, cut short, and not wanted any more: in the mesh as in plain workerd.

Each scene is played in both chains. It returns what was seen; that must be the same in both, and
what the scene's row says.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.chain import Chain
from tests.conformance.messages import (
    read_body,
    read_chunk,
    read_head,
    read_response,
    read_response_head,
)
from tests.conformance.origin import Answer, Origin, answer, end
from tests.conformance.scene import CHUNKED, CHUNKED_HEAD, OK, Play, Scene, chunk, gone, until_gone


async def _events(scene: Scene) -> Any:
    """Server-sent events arrive one by one: the next is sent when the client has the one before."""
    arrived = scene.serve_by_hand()
    events = []
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_events"))
        for number in range(3):
            message, (_, to_worker) = await arrived.get()
            assert message.start == f"GET /gate/{number} HTTP/1.1"
            to_worker.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            to_worker.close()
            if number == 0:
                await read_response_head(reader)
            events.append(await read_chunk(reader))
        events.append(await read_chunk(reader))
        return events


async def _download(scene: Scene) -> Any:
    """A response's pieces arrive as the origin sends them."""
    arrived = scene.serve_by_hand()
    pieces = []
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass"))
        _, (_, to_worker) = await arrived.get()
        to_worker.write(CHUNKED_HEAD + chunk(b"one"))
        response = await read_response_head(reader)
        pieces.append(await read_chunk(reader))
        to_worker.write(chunk(b"two"))
        pieces.append(await read_chunk(reader))
        to_worker.write(b"0\r\n\r\n")
        pieces.append(await read_chunk(reader))
        return response.start, pieces


async def _head_first(scene: Scene) -> Any:
    """A head arrives before the first byte of its body."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass"))
        _, (_, to_worker) = await arrived.get()
        to_worker.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\n")
        response = await read_response_head(reader)
        to_worker.write(b"abc")
        await read_body(reader, response, until_close=True)
        return response.body, response.value("content-length")


async def _upload(scene: Scene) -> Any:
    """A request's pieces arrive at the origin as the client sends them."""
    arrived = scene.serve_by_hand()
    pieces = []
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass", "POST", CHUNKED, body=chunk(b"one")))
        _, (from_worker, to_worker) = await arrived.get()
        pieces.append(await read_chunk(from_worker))
        writer.write(chunk(b"two"))
        pieces.append(await read_chunk(from_worker))
        writer.write(b"0\r\n\r\n")
        pieces.append(await read_chunk(from_worker))
        to_worker.write(OK)
        return pieces, (await read_response(reader, "POST")).body


async def _echo(scene: Scene) -> Any:
    """A Worker answers with the request's body while it is still being sent."""
    pieces = []
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_echo", "POST", CHUNKED, body=chunk(b"one")))
        await read_response_head(reader)
        pieces.append(await read_chunk(reader))
        writer.write(chunk(b"two"))
        pieces.append(await read_chunk(reader))
        writer.write(b"0\r\n\r\n")
        pieces.append(await read_chunk(reader))
        return pieces


async def _expected(scene: Scene) -> Any:
    """A client that asks first is told to go on, and then sends."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass", "POST", "expect: 100-continue", "content-length: 4"))
        interim, _ = await read_head(reader)
        writer.write(b"body")
        message, (from_worker, to_worker) = await arrived.get()
        await read_body(from_worker, message, until_close=False)
        to_worker.write(OK)
        return interim, message.body, (await read_response(reader, "POST")).body


async def _cut_upload(scene: Scene, framing: str, body: bytes) -> Any:
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (_, writer):
        writer.write(scene.raw("pass", "POST", framing) + body)
        message, (from_worker, _) = await arrived.get()
        first = await from_worker.readuntil(b"abc")
        writer.transport.abort()
        rest = await until_gone(from_worker)
        return message.start, first[-3:], rest.removeprefix(b"\r\n")


async def _cut_upload_length(scene: Scene) -> Any:
    """An upload that the client breaks off does not end cleanly at the origin."""
    return await _cut_upload(scene, "content-length: 10", b"abc")


async def _cut_upload_chunks(scene: Scene) -> Any:
    """Nor does a chunked one, though it ends between two chunks."""
    return await _cut_upload(scene, CHUNKED, chunk(b"abc"))


async def _cut_download(scene: Scene, head: bytes, first: bytes, how: str) -> Any:
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass"))
        _, (_, to_worker) = await arrived.get()
        to_worker.write(head + first)
        response = await read_response_head(reader)
        assert b"abc" in await reader.readuntil(b"abc")
        end(to_worker, how)
        rest = await until_gone(reader)
        return response.status, b"0\r\n\r\n" in rest


async def _cut_download_length(scene: Scene) -> Any:
    """A download that the origin breaks off does not end cleanly at the client."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
    return await _cut_download(scene, head, b"abc", "close")


async def _cut_download_chunks(scene: Scene) -> Any:
    """Nor does a chunked one, though it ends between two chunks."""
    return await _cut_download(scene, CHUNKED_HEAD, chunk(b"abc"), "close")


async def _cut_download_reset(scene: Scene) -> Any:
    """Nor one without a length that ends by a reset."""
    return await _cut_download(scene, b"HTTP/1.1 200 OK\r\n\r\n", b"abc", "reset")


async def _leave_before_head(scene: Scene) -> Any:
    """A client that leaves closes the connection to the origin."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (_, writer):
        writer.write(scene.raw("pass"))
        _, (from_worker, _) = await arrived.get()
        end(writer, "reset")
        return await gone(from_worker)


async def _leave_within_body(scene: Scene) -> Any:
    """So does one that leaves within the body."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass"))
        _, (from_worker, to_worker) = await arrived.get()
        to_worker.write(CHUNKED_HEAD + chunk(b"one"))
        await read_response_head(reader)
        await read_chunk(reader)
        end(writer, "reset")
        return await gone(from_worker)


async def _leave_within_upload(scene: Scene) -> Any:
    """And one that leaves while the Worker still reads its request."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (_, writer):
        writer.write(scene.raw("pass", "POST", CHUNKED, body=chunk(b"one")))
        _, (from_worker, _) = await arrived.get()
        await read_chunk(from_worker)
        end(writer, "reset")
        return await gone(from_worker)


async def _leave_seen(scene: Scene) -> Any:
    """The Worker's request.signal is aborted, and its waitUntil() work goes on."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (_, writer):
        writer.write(scene.raw("s_client_leaves"))
        await arrived.get()
        end(writer, "reset")
        return await scene.origin.report(who="user")


async def _abort(scene: Scene) -> Any:
    """AbortController cancels a subrequest down to the origin."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_abort"))
        _, (from_worker, _) = await arrived.get()
        closed = await gone(from_worker)
        return closed, (await read_response(reader, "GET")).body


async def _abort_body(scene: Scene) -> Any:
    """... within the body of its response, too."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_abort_body"))
        _, (from_worker, to_worker) = await arrived.get()
        to_worker.write(CHUNKED_HEAD + chunk(b"one"))
        closed = await gone(from_worker)
        return closed, (await read_response(reader, "GET")).body


async def _cancel_body(scene: Scene) -> Any:
    """A body that a Worker cancels is cancelled at the origin."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_cancel_body"))
        _, (from_worker, to_worker) = await arrived.get()
        to_worker.write(CHUNKED_HEAD + chunk(b"one"))
        closed = await gone(from_worker)
        return closed, (await read_response(reader, "GET")).body


async def _timeout(scene: Scene) -> Any:
    """AbortSignal.timeout() ends a subrequest that gets no answer."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("f_timeout"))
        _, (from_worker, _) = await arrived.get()
        closed = await gone(from_worker)
        return closed, (await read_response(reader, "GET")).body


async def _early_answer(scene: Scene) -> Any:
    """A Worker may answer before it has the request's body, and never read it."""
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("s_early_answer", "POST", "content-length: 1000") + b"x" * 10)
        response = await read_response(reader, "POST")
        return response.status, response.body


async def _early_answer_of_origin(scene: Scene) -> Any:
    """So may an origin."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("pass", "POST", CHUNKED, body=chunk(b"one")))
        _, (from_worker, to_worker) = await arrived.get()
        await read_chunk(from_worker)
        to_worker.write(answer("413 Content Too Large", "connection: close", body=b"enough").raw)
        response = await read_response(reader, "POST")
        return response.status, response.body


async def _wait_until(scene: Scene) -> Any:
    """The response does not wait for waitUntil(), whose fetch() comes later."""
    scene.origin.reset(answer(body=b"late"))
    response = await scene.chain.ask(scene.raw("f_wait_until"))
    await scene.origin.report(late="late")
    return response.body, [request.start for request in scene.origin.requests]


async def _at_once(scene: Scene) -> Any:
    """Two subrequests of one request are in flight at the same time."""
    arrived = scene.serve_by_hand()
    async with scene.chain.connect() as (reader, writer):
        writer.write(scene.raw("f_twice"))
        both = [await arrived.get() for _ in range(2)]
        for message, (_, to_worker) in reversed(both):
            path = message.start.split()[1].encode()
            to_worker.write(answer("200 OK", "connection: close", body=path).raw)
        return (await read_response(reader, "GET")).body


async def _kept_alive(scene: Scene) -> Any:
    """Requests on one connection are answered in turn, pipelined ones too."""
    raw = scene.raw("a_text").replace(b"connection: close\r\n", b"")
    seen = []
    async with scene.chain.connect() as (reader, writer):
        writer.write(raw)
        seen.append((await read_response(reader, "GET")).body)
        writer.write(raw + scene.raw("a_json").replace(b"connection: close\r\n", b""))
        seen.append((await read_response(reader, "GET")).body)
        seen.append((await read_response(reader, "GET")).body)
    return seen


async def _resent(scene: Scene) -> Any:
    """A request with a body is not sent twice where the origin closes without an answer."""
    scene.origin.reset(answer(), Answer(b"", "close"), answer())
    first = await scene.chain.ask(scene.raw("pass"))
    second = await scene.chain.ask(scene.raw("pass", "POST", body=b"once"))
    return first.status, second.status, len(scene.origin.requests)


SCENES: list[tuple[Play, Any]] = [
    (_events, [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n", b""]),
    (_download, ("HTTP/1.1 200 OK", [b"one", b"two", b""])),
    (_head_first, (b"abc", b"3")),
    (_upload, ([b"one", b"two", b""], b"ok")),
    (_echo, [b"one", b"two", b""]),
    (_expected, ("HTTP/1.1 100 Continue", b"body", b"ok")),
    (_cut_upload_length, ("POST / HTTP/1.1", b"abc", b"")),
    (_cut_upload_chunks, ("POST / HTTP/1.1", b"abc", b"")),
    (_cut_download_length, (200, False)),
    (_cut_download_chunks, (200, False)),
    (_cut_download_reset, (200, False)),
    (_leave_before_head, True),
    (_leave_within_body, True),
    (_leave_within_upload, True),
    (_leave_seen, {"who": "user", "signal": "abort"}),
    (_abort, (True, b"AbortError: The operation was aborted")),
    (_abort_body, (True, b"one|AbortError: The operation was aborted")),
    (_cancel_body, (True, b"one")),
    (_timeout, (True, b"TimeoutError: The operation was aborted due to timeout")),
    (_early_answer, (413, b"early")),
    (_early_answer_of_origin, (413, b"enough")),
    (_wait_until, (b"before", ["GET /late HTTP/1.1"])),
    (_at_once, b"/one /two"),
    (_kept_alive, [b"text", b"text", b'{"a":[1,"\xc3\xa9"]}']),
    (_resent, (200, 599, 2)),
]


@pytest.mark.parametrize(
    ("play", "expected"), SCENES, ids=[play.__name__[1:] for play, _ in SCENES]
)
async def test_scene(
    play: Play, expected: Any, chains: tuple[Chain, Chain], origin: Origin
) -> None:
    """What is seen in the mesh is what is seen in plain workerd, and what the row says."""
    seen = {}
    for chain in chains:
        origin.reset()
        seen[chain.name] = await play(Scene(chain, origin))
    assert seen == {"plain": expected, "mesh": expected}


async def test_half_close(chains: tuple[Chain, Chain], origin: Origin) -> None:
    """A client that closes its sending side has left; plain workerd still answers it."""
    seen = []
    for chain in chains:
        arrived = Scene(chain, origin).serve_by_hand()
        async with chain.connect() as (reader, writer):
            writer.write(Scene(chain, origin).raw("pass"))
            _, (from_worker, to_worker) = await arrived.get()
            writer.write_eof()
            if chain.name == "mesh":
                assert await gone(from_worker)
            to_worker.write(OK)
            seen.append(b"ok" in await until_gone(reader))
    assert seen == [True, False]
