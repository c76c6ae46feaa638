"""What a peer service may say of a message, and what is refused of it."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.pb import http_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import MAX_BYTES, MAX_HEADERS, MAX_NAME
from sluice.wire.messages import MAX_LENGTH, MAX_TEXT, MAX_URL, request_from_pb, response_from_pb

Pairs = list[tuple[str, bytes]]

HEADERS: list[tuple[Pairs, str]] = [
    ([("a", b"b")] * (MAX_HEADERS + 1), "257, over 256"),  # one too many
    ([("a", b"b" * (MAX_BYTES - 4))], "131073 bytes, over 131072"),  # one byte too many
    ([("a" * (MAX_NAME + 1), b"")], "a name of 257 bytes"),
    ([("", b"")], "not a lowercase header name"),
    ([("A", b"")], "not a lowercase header name"),
    ([("a b", b"")], "not a lowercase header name"),
    ([("a:", b"")], "not a lowercase header name"),
    ([("a\n", b"")], "not a lowercase header name"),  # a regex's $ would take it
    ([("\u0430", b"")], "not a lowercase header name"),  # a letter, but not of ASCII
    ([("a", b"b"), ("c", b"d\r\ne: f")], "the value of 'c' has a CR, LF or NUL"),
    ([("a", b"\0")], "the value of 'a' has a CR, LF or NUL"),
    ([("host", b"a")], "'host' is said by the message"),
    ([("content-length", b"1")], "'content-length' is said by the message"),
    ([("transfer-encoding", b"chunked")], "'transfer-encoding' is said by the message"),
    ([("connection", b"a")], "'connection' is of one connection"),
    ([("upgrade", b"h2c")], "'upgrade' is of one connection"),
    ([("sec-websocket-key", b"a")], "'sec-websocket-key' is of one connection"),
    ([("x-sluice-token", b"a")], "'x-sluice-token' is Sluice's own"),
    ([("x-sluice-hops", b"0")], "'x-sluice-hops' is Sluice's own"),
]


def request(headers: Pairs | None = None, **fields: Any) -> http_pb2.HttpRequestHead:
    """A good head but for these."""
    head = http_pb2.HttpRequestHead(**{"method": "GET", "url": "http://a.test/", **fields})
    for name, value in headers or ():
        head.headers.add(name=name, value=value)
    return head


def response(headers: Pairs | None = None, **fields: Any) -> http_pb2.HttpResponseHead:
    """A good head but for these."""
    head = http_pb2.HttpResponseHead(**{"status": 200, **fields})
    for name, value in headers or ():
        head.headers.add(name=name, value=value)
    return head


@pytest.mark.parametrize(("headers", "says"), HEADERS, ids=[row[1] for row in HEADERS])
def test_a_header_list_that_is_never_carried(headers: Pairs, says: str) -> None:
    """It is refused by name, of a request and of a response, each with its own reason."""
    with pytest.raises(SluiceError) as of_request:
        request_from_pb(request(headers), Whole())
    with pytest.raises(SluiceError) as of_response:
        response_from_pb(response(headers), Whole())
    assert of_request.value.reason is Reason.INVALID_REQUEST
    assert of_response.value.reason is Reason.INVALID_RESPONSE
    assert of_request.value.message == of_response.value.message
    assert says in of_request.value.message
    assert len(of_request.value.message) < 1000


@pytest.mark.parametrize(
    "headers",
    [
        [("a", b"b")] * MAX_HEADERS,
        [("a", b"b" * (MAX_BYTES - 5))],
        [("a" * MAX_NAME, b"")],
        [("a", bytes(range(1, 10)) + b"\x0b\x7f\xff")],  # odd, but no line break
    ],
    ids=["most", "most bytes", "longest name", "odd bytes"],
)
def test_the_most_of_a_header_list(headers: Pairs) -> None:
    """What is just within the limits is carried as it is."""
    assert request_from_pb(request(headers), Whole()).headers == headers
    assert response_from_pb(response(headers), Whole()).headers == headers


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"method": ""}, "head.method"),
        ({"method": "GET "}, "head.method"),
        ({"method": "GET\n"}, "head.method"),
        ({"method": "G\u0415T"}, "head.method"),
        ({"method": "A" * 65}, "head.method"),
        ({"method": "CONNECT"}, "head.method"),
        ({"url": ""}, "head.url"),
        ({"url": "http://a.test/" + "a" * MAX_URL}, "head.url: longer"),
        ({"url": "http://a.test/" + "a" * 2**20}, "head.url: longer"),
        ({"url": "a.test/"}, "head.url"),
        ({"url": "//a.test/"}, "head.url"),
        ({"url": "http:a.test"}, "head.url"),
        ({"url": "http:///a"}, "head.url"),
        ({"url": "ftp://a.test/"}, "head.url"),
        ({"url": "javascript:alert(1)"}, "head.url"),
        ({"url": "http://u:p@a.test/"}, "head.url: has userinfo"),
        ({"url": "http://@a.test/"}, "head.url: has userinfo"),
        ({"url": "http://a.test\\@b.test/"}, "head.url: has userinfo"),
        ({"url": "http://a.test\\b/"}, "head.url"),  # a path to browsers, a host to Python
        ({"url": "http://a.test/#f"}, "fragment"),
        ({"url": "http://a.test/#"}, "fragment"),
        ({"url": "http://a.test/\0"}, "head.url"),
        ({"url": "http://a.test/\r\n"}, "head.url"),
        ({"url": " http://a.test/"}, "head.url"),
        ({"url": "http://a.t\u00e9st/"}, "head.url"),
        ({"url": "http://[::1/"}, "head.url"),
        ({"url": "http://a.test:65536/"}, "head.url"),
        ({"url": "http://a.test:b/"}, "head.url"),
        ({"content_length": MAX_LENGTH + 1}, "head.content_length"),
        ({"content_length": 2**64 - 1}, "head.content_length: 18446744073709551615"),
        ({"websocket": True, "method": "POST"}, "head.websocket"),
        ({"websocket": True, "content_length": 1}, "head.websocket"),
    ],
)
def test_a_request_that_http_cannot_carry(fields: dict[str, Any], says: str) -> None:
    """It is refused by the name of the field, in a message that is short."""
    with pytest.raises(SluiceError) as raised:
        request_from_pb(request(**fields), Whole())
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert says in raised.value.message
    assert len(raised.value.message) < 500


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": 0}, "head.status"),
        ({"status": 100}, "head.status"),  # it ends no exchange
        ({"status": 199}, "head.status"),
        ({"status": 600}, "head.status"),
        ({"status": 2**32 - 1}, "head.status"),
        ({"status_text": "OK\r\nset-cookie: a"}, "head.status_text"),
        ({"status_text": "\0"}, "head.status_text"),
        ({"status_text": "\u0100"}, "head.status_text"),
        ({"status_text": "a" * (MAX_TEXT + 1)}, "head.status_text"),
        ({"content_length": 2**64 - 1}, "head.content_length"),
    ],
)
def test_a_response_that_http_cannot_carry(fields: dict[str, Any], says: str) -> None:
    """It is refused by the name of the field."""
    with pytest.raises(SluiceError) as raised:
        response_from_pb(response(**fields), Whole())
    assert raised.value.reason is Reason.INVALID_RESPONSE
    assert says in raised.value.message
    assert len(raised.value.message) < 500
