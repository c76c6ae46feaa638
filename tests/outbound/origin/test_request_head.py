"""What the origin sees of a request: the bytes that were given, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.body import Whole
from sluice.wire.errors import Reason
from sluice.wire.messages import Request
from tests.outbound.calls import ACME, MakeClient, Pieces, failure, whole
from tests.outbound.origins import Recorder, Serve


@pytest.mark.parametrize(
    ("request_of", "line", "rest"),
    [
        # the target is never touched
        (("GET", "/a%2Fb/../c?x=%20&y=%c3%a4-encoded"), b"/a%2Fb/../c?x=%20&y=%c3%a4-encoded", b""),
        (("GET", "/%7E/./~/%41"), b"/%7E/./~/%41", b""),
        (("GET", "//double//slash"), b"//double//slash", b""),
        (("GET", "/a?"), b"/a?", b""),  # yarl alone would drop the "?"
        (("GET", "/a??b=/c?d"), b"/a??b=/c?d", b""),
        (("GET", "/+plus+?+a+b=%2B"), b"/+plus+?+a+b=%2B", b""),
        (("GET", "/|^`{}\"<>\\'"), b"/|^`{}\"<>\\'", b""),
        (("GET", ""), b"/", b""),
        (("GET", "?q"), b"/?q", b""),
        # methods are case-sensitive
        (("patch", "/"), b"/", b""),
        (("PROPFIND", "/"), b"/", b""),
        # headers: order, repeats and bytes stay, nothing is added
        (
            ("GET", "/", [("b", b"1"), ("a", b"2"), ("b", b"3")]),
            b"/",
            b"b: 1\r\na: 2\r\nb: 3\r\n",
        ),
        (("GET", "/", [("x", b"caf\xe9")]), b"/", b"x: caf\xe9\r\n"),  # latin-1
        (("GET", "/", [("x", "café".encode())]), b"/", b"x: caf\xc3\xa9\r\n"),
        (("GET", "/", [("x", b""), ("y", b"\t a \x01")]), b"/", b"x: \r\ny: \t a \x01\r\n"),
        (("GET", "/", [("cookie", b"a=1; b=2")]), b"/", b"cookie: a=1; b=2\r\n"),
        (("GET", "/", [("expect", b"100-continue")]), b"/", b""),  # the body is sent at once
        (("GET", "/", [("x-sluice-hops", b"1")]), b"/", b"x-sluice-hops: 1\r\n"),
        # bodies: content-length where known, nothing where there is none
        (("POST", "/"), b"/", b"content-length: 0\r\n"),
        (("PUT", "/"), b"/", b"content-length: 0\r\n"),
        (("DELETE", "/"), b"/", b""),
        (("HEAD", "/"), b"/", b""),
        (("GET", "/", [], b"", 0), b"/", b"content-length: 0\r\n"),
        (("GET", "/", [], b"body"), b"/", b"content-length: 4\r\n"),
        (("POST", "/", [], b"body", 4), b"/", b"content-length: 4\r\n"),
    ],
)
async def test_request_is_sent_byte_for_byte(
    request_of: tuple[Any, ...],
    line: bytes,
    rest: bytes,
    serve: Serve,
    make_client: MakeClient,
) -> None:
    """What the origin sees is method, target, Host, the headers given, and the body's framing."""
    origin = Recorder(b"HTTP/1.1 204 No Content\r\n\r\n")
    port = await serve(origin)
    method, path, headers, body, length = (*request_of, *((None,) * 5))[:5]
    request = Request(
        method, f"http://127.0.0.1:{port}{path}", headers or [], Whole(body or b""), length
    )
    await whole(await make_client().send(request, ACME))
    head = b"%b %b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (method.encode(), line, port)
    assert origin.requests == [head + rest + b"\r\n" + (body or b"")]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.COM/", b"Example.COM"),
        ("http://example.com:80/", b"example.com:80"),
        ("http://example.com:8080/", b"example.com:8080"),
        ("HTTP://example.com./", b"example.com."),
        ("http://under_score.example.com/", b"under_score.example.com"),
        ("http://[2606:4700::1111]:8080/", b"[2606:4700::1111]:8080"),
    ],
)
async def test_host_header_is_as_in_the_url(
    url: str, host: bytes, serve: Serve, make_client: MakeClient
) -> None:
    """`Host` is the authority of the URL, letter for letter."""
    origin = Recorder()
    port = await serve(origin)
    client = make_client(connect_to=(f"::127.0.0.1:{port}",))
    await whole(await client.send(Request("GET", url), ACME))
    assert origin.requests == [b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n" % host]


@pytest.mark.parametrize(
    ("pieces", "at_hand", "length", "sent"),
    [
        ([b"abc", b"d" * 16], b"", None, b"3\r\nabc\r\n10\r\ndddddddddddddddd\r\n0\r\n\r\n"),
        ([b"c"], b"ab", None, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ([], b"ab", None, b"2\r\nab\r\n0\r\n\r\n"),
        ([], b"", None, b"0\r\n\r\n"),
        ([b"abc", b"de"], b"", 5, b"abcde"),
        ([b"cde"], b"ab", 5, b"abcde"),
        ([], b"ab", 2, b"ab"),
        ([], b"", 0, b""),
    ],
)
async def test_body_is_streamed(
    pieces: list[bytes],
    at_hand: bytes,
    length: int | None,
    sent: bytes,
    serve: Serve,
    client: GuardedClient,
) -> None:
    """A body still to come is sent chunked, or plain where its length is known; then it is closed."""
    origin = Recorder()
    port = await serve(origin)
    body = Pieces(pieces, at_hand)
    request = Request("POST", f"http://127.0.0.1:{port}/", [], body, length)
    assert await whole(await client.send(request, ACME)) == b"ok"
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    head, _, tail = origin.requests[0].partition(b"\r\n\r\n")
    assert head.endswith(framing)
    assert tail == sent
    assert body.closed.is_set()


async def test_large_body_arrives_whole(serve: Serve, client: GuardedClient) -> None:
    """A body of many pieces arrives as it was, though the origin is slower than its sender."""
    origin = Recorder()
    port = await serve(origin)
    pieces = [bytes([n % 256]) * 65536 for n in range(128)]
    request = Request("PUT", f"http://127.0.0.1:{port}/", [], Pieces(pieces), 128 * 65536)
    assert await whole(await client.send(request, ACME)) == b"ok"
    assert origin.requests[0].endswith(b"\r\n\r\n" + b"".join(pieces))


@pytest.mark.parametrize(
    ("request_of", "text"),
    [
        (Request("GET", "/relative"), "not absolute"),
        (Request("GET", "ftp://example.com/"), "not absolute"),
        (Request("GET", "http://user:pass@example.com/"), "not absolute"),  # userinfo
        (Request("GET", "http:///path"), "not absolute"),
        (Request("GET", "http://example.com/ x"), "not absolute"),  # would end the request line
        (Request("GET", "http://example.com/\r\nx: y"), "not absolute"),
        (Request("GET", "http://example.com/ä"), "not absolute"),
        (Request("GET", "http://example.com/#fragment"), "not absolute"),
        (Request("GET", "http://example.com\\@evil.com/"), "not absolute"),  # parsers disagree
        (Request("GET", "http://example.com:99999/"), "host"),
        (Request("GET", "http://[::1/"), "host"),
        (Request("GET", "http://:80/"), "host"),
        (Request("CONNECT", "http://example.com/"), "CONNECT"),
        (Request("GET /", "http://example.com/"), "GET /"),
        (Request("", "http://example.com/"), "''"),
        (Request("GET", "http://example.com/", [("host", b"evil.com")]), "host"),
        (Request("GET", "http://example.com/", [("content-length", b"5")]), "content-length"),
        (Request("GET", "http://example.com/", [("transfer-encoding", b"x")]), "transfer-encoding"),
        (Request("GET", "http://example.com/", [("x", b"a\r\nb: c")]), "CR, LF or NUL"),
        (Request("GET", "http://example.com/", [("x y", b"a")]), "x y"),
        (Request("POST", "http://example.com/", [], Whole(b"abc"), 4), "its head says 4"),
    ],
)
async def test_request_that_cannot_be_carried_is_refused(
    request_of: Request, text: str, client: GuardedClient
) -> None:
    """A request that HTTP/1.1 cannot carry exactly is refused before a connection is made."""
    error = await failure(client, request_of)
    assert error.reason is Reason.INVALID_REQUEST
    assert text in error.message
