"""How a Python Worker's responses are coded, and that some have no body."""

from __future__ import annotations

import gzip
import zlib

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.python.conftest import StartGuest

GZIP = [
    ("return await fetch(url)", "gzip"),
    ("r = await fetch(url); return Response(r.body, headers=r.headers)", "gzip"),
    ("r = await fetch(url); return Response(r.body)", ""),
    ("r = await fetch(url); return Response(await r.text(), headers=r.headers)", "gzip"),
    ("return Response('plain', headers={'content-encoding': 'gzip'})", "gzip"),
]


async def test_gzip_is_as_in_workerd(start: StartGuest) -> None:
    """Who reads a coded body gets it decoded; who sends it on sends it coded, when it says so."""
    ways = "".join(f"async def way_{i}():\n    {way}\n" for i, (way, _) in enumerate(GZIP))
    guest = await start(
        f"from workers import Response, fetch\nurl = 'http://o.test/'\n{ways}"
        "async def on_fetch(request): return await globals()[request.url[14:]]()\n"
    )

    async def answer(_: Exchange, __: bytes) -> Response:
        return Response(200, [("content-encoding", b"gzip")], Whole(gzip.compress(b"plain")))

    guest.answer = answer
    for number, (way, coding) in enumerate(GZIP):
        reply = await guest.fetch(f"http://w.test/way_{number}")
        assert reply["content-encoding"] == coding, way
        content = gzip.decompress(reply.body) if coding else reply.body
        assert content == b"plain", way


CODINGS = [
    # What plain workerd makes of a body with that coding, but for `br`, which it decodes.
    ("gzip", gzip.compress(b"plain"), b"plain"),
    ("GZIP", gzip.compress(b"plain"), gzip.compress(b"plain")),
    ("x-gzip", b"raw", b"raw"),
    ("gzip, gzip", b"raw", b"raw"),
    ("deflate", zlib.compress(b"plain"), zlib.compress(b"plain")),
    ("br", b"raw", b"raw"),
    ("gzip", b"no gzip", b"TypeError: Gzip decompression failed."),
]


async def test_only_gzip_is_decoded(start: StartGuest) -> None:
    """Any other coding is the Worker's business, in both directions."""
    guest = await start("""
from workers import Response, fetch
async def on_fetch(request):
    try:
        response = await fetch("http://o.test/")
        made = Response("plain", headers={"content-encoding": "deflate"})
        return made if request.url.endswith("/made") else Response(await response.bytes())
    except TypeError as error:
        return Response(f"TypeError: {error}")
""")
    for coding, content, read in CODINGS:

        async def answer(
            _: Exchange, __: bytes, coding: str = coding, content: bytes = content
        ) -> Response:
            return Response(200, [("content-encoding", coding.encode())], Whole(content))

        guest.answer = answer
        assert (await guest.fetch()).body == read, coding
    assert (await guest.fetch("http://w.test/made")).body == b"plain"


async def test_responses_without_bodies(start: StartGuest) -> None:
    """HEAD, 204 and 304 have no body, and keep the connection usable."""
    guest = await start("""
from workers import Response
def on_fetch(request):
    status = int(request.url[-3:])
    return Response(None if status in (204, 304) else "text", status=status)
""")
    for status in (200, 204, 304, 404):
        reply = await guest.fetch(f"http://w.test/{status}", method="HEAD")
        assert (reply.status, reply.body) == (status, b"")
        if status != 404:
            continue
    assert (await guest.fetch("http://w.test/200")).text == "text"
