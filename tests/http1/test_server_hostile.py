"""Bytes that a server must not misread, from raw sockets."""

from __future__ import annotations

import pytest

from tests.http1.conftest import CHUNKED, GET, POST, Site

HOSTILE: list[tuple[str, bytes, int]] = [
    # The request line.
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501),
    ("HTTP/0.9", b"GET /\r\n\r\n", 505),
    ("HTTP/0.9 that says so", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    ("an unknown method", b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("a lowercase method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("a tunnel", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ("a tunnel as workerd asks for one", b"CONNECT a:443 HTTP/1.1\r\n\r\n", 405),
    ("the asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a control character in the target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space behind the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    ("a bare CR", b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    ("bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n", 400),
    ("a long target", b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    # Headers.
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("no Host in HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a folded line", GET[:-2] + b"X: a\r\n b\r\n\r\n", 400),
    ("a folded line first", b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    ("a space before the colon", GET[:-2] + b"X : a\r\n\r\n", 400),
    ("no name", GET[:-2] + b": a\r\n\r\n", 400),
    ("no colon", GET[:-2] + b"X\r\n\r\n", 400),
    ("NUL in a value", GET[:-2] + b"X: a\0b\r\n\r\n", 400),
    ("a bare CR in a value", GET[:-2] + b"X: a\rb\r\n\r\n", 400),
    ("a bare LF after a value", GET[:-2] + b"X: a\nY: b\r\n\r\n", 400),
    ("latin-1 in a name", GET[:-2] + b"X\xe9: a\r\n\r\n", 400),
    ("two tokens", GET[:-2] + b"X-Sluice-T: a\r\nx-sluice-t: b\r\n\r\n", 400),
    ("an expectation nobody knows", GET[:-2] + b"Expect: more\r\n\r\n", 417),
    ("a large head", GET[:-2] + b"X: " + b"a" * 140_000 + b"\r\n\r\n", 431),
    ("a head without end", GET[:-2] + b"X: " + b"a" * 400_000, 431),
    ("many headers", GET[:-2] + b"a: b\r\n" * 300 + b"\r\n", 431),
    ("a long name", GET[:-2] + b"a" * 300 + b": b\r\n\r\n", 431),
    # The length of the body, which must have one reading.
    ("length and chunks", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("chunks and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("the same length twice", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("a list of lengths", POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    ("a sign", POST + b"Content-Length: +5\r\n\r\nhello", 400),
    ("a negative length", POST + b"Content-Length: -5\r\n\r\nhello", 400),
    ("hexadecimal", POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    ("no number", POST + b"Content-Length: \r\n\r\nhello", 400),
    ("a space in the number", POST + b"Content-Length: 5 5\r\n\r\nhello", 400),
    ("2^64", POST + b"Content-Length: 18446744073709551616\r\n\r\n", 400),
    ("2^64 - 1", POST + b"Content-Length: 18446744073709551615\r\n\r\n", 400),
    ("identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    ("gzip", POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked, gzip", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    ("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    (
        "two codings",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("quoted", POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    ("vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("an empty coding", POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("a hidden coding", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunks in HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    # Chunks.
    ("no size", CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    ("a sign", CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", 400),
    ("0x", CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    ("a space behind the size", CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
    ("more than 2^64", CHUNKED + b"fffffffffffffffff\r\nhello", 400),
    ("bare line feeds", CHUNKED + b"5\nhello\n0\n\n", 400),
    ("a longer chunk", CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", 400),
    ("no CR behind the data", CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    ("a line feed in an extension", CHUNKED + b"5;\nx\r\nhello\r\n0\r\n\r\n", 400),
    ("a length in the trailers", CHUNKED + b"0\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("a coding in the trailers", CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("a folded trailer", CHUNKED + b"0\r\na: b\r\n c\r\n\r\n", 400),
]


@pytest.mark.parametrize(
    ("sent", "status"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE]
)
async def test_hostile_bytes(site: Site, sent: bytes, status: int) -> None:
    """They get one answer, and whatever is behind them gets none: the connection ends."""
    wire = await site.wire(sent + GET)
    assert (await wire.response())[0] == status
    assert await wire.ended()


ODD: list[tuple[str, bytes, str]] = [
    ("blank lines first", b"\r\n\r\n" + GET, "http://a/"),
    ("absolute form", b"GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "http://b/x"),
    ("absolute form, no Host", b"GET http://b/x HTTP/1.1\r\n\r\n", "http://b/x"),
    ("a port", b"GET /x HTTP/1.1\r\nHost: a:1\r\n\r\n", "http://a:1/x"),
    ("IPv6", b"GET /x HTTP/1.1\r\nHost: [::1]\r\n\r\n", "http://[::1]/x"),
    ("a length with space around it", POST + b"Content-Length:\t0 \r\n\r\n", "http://a/"),
    ("a chunk extension", CHUNKED + b'1;a="b c"\r\nx\r\n0\r\n\r\n', "http://a/"),
    ("Content_Length is another header", POST + b"Content_Length: 5\r\n\r\n", "http://a/"),
]


@pytest.mark.parametrize(("sent", "url"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_odd_bytes(site: Site, sent: bytes, url: str) -> None:
    """They are as good as any, and the connection goes on."""
    wire = await site.wire(sent)
    assert (await wire.response())[0] == 200
    wire.send(GET)
    assert (await wire.response())[0] == 200
    assert site.exchanges[0].request.url == url
