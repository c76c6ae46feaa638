"""How a message goes out: its head, the bytes at hand, and the framing of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sluice.http1 import handshake, heads
from sluice.wire.body import Body
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response, has_body

LAST_CHUNK = b"0\r\n\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_CLOSE = b"connection: close\r\n"
_BODYLESS_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


@dataclass(slots=True)
class Outgoing:
    """A message on its way out."""

    head: bytes
    data: bytes
    """The body's bytes at hand, framed."""
    rest: Body | None
    """The rest of the body. None: `data` completes it."""
    length: int | None
    """Bytes that all of it must have. None: it says itself where it ends."""
    chunked: bool
    closes: bool
    """Whether the connection ends with this message."""
    key: bytes | None = None
    """Of a request: that of the WebSocket it asks for."""


def chunk(data: bytes) -> bytes:
    """`data` as one chunk (RFC 9112 section 7.1); nothing for no bytes, which would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def request(message: Request, control: Mapping[str, str]) -> Outgoing:
    """A request on its way out. Takes what is at hand of its body."""
    if message.websocket:
        return _upgrade(message, control)
    data, complete = message.body.take()
    length = _length(message.content_length, data, complete)
    if length is None:
        framing = _CHUNKED
    elif length or message.method not in _BODYLESS_METHODS:
        framing = b"content-length: %d\r\n" % length
    else:
        framing = b""
    head = heads.request_head(message.method, message.url, message.headers, control, framing)
    return _outgoing(head, data, None if complete else message.body, length, length is None)


def response(
    message: Response, method: str, *, chunks: bool, close: bool, unread: bool = False
) -> Outgoing:
    """A response to `method` on its way out. Takes what is at hand of its body.

    `chunks`: whether the client can read chunks. Without them, and without a length, only the end
    of the connection ends the body. `unread`: whether some of the request is still to come. A
    response that is complete now then ends the connection.
    """
    if not has_body(method, message.status):
        return _bodyless(message, method, close=close or unread)
    data, complete = message.body.take()
    length = _length(message.content_length, data, complete)
    chunked = length is None and chunks
    close = close or (unread and complete) or (length is None and not chunks)
    framing = _CHUNKED if chunked else b""
    if length is not None:
        framing = b"content-length: %d\r\n" % length
    if close:
        framing += _CLOSE
    head = heads.response_head(message.status, message.headers, framing, message.status_text)
    rest = None if complete else message.body
    return _outgoing(head, data, rest, length, chunked, closes=close)


def switch(message: Response, key: bytes | None) -> Outgoing:
    """The response that opens the WebSocket which was asked for with `key`."""
    if key is None or message.status != 101:
        raise SluiceError(Reason.INVALID_RESPONSE, "a WebSocket that nobody asked for")
    head = heads.switch_head(message.headers, handshake.response_lines(key))
    return Outgoing(head, b"", None, None, chunked=False, closes=True)


def _upgrade(message: Request, control: Mapping[str, str]) -> Outgoing:
    """A request that asks for a WebSocket."""
    key = handshake.new_key()
    lines = handshake.request_lines(key)
    head = heads.request_head(message.method, message.url, message.headers, control, lines)
    return Outgoing(head, b"", None, None, chunked=False, closes=False, key=key)


def _bodyless(message: Response, method: str, *, close: bool) -> Outgoing:
    """A response without a body. To `HEAD` it says how long the body would be.

    205 says zero, because its framing is that of any response (RFC 9110 section 15.3.6).
    """
    length = message.content_length if method == "HEAD" else None
    if message.status == 205:
        length = 0
    elif message.status == 204:
        length = None
    framing = b"" if length is None else b"content-length: %d\r\n" % length
    if close:
        framing += _CLOSE
    head = heads.response_head(message.status, message.headers, framing, message.status_text)
    return Outgoing(head, b"", None, None, chunked=False, closes=close)


def _length(said: int | None, data: bytes, complete: bool) -> int | None:
    """The length to send, where it is known."""
    if said is None:
        return len(data) if complete else None
    if len(data) > said or (complete and len(data) < said):
        raise WrongLengthError(said, len(data))
    return said


def _outgoing(
    head: bytes,
    data: bytes,
    rest: Body | None,
    length: int | None,
    chunked: bool,
    closes: bool = False,
) -> Outgoing:
    return Outgoing(head, chunk(data) if chunked else data, rest, length, chunked, closes)


class WrongLengthError(SluiceError):
    """A body has more or fewer bytes than its message says."""

    def __init__(self, said: int, had: int) -> None:
        super().__init__(
            Reason.BODY_CUT_SHORT, f"a body of {had} bytes, where content-length says {said}"
        )
