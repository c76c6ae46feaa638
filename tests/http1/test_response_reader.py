"""Bytes to one response."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http1.incoming import Incoming
from sluice.http1.malformed import MalformedError
from sluice.http1.response_reader import ResponseReader
from tests.http1.conftest import Deaf, feed


def reader(method: str = "GET") -> ResponseReader:
    """A reader for tests."""
    return ResponseReader(method, 1024, 20, lambda: Incoming(Deaf()))


def read(data: bytes, method: str = "GET", *cuts: int) -> tuple[Any, ...]:
    """What the response in `data` is: status, length, body, complete, reusable."""
    response = reader(method)
    feed(response, data, *cuts)
    assert response.response is not None
    body, complete = response.response.body.take()
    assert complete == response.complete
    head = response.response
    return head.status, head.content_length, body, complete, response.reusable


OK = b"HTTP/1.1 200 OK\r\n"
CL2 = b"Content-Length: 2\r\n\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: t\r\n\r\n"

READ: list[tuple[str, str, bytes, tuple[Any, ...]]] = [
    ("a length", "GET", OK + CL2 + b"hi", (200, 2, b"hi", True, True)),
    ("chunks", "GET", OK + CHUNKS, (200, None, b"hi", True, True)),
    ("neither, so until the end", "GET", OK + b"\r\nhi", (200, None, b"hi", False, False)),
    ("half of it", "GET", OK + CL2 + b"h", (200, 2, b"h", False, True)),
    ("no phrase", "GET", b"HTTP/1.1 200\r\n" + CL2 + b"hi", (200, 2, b"hi", True, True)),
    ("it closes", "GET", OK + b"Connection: close\r\n" + CL2 + b"hi", (200, 2, b"hi", True, False)),
    ("HTTP/1.0", "GET", b"HTTP/1.0 200 OK\r\n" + CL2 + b"hi", (200, 2, b"hi", True, False)),
    ("HEAD", "HEAD", OK + CL2, (200, 2, b"", True, True)),
    ("HEAD of chunks", "HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", (200, None, b"", True, True)),
    ("HEAD of who knows", "HEAD", OK + b"\r\n", (200, None, b"", True, True)),
    ("204 with a length", "GET", b"HTTP/1.1 204 No\r\n" + CL2, (204, None, b"", True, True)),
    ("304 with a length", "GET", b"HTTP/1.1 304 Same\r\n" + CL2, (304, None, b"", True, True)),
    ("interim responses", "GET", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\n" + OK + CL2 + b"hi", (200, 2, b"hi", True, True)),
    ("bytes behind it", "GET", OK + CL2 + b"hi" + OK + CL2, (200, 2, b"hi", True, False)),
    ("a body behind HEAD", "HEAD", OK + CL2 + b"hi", (200, 2, b"", True, False)),
    ("a body behind 204", "GET", b"HTTP/1.1 204 No\r\n" + CL2 + b"hi", (204, None, b"", True, False)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "data", "expected"), [r[1:] for r in READ], ids=[r[0] for r in READ]
)
def test_read(method: str, data: bytes, expected: tuple[Any, ...]) -> None:
    """Framing by RFC 9112 section 6.3; bytes behind it make the connection unfit for more."""
    assert read(data, method) == expected


@pytest.mark.parametrize(
    ("method", "data", "expected"), [r[1:] for r in READ], ids=[r[0] for r in READ]
)
def test_byte_by_byte(method: str, data: bytes, expected: tuple[Any, ...]) -> None:
    """The pieces that bytes come in change nothing."""
    assert read(data, method, *range(len(data))) == expected


@given(st.sets(st.integers(0, 200), max_size=8))
def test_any_pieces(cuts: set[int]) -> None:
    """Nor do any others."""
    data = b"HTTP/1.1 102 P\r\n\r\n" + OK + b"A: b\r\n" + CHUNKS
    assert read(data, "GET", *(cut for cut in cuts if cut < len(data))) == read(data)


BAD: list[tuple[str, bytes]] = [
    ("no HTTP", b"garbage\r\n\r\n"),
    ("another protocol", b"ICY 200 OK\r\n\r\n"),
    ("HTTP/2", b"HTTP/2.0 200 OK\r\n\r\n"),
    ("a switch of protocols that nobody asked for", b"HTTP/1.1 101 S\r\n\r\n"),
    (
        "the same, properly",
        b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    ("no such status", b"HTTP/1.1 000 Z\r\n\r\n"),
    ("no such status", b"HTTP/1.1 600 Z\r\n\r\n"),
    ("no such status", b"HTTP/1.1 2000 Z\r\n\r\n"),
    ("length and chunks", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("chunks and length", OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    ("two lengths", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    ("two lengths in one", OK + b"Content-Length: 5, 6\r\n\r\n"),
    ("a coding that hides the end", OK + b"Transfer-Encoding: gzip\r\n\r\n"),
    ("a coding that nobody undoes", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    ("bare line feeds", b"HTTP/1.1 200 OK\nA: b\n\n"),
    ("a folded line", OK + b"A: b\r\n c\r\n\r\n"),
    ("NUL", OK + b"A: \0\r\n\r\n"),
    ("a space before the colon", OK + b"A : b\r\n\r\n"),
    ("a chunk that is no number", OK + b"Transfer-Encoding: chunked\r\n\r\nz\r\n"),
    ("a head over the limit", OK + b"A: " + b"a" * 1024 + b"\r\n\r\n"),
    ("too many headers", OK + b"a:\r\n" * 21 + b"\r\n"),
    ("interim responses without end", b"HTTP/1.1 102 P\r\n\r\n" * 100),
    ("two control headers", OK + b"x-sluice-a: 1\r\nx-sluice-a: 2\r\n\r\n"),
]


@pytest.mark.parametrize("data", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_responses(data: bytes) -> None:
    """What is not one plain response is refused, in one piece or in many."""
    with pytest.raises(MalformedError):
        reader().feed(data)
    with pytest.raises(MalformedError):
        feed(reader(), data, *range(len(data)))


def test_control_headers_are_split_off() -> None:
    """They are not among the response's headers."""
    response = reader()
    response.feed(OK + b"A: b\r\nX-Sluice-Outcome: ok\r\n" + CL2)
    assert response.response is not None
    assert response.response.headers == [("a", b"b")]
    assert response.control == {"x-sluice-outcome": "ok"}
