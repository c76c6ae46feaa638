"""The two ends of a connection: who opens streams, who answers them, and how each one leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sluice.http2.connection import Connection
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.fields import Fields
from sluice.http2.frames import MAX_NUMBER, PREFACE, RST_STREAM, frame, word
from sluice.http2.limits import Limits
from sluice.http2.settings import own
from sluice.http2.stream import Stream


class ClientEnd(Connection):
    """Opens streams. `left` is called when it can open no more, or is over."""

    def __init__(self, limits: Limits, left: Callable[[ClientEnd], None]) -> None:
        super().__init__(limits)
        self._left = left
        self._next = 1
        # Why there is no connection, if so: an exception would refer to whom it was raised in.
        self._ready: asyncio.Future[tuple[Code, str] | None]
        self._ready = asyncio.get_running_loop().create_future()
        self.leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first: a server may say its settings at once, and they are answered."""
        super().connection_made(transport)
        self.emit(PREFACE + own(self.limits, client=True))

    async def start(self) -> None:
        """Wait for the far side's settings. Raises `ConnectionFailure` where it leaves before."""
        if lost := await self._ready:
            raise ConnectionFailure(*lost)

    @property
    def full(self) -> bool:
        """Whether the far side has as many streams open as it takes."""
        return len(self.streams) >= self.peer.streams

    def number(self) -> int:
        """The number of the next stream, which is opened now."""
        number, self._next = self._next, self._next + 2
        if self._next > MAX_NUMBER:
            self._leave()
        return number

    def opened(self, number: int, _: Fields) -> Stream | None:
        """See `Connection.opened`."""
        self.check_known(number)
        return None

    def going_away(self, last: int) -> None:
        """Open no more streams, and end those beyond `last`."""
        self._leave()
        while self.streams and (number := next(reversed(self.streams))) > last:
            stream = self.streams[number]
            self._forget(stream)
            stream.on_end(Code.REFUSED_STREAM, "the far side is going away")
        self.forgotten()

    def forgotten(self) -> None:
        """Close, when all is said."""
        if self.leaving and not self.streams:
            asyncio.get_running_loop().call_soon(self.close)

    def agreed(self) -> None:
        """Let `start` return."""
        if not self._ready.done():
            self._ready.set_result(None)

    def lost(self, code: Code, text: str) -> None:
        """Say so."""
        if not self._ready.done():
            self._ready.set_result((code, text))
        self._leave()

    def _leave(self) -> None:
        if not self.leaving:
            self.leaving = True
            self._left(self)

    def check_known(self, number: int) -> None:
        """See `Connection.check_known`."""
        if not number % 2 or number >= self._next:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, f"stream {number}, which is not open")


class ServerEnd(Connection):
    """Answers streams: `answer(self, number, fields)` is the one for a head.

    A stream that was reset counts until whoever answers it has ended, and says so by `settled`.
    """

    def __init__(
        self,
        limits: Limits,
        answer: Callable[[ServerEnd, int, Fields], Stream],
        made: Callable[[ServerEnd], None],
    ) -> None:
        super().__init__(limits)
        self._answer_stream = answer
        self._made = made
        self._preface = PREFACE
        self.peer_names: tuple[str, ...] = ()
        """DNS names in the certificate of the far side."""
        self._taken = 0
        self._draining = False
        self._refusing = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read who is there."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert") or {}
        names = certificate.get("subjectAltName", ())
        self.peer_names = tuple(name for kind, name in names if kind == "DNS")
        self._made(self)

    def data_received(self, data: bytes) -> None:
        """Take in what came, after the preface."""
        if self._preface and not self.closed:
            size = len(self._preface)
            if not data.startswith(self._preface[: len(data)]):
                self.fail(ConnectionFailure(Code.PROTOCOL_ERROR, "not HTTP/2"))
                return
            data, self._preface = data[size:], self._preface[len(data) :]
            if self._preface:
                return
            self.emit(own(self.limits, client=False))
        super().data_received(data)

    def opened(self, number: int, fields: Fields) -> Stream | None:
        """See `Connection.opened`."""
        if not number % 2:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, f"stream {number} of a client")
        if number <= self.last:
            return None
        self.last = number
        if self._taken >= self.limits.streams or self._refusing:
            self.emit(frame(RST_STREAM, 0, number, word(Code.REFUSED_STREAM)))
            return None
        self._taken += 1
        return self._answer_stream(self, number, fields)

    def settled(self, stream: Stream) -> None:
        """Whoever answered a stream has ended, be it before the stream."""
        self.reset(stream, Code.INTERNAL_ERROR)
        self._taken -= 1
        if self._refusing and not self._taken:
            self.close()

    @property
    def idle(self) -> bool:
        """Whether no stream is being answered."""
        return not self._taken and not self.closed

    def drain(self) -> None:
        """Take no more streams than those that are on their way; close when all are answered."""
        if not self._agreed:
            self.close()
        elif not self._draining and not self.closed:
            self._draining = True
            self.go_away(MAX_NUMBER)
            self.last_call()
            wait = asyncio.get_running_loop().call_later
            self._patience = wait(self.limits.goodbye, self.answered_last_call)

    def answered_last_call(self) -> None:
        """Take no streams but those that came."""
        if self._draining and not self._refusing:
            self._refusing = True
            self.go_away(self.last)
            if not self._taken:
                self.close()

    def lost(self, _: Code, __: str) -> None:
        """Wait for nothing."""
        if self._patience is not None:
            self._patience.cancel()

    def check_known(self, number: int) -> None:
        """See `Connection.check_known`."""
        if not number % 2 or number > self.last:
            raise ConnectionFailure(Code.PROTOCOL_ERROR, f"stream {number}, which is not open")
