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
from sluice.http1.websocket import FrameSocket
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

log = logging.getLogger("sluice.http1")

Answer = tuple[Response, dict[str, str]]


class ClientConnection(Connection):
    """Carries one request at a time. `on_free` gets it back when it can carry another.

    What sends the rest of a request's body is a task in `pumps`.
    """

    def __init__(
        self,
        max_head: int,
        max_headers: int,
        max_message: int,
        pumps: set[asyncio.Task[None]],
        on_free: Callable[[ClientConnection], None],
    ) -> None:
        super().__init__()
        self.idle_since = 0.0
        """Loop time at which it became free."""
        self._pump: asyncio.Task[None] | None = None
        self._pumps = pumps
        self._max_head = max_head
        self._max_headers = max_headers
        self._max_message = max_message
        self._socket: FrameSocket | None = None
        self._on_free = on_free
        self._reader: ResponseReader | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._answered = False

    @property
    def usable(self) -> bool:
        """Whether nothing has ended it."""
        return not self.lost.done() and not self.transport.is_closing()

    async def exchange(self, method: str, message: Outgoing) -> Answer:
        """Send a request. Returns when the head of its response is here.

        Raises `ISOLATE_DIED` where the connection ends before, `INVALID_RESPONSE` for what is not
        HTTP, and what the request's body raises. Cancelled, it breaks the connection off.
        """
        if self.lost.done():
            raise SluiceError(Reason.ISOLATE_DIED, "the connection ended before the request")
        loop = asyncio.get_running_loop()
        self._reader = ResponseReader(
            method, self._max_head, self._max_headers, lambda: Incoming(self), message.key
        )
        self._answered = False
        answer: asyncio.Future[Answer] = loop.create_future()
        self._answer = answer
        self.out.start(message)
        if message.rest is not None:
            self._pump = loop.create_task(self._send(message))
            self._pumps.add(self._pump)
            self._pump.add_done_callback(self._pumps.discard)
        try:
            return await answer
        except BaseException:
            if self._answer is answer:  # Another may have got the connection since.
                self.abort()
            raise
        finally:
            del answer  # Its exception refers to this frame: no collector is needed so.

    def abort(self) -> None:
        """Break the connection off."""
        if self._pump is not None:
            self._pump.cancel()
        self.out.abort()

    def close(self) -> None:
        """Close, while nothing is going on."""
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read the response. Nothing may come while none is awaited."""
        reader = self._reader
        if self._socket is not None:
            self._socket.feed(data)
            return
        if reader is None:
            self.abort()
            return
        try:
            reader.feed(data)
        except MalformedError as malformed:
            reason = Reason.BODY_CUT_SHORT if self._answered else Reason.INVALID_RESPONSE
            self._fail(SluiceError(reason, f"response: {malformed.message}"))
            return
        if reader.behind is not None:
            self._switch(reader, reader.behind)
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
        super().connection_lost(exc)
        if self._socket is not None:
            self._socket.lost()
        if self._reader is not None:
            cut = Reason.BODY_CUT_SHORT if self._answered else Reason.ISOLATE_DIED
            what = "body" if self._answered else "head"
            self._fail(SluiceError(cut, f"the connection ended before the response's {what}"))
        if self._pump is not None:
            self._pump.cancel()
        # They refer to this connection, and hold what nobody has read: no collector is needed so.
        self._answer = self._socket = None

    def wanted(self) -> None:
        """Nothing to do: bytes come by themselves."""

    def unwanted(self) -> None:
        """Break off a response that nobody wants the rest of."""
        self.abort()

    def _switch(self, reader: ResponseReader, behind: bytes) -> None:
        """From here on the connection is a WebSocket."""
        assert reader.response is not None  # noqa: S101 — for mypy; it came before what is behind it
        self._reader = None
        self._socket = FrameSocket(self, is_client=True, max_message=self._max_message)
        reader.response.websocket = self._socket
        self._deliver(reader)
        self._socket.feed(behind)

    def _deliver(self, reader: ResponseReader) -> None:
        if reader.response is not None and not self._answered:
            self._answered = True
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((reader.response, reader.control))

    def _end(self, reader: ResponseReader) -> None:
        """The response is complete. A request that is not can no longer matter."""
        self._reader = None
        if reader.reusable and self._pump is None and not self.transport.is_closing():
            self._on_free(self)
        else:
            self.abort()

    def _fail(self, error: SluiceError) -> None:
        """Tell whoever waits for the response, and break the connection off."""
        reader, self._reader = self._reader, None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        if reader is not None:
            reader.end(error)
        self.abort()

    async def _send(self, message: Outgoing) -> None:
        """Send the rest of the request's body. Never raises but when cancelled."""
        try:
            await self.out.finish(message)
            self._pump = None
        except SluiceError as error:
            self._pump = None
            self._fail(error)
        except Exception:
            log.exception("a request's body failed")
            self._pump = None
            self._fail(SluiceError(Reason.INTERNAL, "the request's body failed"))
        finally:
            if message.rest is not None:
                await message.rest.aclose()
