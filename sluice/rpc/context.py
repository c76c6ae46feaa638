"""A call that is being served, as its method sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from sluice.http2.ends import ServerEnd
from sluice.http2.failure import Code, StreamEndedError
from sluice.http2.fields import Fields
from sluice.rpc.conversation import Conversation
from sluice.rpc.envelope import envelope
from sluice.rpc.metadata import Metadata, to_metadata
from sluice.rpc.status import HEAD_BLOCK, OK, AbortError, Status

_CUT = Status(grpc.StatusCode.INVALID_ARGUMENT, "the call ended within a message")


class Context(Conversation):
    """The caller's messages, and what it is answered. Cancelled when the caller leaves.

    `read` ends the call where what came is no message.
    """

    __slots__ = ("_fields", "_headed", "_wrong", "said", "serialize", "task")

    connection: ServerEnd

    def __init__(
        self, connection: ServerEnd, number: int, fields: Fields, max_message: int
    ) -> None:
        super().__init__(connection, number, max_message)
        self._fields = fields
        self.said = dict(fields)
        """The header fields of the call; of two alike the last."""
        self.serialize: Callable[[Any], bytes] | None = None
        """How the method's answers become bytes. None where they are."""
        self._wrong: Status | None = None
        self._headed = False
        self.task: asyncio.Task[None] | None = None

    def invocation_metadata(self) -> Metadata:
        """What the caller said besides the messages."""
        return to_metadata(self._fields)

    async def write(self, message: Any) -> None:
        """Write a message, and wait until there is room for more."""
        if not self._headed:
            self._headed = True
            self.send_headers(HEAD_BLOCK)
        data = message if isinstance(message, bytes) else self._serialized(message)
        try:
            await self.send(envelope(data))
        except StreamEndedError:
            raise asyncio.CancelledError("the caller left") from None

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """End the call with this status."""
        raise AbortError(Status(code, details, trailing_metadata))

    def finish(self, status: Status = OK) -> None:
        """Send the status."""
        if self.alive:
            self.send_headers(status.block(alone=not self._headed), end=True)
            self.reset(Code.NO_ERROR)  # where the caller has not ended its side

    def on_headers(self, fields: Fields, *, ended: bool) -> None:
        """Look again: perhaps the caller has ended its side."""
        self._wake()

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Take messages, up to what is none."""
        if self._wrong is None:
            self._feed(data)
        else:
            self.consumed(len(data))
        if ended:
            self._wake()

    def on_end(self, code: Code, text: str) -> None:
        """Cancel whoever serves the call."""
        if self.task is not None:
            self.task.cancel()

    def _is_at_end(self) -> bool:
        wrong = self._wrong
        if wrong is None and self.remote_ended and not self._inbox.clean:
            wrong = _CUT
        if wrong is not None:
            raise AbortError(wrong)
        return self.remote_ended

    def _spoil(self, wrong: Status) -> None:
        self._wrong = wrong
        self._wake()

    def _serialized(self, message: Any) -> bytes:
        if self.serialize is None:
            raise TypeError(f"{type(message).__name__}: this method answers bytes")
        return self.serialize(message)
