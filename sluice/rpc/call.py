"""A call that is being made."""

from __future__ import annotations

import asyncio

import grpc

from sluice.http2.connection import Connection
from sluice.http2.failure import Code
from sluice.http2.fields import Fields
from sluice.rpc.conversation import Conversation
from sluice.rpc.envelope import envelope
from sluice.rpc.status import HEAD, OK, Status, of_head, of_reset, of_trailers

_CANCELLED = Status(grpc.StatusCode.CANCELLED, "cancelled by the caller")
_NO_STATUS = Status(grpc.StatusCode.INTERNAL, "the call ended without a status")
_CUT = Status(grpc.StatusCode.INTERNAL, "the call ended within a message")
_TWO_HEADS = Status(grpc.StatusCode.INTERNAL, "the call has two heads")


class Call(Conversation):
    """Messages out, messages in, and the status that ends it. One reader and one writer.

    `read` raises `AioRpcError` at any end but a clean one.
    """

    __slots__ = ("_headed", "_status")

    def __init__(self, connection: Connection, number: int, max_message: int) -> None:
        super().__init__(connection, number, max_message)
        self._status: Status | None = None
        self._headed = False

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
        self._feed(data)
        if ended:
            self._spoil(_NO_STATUS)

    def on_end(self, code: Code, text: str) -> None:
        """End the call by it."""
        self._finish(of_reset(code, text))

    def _finish(self, status: Status) -> None:
        if self._status is None:
            self._status = status
            self._wake()

    def _is_at_end(self) -> bool:
        if self._status is not None and self._status is not OK:
            raise self._status.error()
        return self._status is OK

    def _spoil(self, wrong: Status) -> None:
        if self._status is None or self._status is OK:  # it may have said that all is well
            self._status = wrong
        self._wake()
        self.reset(Code.CANCEL)


def _is_grpc(fields: Fields) -> bool:
    said = dict(fields)
    content_type: bytes = said.get(b"content-type", b"")
    return said.get(b":status") == b"200" and content_type.startswith(b"application/grpc")
