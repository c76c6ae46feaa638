"""One request and its response on one connection of the pool.

The rule served here is that of `sluice.wire.body`. A request body that breaks off aborts the
connection; a response body that breaks off raises; only after two clean ends does the connection
go back to the pool.
"""

from __future__ import annotations

import asyncio

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

from services.outbound.origin import upload
from services.outbound.origin.failure import EXPECTED, cut_short
from sluice.wire.body import Body
from sluice.wire.errors import Reason, SluiceError


class Exchange:
    """Owns the connection, and the task that sends a body which is still to come."""

    def __init__(
        self,
        connection: Connection,
        protocol: ResponseHandler,
        host: str,
        *,
        first_byte_timeout: float,
        idle_timeout: float,
    ) -> None:
        self.host = host
        self._connection = connection
        self._protocol = protocol
        self._first_byte_timeout = first_byte_timeout
        self._idle_timeout = idle_timeout
        self._deadline: asyncio.TimerHandle | None = None
        self._content: StreamReader | None = None
        self._upload: asyncio.Task[None] | None = None
        self._over = False

    @property
    def connection(self) -> Connection:
        """What it owns, for a WebSocket that goes on with it."""
        return self._connection

    @property
    def idle_timeout(self) -> float:
        """Seconds that the origin may take nothing."""
        return self._idle_timeout

    def write(self, data: bytes) -> None:
        """Send `data` at once. A connection that is gone shows in `head`."""
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def upload(self, body: Body, length: int | None) -> asyncio.Task[None]:
        """Send the rest of the request's body meanwhile: `length` bytes, or chunked for None."""
        self._upload = asyncio.get_running_loop().create_task(self._send(body, length))
        return self._upload

    async def _send(self, body: Body, length: int | None) -> None:
        try:
            await upload.send(body, length, self._protocol, self._idle_timeout, self.host)
        except Exception as error:
            self._break_off(error)
        else:
            self.await_head()
        finally:
            await body.aclose()

    def _break_off(self, error: Exception) -> None:
        """The request body has failed: whoever waits for the response learns why."""
        if not isinstance(error, SluiceError):
            cause, error = error, SluiceError(Reason.BODY_CUT_SHORT, "the request body broke off")
            error.__cause__ = cause
        self._protocol.set_exception(error)
        if self._content is not None:
            self._content.set_exception(error)
        self._abort_transport()

    def await_head(self) -> None:
        """The request is sent: the origin has `first_byte_timeout` seconds for its answer."""
        if self._content is None and not self._over:
            self._deadline = asyncio.get_running_loop().call_later(
                self._first_byte_timeout, self._protocol.set_exception, self._no_answer()
            )

    def _no_answer(self) -> SluiceError:
        return SluiceError(
            Reason.RESPONSE_TIMEOUT,
            f"{self.host} did not answer within {self._first_byte_timeout:g} s",
            host=self.host,
        )

    async def head(self) -> tuple[RawResponseMessage, StreamReader]:
        """The final response's head and its body. Interim (1xx) responses end here."""
        while True:
            message, content = await self._protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:
                break
        self._content = content
        self._disarm()
        if not content.is_eof():
            self._watch()
        return message, content

    def _watch(self) -> None:
        # aiohttp closes the connection where a body's framing is broken, and leaves its reader
        # waiting.
        closed = self._protocol.closed
        if closed is None:
            self._lost()
        else:
            closed.add_done_callback(self._lost)

    def _lost(self, _: asyncio.Future[None] | None = None) -> None:
        content = self._content
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(ClientPayloadError())

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def release(self) -> None:
        """The response has ended cleanly. What is left of the upload is not wanted any more."""
        if self._upload is not None and not self._upload.done():
            self.abort()
        elif not self._over:
            self._over = True
            if (closed := self._protocol.closed) is not None:
                closed.remove_done_callback(self._lost)
            self._connection.release()

    def abort(self) -> None:
        """Cut both directions short, at once: what is not yet sent is dropped."""
        if self._over:
            return
        self._over = True
        self._disarm()
        if self._upload is not None:
            self._upload.cancel()
        if self._content is not None and not self._content.is_eof():
            self._content.set_exception(
                SluiceError(Reason.BODY_CUT_SHORT, "the response body was closed before its end")
            )
        self._abort_transport()
        self._connection.close()

    def _abort_transport(self) -> None:
        if (transport := self._connection.transport) is not None:
            transport.abort()

    @property
    def was_reset(self) -> bool:
        """Whether the connection ended in an error, such as a reset."""
        return isinstance(self._protocol.exception(), OSError)


class OriginBody:
    """The body of a response, as it comes. Reading pauses the origin where nobody reads here."""

    __slots__ = ("_content", "_ended", "_exchange", "_until_close")

    def __init__(self, exchange: Exchange, content: StreamReader, *, until_close: bool) -> None:
        self._exchange = exchange
        self._content = content
        self._until_close = until_close
        self._ended = False

    def take(self) -> tuple[bytes, bool]:
        """What has arrived. An error waits for the iteration."""
        try:
            data = self._content.read_nowait()
        except (*EXPECTED, SluiceError):
            return b"", False
        return data, self._end()

    def __aiter__(self) -> OriginBody:
        """Itself: a body is read once."""
        return self

    async def __anext__(self) -> bytes:
        """The next bytes. Raises `BODY_CUT_SHORT`, or `RESPONSE_TIMEOUT` for one that stalls."""
        if self._ended:
            raise StopAsyncIteration
        try:
            data = await self._content.readany()
        except EXPECTED as error:
            self._exchange.abort()
            raise cut_short(error, self._exchange.host) from error
        except BaseException:
            self._exchange.abort()
            raise
        if not self._end() and not data:
            # aiohttp ends a body that lasts until the connection closes even where it was reset.
            self._exchange.abort()
            raise cut_short(ConnectionResetError(), self._exchange.host)
        if not data:
            raise StopAsyncIteration
        return data

    def _end(self) -> bool:
        """Whether the body has ended cleanly. If so, the connection is given back."""
        if self._content.at_eof() and not (self._until_close and self._exchange.was_reset):
            self._ended = True
            self._exchange.release()
        return self._ended

    async def aclose(self) -> None:
        """Before the end, closes the connection to the origin."""
        self._exchange.abort()
