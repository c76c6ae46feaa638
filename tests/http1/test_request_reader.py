"""Bytes to requests."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http1.exchange import Peer
from sluice.http1.incoming import Incoming
from sluice.http1.limits import Limits
from sluice.http1.malformed import MalformedError
from sluice.http1.request_reader import RequestReader
from tests.http1.conftest import Deaf, feed

LIMITS = Limits(max_head=1024, max_headers=20, max_url=128)


def reader(limits: Limits = LIMITS) -> RequestReader:
    """A reader for tests."""
    return RequestReader(limits, "http", Peer("pid:1", 1), lambda: Incoming(Deaf()))


def read(data: bytes, *cuts: int) -> list[tuple[Any, ...]]:
    """What the requests in `data` are, fed in pieces that end at `cuts`."""
    requests = reader()
    feed(requests, data, *cuts)
    return [
        (
            arrived.exchange.request.method,
            arrived.exchange.request.url,
            arrived.exchange.request.headers,
            arrived.exchange.request.content_length,
            arrived.exchange.request.body.take(),
            arrived.exchange.upgrade,
            arrived.keep_alive,
        )
        for arrived in requests.arrived
    ]


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
STREAM = b"".join(
    [
        b"\r\nGET /1?q HTTP/1.1\r\nHost: a\r\nX: \xe9\r\nx:2 \t\r\n\r\n",
        b"POST http://b/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3;e=1\r\nabc\r\n1\r\nd\r\n0\r\nTrailer: t\r\n\r\n",
        b"GET /4 HTTP/1.1\r\nHost: a\r\n" + H2C + b"\r\n",
        b"POST /5 HTTP/1.1\r\nHost: a\r\n" + H2C + b"Content-Length: 3\r\n\r\nxyz",
        b"POST /6 HTTP/1.1\r\nHost: a\r\n" + H2C + b"Transfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\n\r\n",
        b"GET /7 HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: dropped\r\n\r\n",
        b"junk behind the last request",
    ]
)
REQUESTS = [
    ("GET", "http://a/1?q", [("x", b"\xe9"), ("x", b"2")], None, (b"", True), None, True),
    ("POST", "http://b/2", [], 5, (b"hello", True), None, True),
    ("PUT", "http://a/3", [], None, (b"abcd", True), None, True),
    ("GET", "http://a/4", [], None, (b"", True), "h2c", True),
    ("POST", "http://a/5", [], 3, (b"xyz", True), "h2c", True),
    ("POST", "http://a/6", [], None, (b"hi", True), "h2c", True),
    ("GET", "http://a/7", [], None, (b"", True), None, False),
]


def test_pipelined_requests() -> None:
    """Each is read for itself: also the body behind an upgrade, which llhttp does not read."""
    assert read(STREAM) == REQUESTS


@given(st.sets(st.integers(0, len(STREAM)), max_size=12))
def test_the_pieces_that_bytes_come_in_change_nothing(cuts: set[int]) -> None:
    """Any split of the stream reads the same."""
    assert read(STREAM, *cuts) == REQUESTS


@pytest.mark.parametrize("last", [b"1.0\r\nConnection: keep-alive", b"1.1\r\nConnection: close"])
def test_nothing_is_read_behind_the_last_request(last: bytes) -> None:
    """Also where llhttp would go on."""
    requests = read(b"GET / HTTP/" + last + b"\r\nHost: a\r\n\r\n" + STREAM)
    assert [request[1] for request in requests] == ["http://a/"]


def test_upgrade_in_http_1_0_is_ignored() -> None:
    """As RFC 9110 section 7.8 has it."""
    assert read(b"GET / HTTP/1.0\r\nHost: a\r\n" + H2C + b"\r\n")[0][-2:] == (None, False)


def test_byte_by_byte() -> None:
    """So does the finest."""
    assert read(STREAM, *range(len(STREAM))) == REQUESTS


@given(st.binary(max_size=64), st.integers(0, len(STREAM)), st.integers(0, 8))
def test_broken_streams_are_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    """Whatever is spliced in, the reader reads on or raises `MalformedError`, and nothing else."""
    with contextlib.suppress(MalformedError):
        read(STREAM[:at] + junk + STREAM[at + cut :])


def _head(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1, 100, 4096])
@pytest.mark.parametrize(
    ("why", "data", "status"),
    [
        ("a head over the limit", _head(1400), 431),
        ("the same, behind a request that is not", _head(100) + _head(1400), 431),
        ("one header that never ends", _head(10_000)[:-4], 431),
        ("blank lines that never end", b"\r\n" * 1000, 431),
        ("too many headers", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 20 + b"\r\n", 431),
        ("a long URL", b"GET /" + b"a" * 128 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("a URL that never ends", b"GET /" + b"a" * 5000, 414),
    ],
)
def test_large_heads(why: str, data: bytes, status: int, step: int) -> None:
    """Over a limit there is an answer, and no more than the limit is kept."""
    with pytest.raises(MalformedError) as raised:
        feed(reader(), data, *range(step, len(data), step))
    assert raised.value.status == status


def test_the_largest_head_is_read() -> None:
    """The limit itself is not over the limit."""
    assert len(read(_head(1000))) == 1


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("a chunk extension that never ends", b"1;" + b"a" * 5000),
        ("trailers that never end", b"0\r\n" + b"a: b\r\n" * 1000),
        ("one trailer that never ends", b"0\r\na: " + b"b" * 5000),
        ("leading zeros that never end", b"0" * 5000),
    ],
)
def test_framing_that_never_ends(why: str, data: bytes) -> None:
    """What comes between a body's bytes is bounded as a head is (CVE-2024-22019)."""
    requests = reader()
    requests.feed(CHUNKED)
    with pytest.raises(MalformedError):
        feed(requests, data, *range(100, len(data), 100))


def test_many_small_chunks_are_fine() -> None:
    """Framing counts between bytes of the body, not over all of it."""
    requests = reader()
    requests.feed(CHUNKED)
    for _ in range(10_000):
        requests.feed(b"1\r\na\r\n")
    requests.feed(b"0\r\n\r\n")
    assert requests.arrived[0].exchange.request.body.take() == (b"a" * 10_000, True)
