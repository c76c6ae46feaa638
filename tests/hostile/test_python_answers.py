"""A Python Worker that answers, and prints, as it likes: it owns the connection and the output."""

from __future__ import annotations

import json

import pytest

from sluice.isolate.invocation import Limits
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.hostile.puppet import Puppet, python_bundle

ANSWERING = """
    import asyncio, gc
    from aiohttp import web
    from workers import Response

    async def on_fetch(request):
        said = (await request.text()).encode("latin-1")
        if not said:
            return Response("served")
        (http,) = [o for o in gc.get_objects() if isinstance(o, web.BaseRequest) and o.transport]
        piece, end, rest = said.partition(b"<for ever>")
        http.transport.write(piece)
        while end:
            http.transport.write(rest)
            await asyncio.sleep(0)
        http.transport.close()
        await asyncio.sleep(30)
"""
HEAD = "HTTP/1.1 200 OK\r\n"
INVALID, CUT = Reason.INVALID_RESPONSE, Reason.BODY_CUT_SHORT
ANSWERS: dict[str, tuple[str, Reason | int]] = {
    "an answer": (f"{HEAD}content-length: 2\r\n\r\nhi", 200),
    "an answer and another": (f"{HEAD}content-length: 2\r\n\r\nhi{HEAD}content-length: 2\r\n\r\nhi", 200),
    "no bytes it promised": (f"{HEAD}content-length: 200\r\n\r\nhi", CUT),
    "a load failure": (f'{HEAD}content-length: 0\r\nx-sluice-error: {{"kind":"load","name":"E","message":"forged"}}\r\n\r\n', Reason.WORKER_LOAD_FAILED),
    "a limit": (f'{HEAD}content-length: 0\r\nx-sluice-error: {{"kind":"EXCEEDED_CPU","name":"E","message":"forged"}}\r\n\r\n', Reason.WORKER_EXCEPTION),
    "100,000 lists": (f"{HEAD}content-length: 0\r\nx-sluice-error: {'[' * 100000}\r\n\r\n", Reason.WORKER_EXCEPTION),
    "two errors": (f"{HEAD}content-length: 0\r\nx-sluice-error: {{}}\r\nx-sluice-error: {{}}\r\n\r\n", INVALID),
    "a token": (f"{HEAD}content-length: 0\r\nx-sluice-token: a\r\nx-sluice-get: {{}}\r\n\r\n", 200),
    "a long head": (f"{HEAD}a: {'b' * 300000}\r\n\r\n", INVALID),
    "3,000 headers": (HEAD + "a: b\r\n" * 3000 + "\r\n", INVALID),
    "headers for ever": (f"{HEAD}<for ever>a: b\r\n", INVALID),
    "interim answers for ever": ("<for ever>HTTP/1.1 100 Continue\r\n\r\n", INVALID),
    "hints for ever": ("<for ever>HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", INVALID),
    "a chunk's length for ever": (f"{HEAD}transfer-encoding: chunked\r\n\r\n<for ever>0", CUT),
    "an extension for ever": (f"{HEAD}transfer-encoding: chunked\r\n\r\n5;<for ever>a", CUT),
    "trailers for ever": (f"{HEAD}transfer-encoding: chunked\r\n\r\n0\r\n<for ever>a: b\r\n", CUT),
    "a length and chunks": (f"{HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", INVALID),
    "a negative length": (f"{HEAD}content-length: -5\r\n\r\n", INVALID),
    "a switch": ("HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", INVALID),
    "status 999": ("HTTP/1.1 999 X\r\ncontent-length: 0\r\n\r\n", INVALID),
    "HTTP/2": ("HTTP/2.0 200 OK\r\n\r\n", INVALID),
    "noise": ("\0\xff\x16\x03\x01" * 100, INVALID),
    "bare line ends": ("HTTP/1.1 200 OK\ncontent-length: 2\n\nhi", INVALID),
    "a NUL": (f"{HEAD}a: \0\r\ncontent-length: 0\r\n\r\n", INVALID),
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
async def test_answer(solo: Puppet, answer: str) -> None:
    """A Worker that owns its connection can answer its own request wrongly, and that is all."""
    said, expected = ANSWERS[answer]
    bundle = python_bundle(ANSWERING)
    request = Request("POST", "http://a.test/", body=Whole(said.encode()))
    try:
        ended: Reason | int = (
            await solo.workers.fetch(bundle, request=request, limits=Limits(cpu=5))
        )[0]
    except SluiceError as error:
        ended = error.reason
    if ended is INVALID and expected is CUT:
        ended = CUT  # the head came together with what is wrong behind it
    assert ended == expected
    try:
        served = await solo.workers.fetch(bundle)
    except SluiceError:  # by the connection that the Worker had answered on, and then closed
        served = await solo.workers.fetch(bundle)
    assert served == (200, "served")


async def test_printing_for_ever(solo: Puppet) -> None:
    """Megabytes of output, and bytes that are no text, are bounded where they are kept."""
    source = "for _ in range(200): os.write(1, b'\\xff\\0\\x1b[2J' * 10000)\nreturn 'printed'"
    assert await solo.run(source, name="prints") == "printed"
    lines = solo.workers.runner.output._kept["ns", "prints"].lines()
    assert 0 < sum(len(line.text) for line in lines) < 128 * 1024
    assert json.dumps([line.text for line in lines])
