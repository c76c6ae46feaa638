"""Requests at the limits, past them, and no requests at all: what the two chains say to each.

What plain workerd refuses the mesh refuses too. Where the mesh refuses more, the row says so, and
`docs/compatibility.md` lists why. A request that is refused reaches no Worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.chain import Chain
from tests.conformance.origin import Origin

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"

LIMITS = "a request head over 128 KiB, 256 headers, or 16 KiB of URL"
TWO_WAYS = "a request that may be read in two ways"
WORDS = "what is no request"


@dataclass(frozen=True)
class Row:
    """A request, and the status it gets."""

    id: str
    start: bytes
    lines: tuple[bytes, ...]
    plain: int
    mesh: int
    listed: str | None = None
    """How the row of the document begins, where the two differ."""
    body: bytes = b""

    def raw(self) -> bytes:
        """The bytes to send."""
        lines = (self.start, *self.lines, b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


_HOST = b"host: pass.caught.test"


def _get(name: str, plain: int, mesh: int, listed: str | None, *lines: bytes) -> Row:
    return Row(name, b"GET / HTTP/1.1", (_HOST, *lines), plain, mesh, listed)


def _post(name: str, plain: int, mesh: int, listed: str | None, *lines: bytes, body: bytes) -> Row:
    return Row(name, b"POST / HTTP/1.1", (_HOST, *lines), plain, mesh, listed, body)


def _url(name: str, plain: int, mesh: int, listed: str | None, size: int) -> Row:
    return Row(name, b"GET /%b HTTP/1.1" % (b"a" * size), (_HOST,), plain, mesh, listed)


_MANY = [b"x-%d: v" % n for n in range(300)]
_CHUNKED = b"transfer-encoding: chunked"

ROWS = [
    _get("one header of 100 kB", 200, 200, None, b"x-a: " + b"v" * 100_000),
    _get("four of 25 kB", 200, 200, None, *(b"x-%d: %b" % (n, b"v" * 25_000) for n in range(4))),
    _get("one of 200 kB", 200, 431, LIMITS, b"x-a: " + b"v" * 200_000),
    _get("250 headers", 200, 200, None, *_MANY[:250]),
    _get("300 headers", 200, 431, LIMITS, *_MANY),
    _url("a URL of 15 kB", 200, 200, None, 15_000),
    _url("a URL of 20 kB", 200, 414, LIMITS, 20_000),
    _post("two lengths", 400, 400, None, b"content-length: 3", b"content-length: 4", body=b"abcd"),
    _post("a length that is no number", 400, 400, None, b"content-length: x", body=b"abcd"),
    _post("a negative length", 400, 400, None, b"content-length: -1", body=b"abcd"),
    _post("another transfer coding", 400, 400, None, b"transfer-encoding: gzip", body=b"abcd"),
    _post(
        "length and chunks",
        200,
        400,
        TWO_WAYS,
        b"content-length: 3",
        _CHUNKED,
        body=b"3\r\nabc\r\n0\r\n\r\n",
    ),
    _post("no chunk", 599, 400, WORDS, _CHUNKED, body=b"zz\r\nabc\r\n0\r\n\r\n"),
    _post("another expectation", 200, 417, WORDS, b"expect: x", b"content-length: 1", body=b"a"),
    Row("no host", b"GET / HTTP/1.1", (), 400, 400),
    _get("a space in a name", 400, 400, None, b"x a: b"),
    _get("a folded line", 400, 400, None, b"x-a: b", b" c"),
    _get("a NUL", 400, 400, None, b"x-a: a\0b"),
    _get("no colon", 400, 400, None, b"nocolon"),
    Row("bare line feeds", b"GET / HTTP/1.1\n" + _HOST + b"\n\n", (), 200, 400, TWO_WAYS),
    Row("HTTP/1.0", b"GET / HTTP/1.0", (_HOST,), 200, 200),
    Row("HTTP/2.0", b"GET / HTTP/2.0", (_HOST,), 400, 505, WORDS),
    Row("no request line", b"hello", (), 400, 501, WORDS),
    Row("a tunnel", b"CONNECT a:1 HTTP/1.1", (b"host: a:1",), 500, 405, WORDS),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
async def test_refusal(row: Row, chains: tuple[Chain, Chain], origin: Origin) -> None:
    """Each chain gives the row's status; only what gets 200 arrives at the origin."""
    seen = []
    for chain in chains:
        origin.reset()
        response = await chain.ask(row.raw())
        seen.append(response.status)
        assert len(origin.requests) == (response.status == 200)
    assert seen == [row.plain, row.mesh]


def test_refusals_are_documented() -> None:
    """Where the statuses differ, the document has a row."""
    listed = DOCUMENT.read_text()
    for row in ROWS:
        assert (row.plain != row.mesh) == (row.listed is not None), row.id
        assert row.listed is None or f"| {row.listed}" in listed, row.id
