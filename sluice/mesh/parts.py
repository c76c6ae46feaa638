"""The messages of a call, read: what cannot be parsed, and what is out of place, is refused.

No I/O. A message comes as bytes, and is parsed here: what cannot be has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from sluice.mesh.pair import MessageType, Pair
from sluice.wire.body import CHUNK, WHOLE, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, request_from_pb

Refuse = Callable[[str], SluiceError]
"""The error that says of a message what is wrong with it."""


def refuse_request(text: str) -> SluiceError:
    """The error of a request."""
    return SluiceError(Reason.INVALID_REQUEST, text)


def parse(read: Callable[[bytes], Any], data: bytes, refuse: Refuse = refuse_request) -> Any:
    """What `read` makes of `data`. Raises where that is no such message."""
    try:
        return read(data)
    except DecodeError as error:
        raise refuse(f"not a message of this method: {error}") from None


def whole_request(pair: Pair, data: bytes) -> tuple[Any, Request]:
    """What stands beside the one message's request, and that request.

    Raises `INVALID_REQUEST`, or `BODY_CUT_SHORT` where the body is shorter than its head says.
    """
    message = parse(pair.whole_request.FromString, data)
    _check_openings(message, pair.openings, refuse_request)
    size, head = len(message.body), message.head
    if head.websocket:
        raise refuse_request(f"head.websocket: needs {pair.stream}, not {pair.whole}")
    if size > WHOLE:
        raise refuse_request(f"body: {size} bytes, over {WHOLE}; {pair.stream} takes longer ones")
    request = request_from_pb(head, Whole(message.body))
    if request.content_length is not None:
        _check_length(request.content_length - size, refuse_request)
    return opening_of(message, pair), request


def opening_of(message: Any, pair: Pair) -> Any:
    """What a first message says besides the request; None for a pair that has no such thing.

    A copy, because it is kept for as long as an invocation: a field of a message keeps the memory
    of all of it, the body's too.
    """
    if pair.opening is None:
        return None
    opening = getattr(message, pair.opening)
    own = type(opening)()
    own.CopyFrom(opening)
    return own


class Parts:
    """The parts of one HTTP message, in order, up to its end.

    Raises `refuse(text)` for a part that is out of place, and `BODY_CUT_SHORT` for a body that ends
    before all of it came. `openings` are the fields that the first part has, and no other.
    """

    __slots__ = ("_openings", "_parse", "_trailed", "left", "refuse")

    def __init__(self, message: MessageType, openings: tuple[str, ...], refuse: Refuse) -> None:
        self._parse = message.FromString
        self._openings = openings
        self._trailed = False
        self.refuse = refuse
        self.left: int | None = None
        """Bytes of the body still to come, where the head says how many there are."""

    @property
    def ended(self) -> bool:
        """Whether the body is complete: by its length, or by its trailers."""
        return self._trailed or self.left == 0

    def first(self, data: bytes) -> Any:
        """The first part. What it has of the body is for `begin`."""
        part = parse(self._parse, data, self.refuse)
        _check_openings(part, self._openings, self.refuse)
        return part

    def begin(self, part: Any, length: int | None) -> bytes:
        """The body's bytes in the first part. `length`: how many it has in all, where known."""
        self.left = length
        return self._body(part)

    def check_open(self, part: Any) -> None:
        """Check a first part that opens a WebSocket, and so has nothing besides the head."""
        if name := part.WhichOneof("part"):
            raise self.refuse(f"{name}: before the WebSocket is open")

    def more(self, data: bytes) -> bytes:
        """The body's bytes in a later part."""
        return self._body(self._later(data))

    def message(self, data: bytes) -> Any:
        """The WebSocket message in a later part."""
        part = self._later(data)
        name = part.WhichOneof("part")
        if name != "websocket":
            raise self.refuse(f"{name or 'websocket'}: not a message of the open WebSocket")
        return part.websocket

    def end(self) -> None:
        """The body ended here."""
        if self.left is not None:
            _check_length(self.left, self.refuse)

    def _later(self, data: bytes) -> Any:
        part = parse(self._parse, data, self.refuse)
        for name in self._openings:
            if part.HasField(name):
                raise self.refuse(f"{name}: set again after the first message")
        return part

    def _body(self, part: Any) -> bytes:
        name = part.WhichOneof("part")
        if name is None:
            return b""
        if name == "websocket":
            raise self.refuse("websocket: no WebSocket is open")
        if self._trailed:
            raise self.refuse(f"{name}: after the trailers")
        if name == "trailers":
            self.end()
            self._trailed = True
        chunk: bytes = part.body
        if len(chunk) > CHUNK:
            raise self.refuse(f"body: {len(chunk)} bytes in one message, over {CHUNK}")
        if self.left is not None:
            self.left -= len(chunk)
            if self.left < 0:
                self.end()
        return chunk


def _check_openings(message: Any, names: tuple[str, ...], refuse: Refuse) -> None:
    for name in names:
        if not message.HasField(name):
            raise refuse(f"{name}: not set in the first message")


def _check_length(left: int, refuse: Refuse) -> None:
    """Check what is left of `head.content_length` where the body ends: nothing, if all is well."""
    if left < 0:
        raise refuse("body: more than head.content_length bytes")
    if left > 0:
        raise SluiceError(
            Reason.BODY_CUT_SHORT, f"body: ended {left} bytes before head.content_length"
        )
