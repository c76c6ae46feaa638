"""One connection that a client opened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sluice.http1.connection import Connection
from sluice.http1.incoming import Incoming
from sluice.http1.malformed import MalformedError
from sluice.http1.outgoing import Outgoing
from sluice.http1.response_reader import ResponseReader
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

log = logging.getLogger("sluice.http1")

Answer = tuple[Response, dict[str, str]]


class ClientConnection(Connection):
    """Carries one request at a time. `on_free` gets it back when it can carry another."""

    def __init__(
        self,
        max_head: int,
        max_headers: int,
        on_free: Callable[[ClientConnection], None],
        on_lost: Callable[[ClientConnection], None],
    ) -> None:
        super().__init__()
        self.idle_since = 0.0
        """Loop time at which it became free."""
        self.pump: asyncio.Task[None] | None = None
        """Sends the rest of a request's body."""
        self._max_head = max_head
        self._max_headers = max_headers
        self._on_free = on_free
        self._on_lost = on_lost
        self._reader: ResponseReader | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._answered = False
        self._error: SluiceError | None = None

    async def exchange(self, method: str, message: Outgoing) -> Answer:
        """Send a request. Returns when the head of its response is here.

        Raises `ISOLATE_DIED` where the connection ends before, `INVALID_RESPONSE` for what is not
        HTTP, and what the request's body raises. Cancelled, it breaks the connection off.
        """
        loop = asyncio.get_running_loop()
        self._reader = ResponseReader(
            method, self._max_head, self._max_headers, lambda: Incoming(self)
        )
        self._answered = False
        self._answer = loop.create_future()
        self.out.start(message)
        if message.rest is not None:
            self.pump = loop.create_task(self._send(message))
        try:
            return await self._answer
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Break the connection off."""
        if self.pump is not None:
            self.pump.cancel()
        self.out.abort()

    def close(self) -> None:
        """Close, while nothing is going on."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read the response. Nothing may come while none is awaited."""
        reader = self._reader
        if reader is None:
            self.abort()
            return
        try:
            reader.feed(data)
        except MalformedError as malformed:
            self._fail(SluiceError(Reason.INVALID_RESPONSE, f"response: {malformed.message}"))
            return
        self._deliver(reader)
        if reader.complete:
            self._end(reader)

    def eof_received(self) -> None:
        """The clean end of a response that has no other."""
        if self._reader is not None:
            self._reader.end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was going on is cut short."""
        self.lost = True
        if self._reader is not None:
            cut = Reason.BODY_CUT_SHORT if self._answered else Reason.ISOLATE_DIED
            what = "body" if self._answered else "head"
            self._fail(SluiceError(cut, f"the connection ended before the response's {what}"))
        if self.pump is not None:
            self.pump.cancel()
        self.out.resume()
        self._on_lost(self)

    def wanted(self) -> None:
        """Nothing to do: bytes come by themselves."""

    def unwanted(self) -> None:
        """Break off a response that nobody wants the rest of."""
        self.abort()

    def _deliver(self, reader: ResponseReader) -> None:
        if reader.response is not None and not self._answered:
            self._answered = True
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((reader.response, reader.control))

    def _end(self, reader: ResponseReader) -> None:
        """The response is complete. A request that is not can no longer matter."""
        self._reader = None
        if reader.reusable and self.pump is None and not self.transport.is_closing():
            self._on_free(self)
        else:
            self.abort()

    def _fail(self, error: SluiceError) -> None:
        """Tell whoever waits for the response, and break the connection off."""
        reader, self._reader = self._reader, None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        elif reader is not None:
            reader.end(error)
        self.abort()

    async def _send(self, message: Outgoing) -> None:
        """Send the rest of the request's body. Never raises but when cancelled."""
        try:
            await self.out.finish(message)
            self.pump = None
        except SluiceError as error:
            self._fail(error)
        except Exception:
            log.exception("a request's body failed")
            self._fail(SluiceError(Reason.INTERNAL, "the request's body failed"))
        finally:
            if message.rest is not None:
                await message.rest.aclose()
