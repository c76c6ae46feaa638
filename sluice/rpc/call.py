"""A call that is being made."""

from __future__ import annotations

import asyncio

import grpc

from sluice.http2.connection import Connection
from sluice.http2.failure import Code
from sluice.http2.fields import Fields
from sluice.http2.stream import Stream
from sluice.rpc.envelope import Inbox, envelope
from sluice.rpc.status import HEAD, OK, Status, of_head, of_reset, of_trailers

_CANCELLED = Status(grpc.StatusCode.CANCELLED, "cancelled by the caller")
_NO_STATUS = Status(grpc.StatusCode.INTERNAL, "the call ended without a status")
_CUT = Status(grpc.StatusCode.INTERNAL, "the call ended within a message")
_TWO_HEADS = Status(grpc.StatusCode.INTERNAL, "the call has two heads")


class Call(Stream):
    """Messages out, messages in, and the status that ends it. One reader and one writer."""

    __slots__ = ("_headed", "_inbox", "_status", "_waiting")

    def __init__(self, connection: Connection, number: int, max_message: int) -> None:
        super().__init__(connection, number)
        self._inbox = Inbox(max_message)
        self._status: Status | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._headed = False

    async def read(self) -> bytes | None:
        """The next message; None at the clean end. Raises `AioRpcError` at any other."""
        messages = self._inbox.messages
        while not messages:
            if self._status is OK:
                return None
            if self._status is not None:
                raise self._status.error()
            await self._change()
        message = messages.popleft()
        if not messages and (wrong := self._inbox.split()):
            self._status = wrong
            self.reset(Code.CANCEL)
        if not messages:
            self.consumed(self.window.held)
        return message

    async def write(self, message: bytes, *, last: bool = False) -> None:
        """Write a message, and wait until there is room for more.

        Raises `StreamEndedError` where the call is over. Cancelling it cancels the call.
        """
        try:
            await self.send(envelope(message), end=last)
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def end(self) -> Status:
        """Await the status. Messages that nobody has read by then stay where they are."""
        while self._status is None:
            await self._change()
        return self._status

    @property
    def over(self) -> bool:
        """Whether the status is there."""
        return self._status is not None

    def cancel(self) -> None:
        """End the call, if it is not over."""
        if self._status is None:
            self._finish(_CANCELLED)
            self.reset(Code.CANCEL)

    def on_headers(self, fields: Fields, *, ended: bool) -> None:
        """Take a head, or the status in trailers."""
        if ended:
            self._finish(of_trailers(fields) if self._inbox.clean else _CUT)
        elif self._headed:
            self._finish(_TWO_HEADS)
        elif tuple(fields[: len(HEAD)]) != HEAD and not _is_grpc(fields):
            self._finish(of_head(fields))
        self._headed = True
        if self._status is not None and not (ended and self.local_ended):
            self.reset(Code.NO_ERROR if ended else Code.CANCEL)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Take messages."""
        wrong = self._inbox.feed(data)
        self.begins(self._inbox.begun)
        if wrong is None and ended:
            wrong = _NO_STATUS
        if wrong is not None:
            self._finish(wrong)
            self.reset(Code.CANCEL)
        elif self._inbox.messages:
            self._wake()
        else:
            self.consumed(len(data))

    def on_end(self, code: Code, text: str) -> None:
        """End the call by it."""
        self._finish(of_reset(code, text))

    def _finish(self, status: Status) -> None:
        if self._status is None:
            self._status = status
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _change(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None


def _is_grpc(fields: Fields) -> bool:
    said = dict(fields)
    content_type: bytes = said.get(b"content-type", b"")
    return said.get(b":status") == b"200" and content_type.startswith(b"application/grpc")
