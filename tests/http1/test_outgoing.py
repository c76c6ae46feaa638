"""How messages are framed."""

from __future__ import annotations

import pytest

from sluice.http1 import outgoing
from sluice.http1.outgoing import WrongLengthError
from sluice.wire.body import Body, Whole
from sluice.wire.messages import Request, Response
from tests.http1.conftest import Pieces

LONG = Pieces(b"later")

REQUESTS: list[tuple[str, str, Body, int | None, bytes]] = [
    ("nothing, where nothing is usual", "GET", Whole(), None, b""),
    ("nothing, and it says so", "GET", Whole(), 0, b""),
    ("nothing, where something is usual", "POST", Whole(), None, b"content-length: 0"),
    ("all at hand", "PUT", Whole(b"ab"), None, b"content-length: 2"),
    ("all at hand, where nothing is usual", "GET", Whole(b"ab"), 2, b"content-length: 2"),
    ("known length", "POST", LONG, 5, b"content-length: 5"),
    ("unknown length", "POST", LONG, None, b"transfer-encoding: chunked"),
    ("unknown length, where nothing is usual", "GET", LONG, None, b"transfer-encoding: chunked"),
]


@pytest.mark.parametrize(
    ("method", "body", "length", "line"), [r[1:] for r in REQUESTS], ids=[r[0] for r in REQUESTS]
)
def test_request(method: str, body: Body, length: int | None, line: bytes) -> None:
    """At most one line of framing, and the right one."""
    message = outgoing.request(Request(method, "http://a/", [], body, length), {})
    framing = [f for f in message.head.split(b"\r\n") if f.startswith((b"content-", b"transfer-"))]
    assert framing == ([line] if line else [])
    assert not message.closes


CL5, CHUNKED, CLOSE = b"content-length: 5", b"transfer-encoding: chunked", b"connection: close"

RESPONSES: list[tuple[str, str, Response, bool, list[bytes]]] = [
    ("all at hand", "GET", Response(200, body=Whole(b"hello")), True, [CL5]),
    ("known length", "GET", Response(200, body=LONG, content_length=5), True, [CL5]),
    ("unknown length", "GET", Response(200, body=LONG), True, [CHUNKED]),
    ("unknown length, for HTTP/1.0", "GET", Response(200, body=LONG), False, [CLOSE]),
    ("nothing", "GET", Response(200), True, [b"content-length: 0"]),
    ("HEAD keeps what is known", "HEAD", Response(200, content_length=5), True, [CL5]),
    ("HEAD does not guess", "HEAD", Response(200), True, []),
    ("204 has no length", "GET", Response(204, content_length=5), True, []),
    ("HEAD and 204 neither", "HEAD", Response(204, content_length=5), True, []),
    ("304 has none", "GET", Response(304, content_length=5), True, []),
    ("205 is framed like any other", "GET", Response(205), True, [b"content-length: 0"]),
]


@pytest.mark.parametrize(
    ("method", "response", "chunks", "lines"),
    [r[1:] for r in RESPONSES],
    ids=[r[0] for r in RESPONSES],
)
def test_response(method: str, response: Response, chunks: bool, lines: list[bytes]) -> None:
    """The lines that frame it, and no other."""
    message = outgoing.response(response, method, chunks=chunks, close=False)
    assert message.head.split(b"\r\n")[1:-2] == lines
    assert message.closes == (CLOSE in lines)


def test_a_body_where_none_can_be_is_not_sent() -> None:
    """It would be read as the next response."""
    for method, status in [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 205)]:
        message = outgoing.response(
            Response(status, body=Whole(b"smuggled")), method, chunks=True, close=False
        )
        assert (message.data, message.rest) == (b"", None)


def test_the_first_chunk_goes_with_the_head() -> None:
    """What is at hand of a chunked body is a chunk already; nothing is not the last one."""

    class Begun(Pieces):
        def take(self) -> tuple[bytes, bool]:
            return b"0123456789", False

    message = outgoing.response(Response(200, body=Begun()), "GET", chunks=True, close=False)
    assert message.data == b"a\r\n0123456789\r\n"
    assert outgoing.chunk(b"") == b""


@pytest.mark.parametrize("said", [0, 4, 6])
def test_a_wrong_length_is_not_sent(said: int) -> None:
    """A body at hand that has another length than the message says is no message."""
    with pytest.raises(WrongLengthError, match=f"says {said}"):
        outgoing.response(
            Response(200, body=Whole(b"hello"), content_length=said),
            "GET",
            chunks=True,
            close=False,
        )


@pytest.mark.parametrize(("body", "closes"), [(Whole(b"a"), True), (LONG, False), (Whole(), True)])
def test_an_unread_request_ends_the_connection(body: Body, closes: bool) -> None:
    """A response that is complete before its request says that it is the last."""
    message = outgoing.response(
        Response(200, body=body), "GET", chunks=True, close=False, unread=True
    )
    assert message.closes == closes
    assert (CLOSE in message.head) == closes
