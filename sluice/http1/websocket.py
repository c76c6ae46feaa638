"""A WebSocket on a connection: frames off the wire and onto it (RFC 6455 sections 5 to 7).

Frames are parsed and written by `wsproto`, whose own connection answers a close by itself and
carries nothing after it. Here a close is a message like any other, and the far end answers it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Protocol

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, ParseFailed

from sluice.wire.websocket import MAX_MESSAGE, Binary, Close, Message, Text, size

HIGH_WATER = 128 * 1024
"""Bytes of whole messages at hand above which no more are read, until the reader takes some."""

LINGER = 5.0
"""Seconds that a peer has to close its connection, once all is said."""

_OVERHEAD = 64


class Line(Protocol):
    """The connection below, once it is no longer HTTP's."""

    @property
    def full(self) -> bool:
        """Whether it has asked for a pause."""

    def write(self, data: bytes) -> None:
        """Send `data`."""

    async def drain(self) -> None:
        """Wait until there is room."""

    def hold(self) -> None:
        """Stop reading."""

    def release(self) -> None:
        """Take back one `hold`."""

    def finish(self) -> None:
        """Send no more, once what was written is sent, but read on."""

    def abort(self) -> None:
        """Break off."""


class FrameSocket:
    """A `WebSocket` that a connection feeds.

    It holds at most `HIGH_WATER`, one read and one message. A message of more than `max_message`
    bytes is answered by a close with 1009; what is no WebSocket by 1002 or 1007. A peer that is
    quiet for `ping_after` seconds is pinged, and has as long again for its answer.
    """

    def __init__(
        self,
        line: Line,
        *,
        is_client: bool,
        max_message: int = MAX_MESSAGE,
        ping_after: float = math.inf,
    ) -> None:
        self._line = line
        self._is_client = is_client
        self._frames = FrameProtocol(is_client, [])
        self._max_message = max_message
        self._ping_after = ping_after
        self._loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._messages: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._held = False
        self._waiting_bytes = 0
        self._begun = bytearray()
        self._deaf = False
        self._close_received = False
        self._close_sent = False
        self._heard = False
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._tick_later()

    def feed(self, data: bytes) -> None:
        """More bytes from the peer."""
        self._heard = True
        if self._deaf:
            return
        self._frames.receive_bytes(data)
        try:
            for frame in self._frames.received_frames():
                self._take(frame)
                if self._deaf:
                    return
        except ParseFailed as error:
            self._refuse(error.code, str(error))

    def lost(self) -> None:
        """The connection is gone."""
        if not self._lost.done():
            self._lost.set_result(None)
            self._deaf = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._wake()

    def leave(self) -> None:
        """Begin the closing handshake, because this server is going away (code 1001)."""
        if not self._close_sent:
            self._send_close(Close(CloseReason.GOING_AWAY))

    async def receive(self) -> Message | None:
        """The next message. None: the peer is gone without a close."""
        while not self._messages:
            if self._deaf:
                return None
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        self._waiting_bytes -= size(message) + _OVERHEAD
        if self._held and self._waiting_bytes <= HIGH_WATER:
            self._let_go()
        return message

    async def send(self, message: Message) -> None:
        """Send a message, and wait until there is room for more."""
        if self._close_sent or self._lost.done():
            return
        if isinstance(message, Close):
            self._send_close(message)
        else:
            self._line.write(bytes(self._frames.send_data(message.data)))
            if self._line.full:
                await self._line.drain()

    async def aclose(self) -> None:
        """End the connection: at once, unless the peer has only its own end to close."""
        if not self._lost.done() and self._close_sent and self._deaf:
            await asyncio.wait([self._lost], timeout=LINGER)
        if not self._lost.done():
            self._line.abort()
        self.lost()

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.PING:
                self._pong(frame.payload)
            case Opcode.PONG:
                pass
            case Opcode.CLOSE:
                self._receive_close(frame.payload)
            case _:
                self._take_data(frame)

    def _take_data(self, frame: Frame) -> None:
        """Add a piece to the message that is coming, and pass that on at its end.

        What has come is kept as one buffer: a piece of two bytes, as an object, takes thirty.
        """
        piece = frame.payload
        assert isinstance(piece, str | bytes)  # noqa: S101 — for mypy; close frames go elsewhere
        data = piece.encode() if isinstance(piece, str) else piece
        if len(self._begun) + len(data) > self._max_message:
            text = f"the message has more than {self._max_message} bytes"
            self._refuse(CloseReason.MESSAGE_TOO_BIG, text)
        elif not frame.message_finished:
            self._begun += data
        else:
            whole = bytes(self._begun) + data if self._begun else data
            self._begun = bytearray()
            self._put(Text(whole.decode()) if isinstance(piece, str) else Binary(whole))

    def _receive_close(self, payload: object) -> None:
        assert isinstance(payload, tuple)  # noqa: S101 — for mypy; wsproto gives (code, reason)
        code, reason = payload
        self._close_received = self._deaf = True
        none = code is CloseReason.NO_STATUS_RCVD
        self._put(Close() if none else Close(int(code), reason))
        self._close_if_over()

    def _pong(self, payload: object) -> None:
        """Answer a ping, unless the peer does not read: then its pings would pile up here."""
        if isinstance(payload, bytes) and not self._close_sent and not self._line.full:
            self._line.write(bytes(self._frames.pong(payload)))

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        self._waiting_bytes += size(message) + _OVERHEAD
        if self._waiting_bytes > HIGH_WATER and not self._held and not self._deaf:
            self._held = True
            self._line.hold()
        self._wake()

    def _refuse(self, code: CloseReason, text: str) -> None:
        """Fail the WebSocket: close it here, and throw away what still comes (section 7.1.7)."""
        self._deaf = True
        self._begun.clear()
        self._let_go()
        if not self._close_sent:
            self._send_close(Close(code, text[:100]))
        self._line.finish()
        self._wake()

    def _send_close(self, close: Close) -> None:
        self._close_sent = True
        self._line.write(bytes(self._frames.close(close.code, close.reason)))
        self._close_if_over()

    def _close_if_over(self) -> None:
        """After both closes the server ends the connection (section 7.1.1): its half of it.

        workerd takes the loss of both halves for a peer that vanished, if it sees it before it has
        passed the close on.
        """
        if self._close_sent and self._close_received:
            self._let_go()
            if not self._is_client:
                self._line.finish()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._line.release()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tick_later(self) -> None:
        if self._ping_after < math.inf:
            self._timer = self._loop.call_later(self._ping_after, self._tick)

    def _tick(self) -> None:
        """Ask a quiet peer whether it is there. One that we do not read from cannot say so."""
        if self._heard or self._held:
            self._asked = False
        elif self._asked:
            self._line.abort()
            return
        else:
            self._asked = True
            if not (self._line.full or self._close_sent):
                self._line.write(bytes(self._frames.ping()))
        self._heard = False
        self._tick_later()
