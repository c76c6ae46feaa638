"""Heads as bytes."""

from __future__ import annotations

import pytest

from sluice.http1.heads import request_head, response_head
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import Header


def test_request_is_in_absolute_form_with_headers_as_they_are() -> None:
    """The URL goes out whole, and every header in its place with its own bytes."""
    head = request_head(
        "GET",
        "http://a.example:81/p?q",
        [("x", b"\xe9"), ("cookie", b"a"), ("x", b"")],
        {"x-sluice-token": "t"},
        b"",
    )
    assert head == (
        b"GET http://a.example:81/p?q HTTP/1.1\r\nhost: a.example:81\r\n"
        b"x: \xe9\r\ncookie: a\r\nx: \r\nx-sluice-token: t\r\n\r\n"
    )


def test_request_cannot_choose_control_headers() -> None:
    """Only `control` makes headers between Sluice and its isolates."""
    head = request_head("GET", "http://a/", [("x-sluice-token", b"stolen")], {}, b"")
    assert b"stolen" not in head


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (599, b"HTTP/1.1 599 \r\n"),  # no phrase is known, and the space must be there
    ],
)
def test_response_has_the_standard_phrase(status: int, line: bytes) -> None:
    """The status line has the phrase that goes with the status."""
    assert response_head(status, [("a", b"b")], b"") == line + b"a: b\r\n\r\n"


BAD_HEADERS: list[tuple[str, Header]] = [
    ("a line break begins another header", ("x", b"a\r\nset-cookie: b")),
    ("so does half of one, to some readers", ("x", b"a\nb: c")),
    ("and the other half", ("x", b"a\rb")),
    ("NUL ends a string, to some readers", ("x", b"a\0b")),
    ("a line break in a name", ("x\r\ny", b"")),
    ("a space before the colon hides a name", ("transfer-encoding ", b"chunked")),
    ("a colon in a name moves the value", ("x:y", b"")),
    ("an empty name", ("", b"")),
    ("upper case has another spelling for what is dropped", ("Content-Length", b"1")),
    ("latin-1 is no token", ("\xe9", b"")),
    ("framing is said by the message", ("content-length", b"1")),
    ("framing is said by the message", ("transfer-encoding", b"chunked")),
    ("framing is said by the message", ("host", b"b")),
    ("hop-by-hop fields are ours", ("connection", b"close")),
    ("a name longer than any reader's limit", ("x" * 257, b"")),
]


@pytest.mark.parametrize(
    "header", [header for _, header in BAD_HEADERS], ids=[why for why, _ in BAD_HEADERS]
)
def test_what_could_be_read_in_two_ways_is_refused(header: Header) -> None:
    """Neither head goes out with it."""
    with pytest.raises(SluiceError) as raised:
        request_head("GET", "http://a/", [header], {}, b"")
    assert raised.value.reason is Reason.INVALID_REQUEST
    with pytest.raises(SluiceError) as raised:
        response_head(200, [("a", b"b"), header], b"")
    assert raised.value.reason is Reason.INVALID_RESPONSE


@pytest.mark.parametrize("value", ["a\r\nb: c", "\xe9", "a\0"])
def test_control_values_are_plain_ascii(value: str) -> None:
    """A control value that is not is our own bug, and does not go out."""
    with pytest.raises(SluiceError):
        request_head("GET", "http://a/", [], {"x-sluice-a": value}, b"")


@pytest.mark.parametrize("method", ["CONNECT", "get", "GET /", "", "G\r\nX"])
def test_methods_that_are_not_asked_for(method: str) -> None:
    """CONNECT would open a tunnel; the others are not methods."""
    with pytest.raises(SluiceError, match="method"):
        request_head(method, "http://a/", [], {}, b"")


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999, 2000])
def test_statuses_that_are_not_final(status: int) -> None:
    """A response with one would be read as the beginning of another."""
    with pytest.raises(SluiceError, match="status"):
        response_head(status, [], b"")
