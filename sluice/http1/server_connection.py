"""One connection that a server accepted."""

from __future__ import annotations

import asyncio
import logging
import math

from sluice.http1 import outgoing
from sluice.http1.connection import Connection
from sluice.http1.exchange import Peer
from sluice.http1.heads import CONTINUE
from sluice.http1.incoming import Incoming
from sluice.http1.malformed import MalformedError
from sluice.http1.pace import Pace
from sluice.http1.request_reader import Arrived, RequestReader
from sluice.http1.serving import Serving
from sluice.http1.websocket import FrameSocket
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from sluice.wire.websocket import WebSocket, cut_short, join

log = logging.getLogger("sluice.http1")

LINGER = 5.0
"""Seconds to read on and throw away, so that the peer gets our last answer before a reset does
(RFC 9112 section 9.6)."""


class ServerConnection(Connection):
    """Serves its requests one after another. Each has a task; what is pipelined waits."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._reader: RequestReader
        self._task: asyncio.Task[None] | None = None
        self._now: Arrived | None = None
        self._sends: Pace | None = None
        self._takes: Pace | None = None
        self._socket: FrameSocket | None = None
        self._malformed: MalformedError | None = None
        self._started = False
        self._held = False
        self._closing = False
        self._left = False
        self._moved = False
        self._deadline = math.inf

    @property
    def idle(self) -> bool:
        """Whether no request is being served."""
        return self._task is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the peer, or close at once."""
        super().connection_made(transport)
        peer = Peer.of(transport)
        serving = self._serving
        self._reader = RequestReader(serving.limits, serving.scheme, peer, lambda: Incoming(self))
        if not serving.admits(peer):
            log.debug("refused a connection from %s", peer.address)
            self._closing = True
            self.transport.abort()
            return
        serving.connections[self] = None
        self._deadline = self._loop.time() + serving.limits.idle_timeout

    def data_received(self, data: bytes) -> None:
        """Read requests, and start the first where none is being served."""
        self._moved = True
        if self._socket is not None:
            self._socket.feed(data)
            return
        if self._closing or self._malformed is not None:
            return
        begun = self._reader.amid
        self._read(data)
        if self._task is not None:
            self._hold_behind()
        elif self._reader.arrived or self._malformed is not None:
            self._next()
        elif self._reader.amid and not begun:
            self._deadline = self._loop.time() + self._serving.limits.head_timeout

    def eof_received(self) -> None:
        """The peer is gone: one that only stops sending is not waited for."""
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is being served."""
        super().connection_lost(exc)
        self._serving.connections.pop(self, None)
        self._gone()
        self._reader.close()
        # It refers to this connection, and holds what nobody has read: no collector is needed so.
        self._socket = None

    def resume_writing(self) -> None:
        """The peer reads on."""
        self._moved = True
        super().resume_writing()

    def wanted(self) -> None:
        """Ask for the body of a request that expects to be asked."""
        if self._now is not None and self._now.expects and not self._started:
            self._now.expects = False
            self.transport.write(CONTINUE)

    def unwanted(self) -> None:
        """Read no more of a body that nobody wants. After the response the connection closes."""
        self._held = True
        self.hold()

    def overdue(self, now: float) -> bool:
        """Whether the peer has kept this connection waiting too long. Asked every second."""
        if self._socket is not None and not self._closing:
            return False  # It looks after its peer itself.
        if self._closing:
            if not self.transport.get_write_buffer_size():
                self._deadline = min(self._deadline, now + LINGER)
        elif self._now is not None and self._serving.limits.min_rate:
            return self._too_slow(self._now)
        elif self._now is not None:
            body = self._now.body
            waiting = self.out.waiting or (body is not None and body.waiting)
            if self._moved or not waiting:
                self._moved = False
                self._deadline = now + self._serving.limits.stall_timeout
        return now > self._deadline

    def expire(self) -> None:
        """Give up on a peer that is overdue: by 408 where it owes a head or body that is slow."""
        if self._task is None and not self._closing and self._reader.amid:
            self._malformed = MalformedError(408, "the head did not arrive in time")
            self._next()
        elif self._task is None and not self._closing:
            self.close()
        elif self._sends is not None and self._sends.is_spent and not self._started:
            why = "the client sends its request's body too slowly"
            self._fail_body(why, Reason.REQUEST_TIMEOUT)
        else:
            self.abort()

    def leave(self) -> None:
        """Tell the peer of a WebSocket that the server is going away."""
        if self._socket is not None:
            self._socket.leave()

    def close(self) -> None:
        """Close, once what was written is sent."""
        self._closing = True
        self._deadline = self._loop.time() + self._serving.limits.stall_timeout
        self.transport.close()

    def abort(self) -> None:
        """Break the connection off, and with it what is being served."""
        self._closing = True
        self.out.abort()

    def _read(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except MalformedError as malformed:
            self._refuse_later(malformed)

    def _too_slow(self, arrived: Arrived) -> bool:
        """Whether the peer sends or takes less than it must, while we wait for it."""
        limits, slow = self._serving.limits, False
        if arrived.body is not None and arrived.body.waiting:
            self._sends = self._sends or Pace(limits)
            slow = self._sends.wait(arrived.body.received)
        if self.out.waiting:
            self._takes = self._takes or Pace(limits)
            slow = self._takes.wait(self.out.taken) or slow
        return slow

    def _fail_body(self, why: str, reason: Reason = Reason.BODY_CUT_SHORT) -> None:
        if self._reader.body is not None:
            self._reader.body.fail(SluiceError(reason, why))

    def _gone(self) -> None:
        if self._left:
            return
        self._left = True
        self._fail_body("the client left before the end of its request")
        if self._socket is not None and self._task is not None:
            # What it sent last still goes on.
            self._socket.lost()
            self._loop.call_later(LINGER, self._task.cancel)
        elif self._task is not None:
            self._task.add_done_callback(self._serving.tasks.discard)
            self._task.cancel()

    def _refuse_later(self, malformed: MalformedError) -> None:
        """A bad head is answered in its turn. A bad body fails whoever reads it."""
        if self._reader.body is not None:
            self._reader.body.fail(SluiceError(Reason.INVALID_REQUEST, malformed.message))
        self._malformed = malformed

    def _hold_behind(self) -> None:
        """Read no more while requests wait behind the one being served."""
        if self._reader.arrived and not self._held:
            self._held = True
            self.hold()

    def _next(self) -> None:
        """Serve the next request, or refuse what came in its place, or wait for one."""
        if self._reader.arrived:
            arrived = self._reader.arrived.popleft()
            self._started = False
            self._moved = True
            self._now = arrived
            self._task = self._loop.create_task(self._serve(arrived))
            self._serving.tasks.add(self._task)
            self._hold_behind()
        elif self._malformed is not None:
            self._refuse(self._malformed)
        else:
            limits = self._serving.limits
            wait = limits.head_timeout if self._reader.amid else limits.idle_timeout
            self._deadline = self._loop.time() + wait
        if self._held and not self._reader.arrived:
            self._held = False
            self.release()

    def _refuse(self, malformed: MalformedError) -> None:
        text = f"{malformed.message}\n".encode()
        response = Response(malformed.status, [("content-type", b"text/plain")], Whole(text))
        self.out.start(outgoing.response(response, "GET", chunks=True, close=True))
        self._linger()

    def _linger(self) -> None:
        """Send no more, and throw away what still comes, for a while."""
        self._closing = True
        self._deadline = self._loop.time() + self._serving.limits.stall_timeout
        if self._held:
            self._held = False
            self.release()
        self.transport.write_eof()

    async def _serve(self, arrived: Arrived) -> None:
        """Have one request handled, and send the response. Never raises but when cancelled."""
        response: Response | None = None
        keep_alive = False
        try:
            response, message = await self._serving.respond(arrived)
            if self._left:
                return  # The handler's own error came before the cancellation.
            self._started = True
            self.out.start(message)
            if response.websocket is not None:
                await self._join(response.websocket)
            elif message.rest is not None:
                await self.out.finish(message)
            if self.out.full:
                await self.out.drain()
            keep_alive = not message.closes
        except SluiceError as error:
            log.info("a response was cut short: %s", error.message)
            self._break_off()
        except Exception:
            log.exception("a response's body failed")
            self._break_off()
        finally:
            if response is not None:
                await response.aclose()
            self._served(arrived, keep_alive=keep_alive)

    async def _join(self, far: WebSocket) -> None:
        """Be a WebSocket from here on. Raises `BODY_CUT_SHORT` where it breaks off."""
        limits = self._serving.limits
        near = FrameSocket(
            self,
            is_client=False,
            max_message=limits.max_message,
            ping_after=limits.stall_timeout / 2,
        )
        near.feed(self._reader.take_behind())
        if self._serving.closing:
            near.leave()
        if self._left:
            near.lost()
        else:
            self._socket = near
        if not await join(near, far):
            raise cut_short()

    def _break_off(self) -> None:
        """End a response that cannot be completed. What is left to do is not cancelled with it."""
        self._fail_body("the response was cut short")
        self._left = True
        self.abort()

    def _served(self, arrived: Arrived, *, keep_alive: bool) -> None:
        """Go on to the next request, unless this was the last of the connection."""
        if self._task is not None:
            self._serving.tasks.discard(self._task)
        self._task = self._now = self._sends = self._takes = None
        if self._left or self._closing:
            return
        if arrived.key is not None and (behind := self._reader.take_behind()):
            self._read(behind)
        if arrived.unread:
            self._fail_body("the response ended before the request")
            self._linger()
        elif not keep_alive or self._serving.closing:
            self.close()
        else:
            self._next()
