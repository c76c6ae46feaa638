"""WebSockets: those that a Worker answers with, and those that its requests open.

https://developers.cloudflare.com/workers/runtime-apis/websockets/
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

from sluice_guest import invocation, trace
from sluice_guest.mailbox import Mailbox
from sluice_guest.pipe import Pipe
from sluice_guest.websocket import Close, End, Message
from workers.body import Buffer

MAX_WAITING = 16 * 1024 * 1024
"""Most bytes that may wait to be sent."""

MAX_REASON = 123
"""Most bytes of a close reason (RFC 6455 section 5.5)."""

_MAX_BUSY = 64
_NEVER_SENT = (1004, 1005, 1006, 1015)
_NO_CODE, _LOST = 1005, 1006
_LOST_WORDS = "WebSocket disconnected without sending Close frame."
_NOT_ACCEPTED = "You must call accept() on this WebSocket before using it."


@dataclass(frozen=True, slots=True)
class Event:
    """What a listener is told: a `message` with its `data`, or a `close`."""

    type: str
    target: WebSocket
    data: str | Buffer | None = None
    code: int | None = None
    reason: str = ""
    was_clean: bool = False

    @property
    def wasClean(self) -> bool:  # noqa: N802 — JavaScript's name
        """Whether the far end said its close."""
        return self.was_clean


Listener = Callable[[Event], Any]


class WebSocket:
    """One end of a WebSocket. Once accepted, its messages go to listeners, or to `async for`.

    A close that no listener answers is answered with its own code and reason.
    """

    onmessage: Listener | None = None
    onclose: Listener | None = None

    def __init__(self, end: End, other: WebSocket | None = None) -> None:
        self.close_code: int | None = None
        """Once it is over: the far end's code, 1005 if it said none, 1006 if it is just gone."""
        self.close_reason = ""
        self.other = other
        """The other end, where that is in this Worker."""
        self._end = end
        self._reading: asyncio.Task[None] | None = None
        self._is_used = False
        self._has_closed = False
        self._is_over = False
        self._listeners: dict[str, list[Listener]] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._unread = Mailbox()

    @property
    def ready_state(self) -> int:
        """1 while it is open, 2 when this end has closed, 3 when it is over."""
        return 3 if self._is_over else 2 if self._has_closed else 1

    readyState = ready_state  # noqa: N815 — JavaScript's name

    def accept(self, _: object = None) -> None:
        """Begin to receive. Raises `TypeError` where it was given to a response."""
        if self._is_used:
            raise TypeError("Can't accept() WebSocket that was already used in a response.")
        if self._reading is None:
            invocation.required()
            self._reading = asyncio.ensure_future(self._read())

    def send(self, message: str | bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send a message. Who awaits this waits until there is room for more.

        Raises `TypeError` after `close()`, and `OSError` where `MAX_WAITING` bytes wait already.
        """
        self._require_accepted()
        if isinstance(message, bytearray | memoryview):
            message = bytes(message)
        if not isinstance(message, str | bytes):
            raise TypeError(f"A message is a str or bytes, not {type(message).__name__}.")
        if self._has_closed:
            raise TypeError("Can't call WebSocket send() after close().")
        if self._end.waiting > MAX_WAITING:
            raise OSError(f"More than {MAX_WAITING} bytes wait to be sent: await send().")
        if not self._is_over:
            self._end.send(message)
        return _Room(self._end)

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Say that this end sends no more. Raises `TypeError` for a code that is never sent."""
        self._require_accepted()
        close = _close(code, reason)
        if not self._has_closed and not self._is_over:
            self._has_closed = True
            self._end.send(close)

    def add_event_listener(self, type: str, listener: Listener, _: object = None) -> None:  # noqa: A002 — its name there
        """Call a function, which may be `async`, for each `message`, or for the `close`."""
        self._listeners.setdefault(type, []).append(listener)

    def remove_event_listener(self, type: str, listener: Listener, _: object = None) -> None:  # noqa: A002
        """Call it no more."""
        if listener in self._listeners.get(type, ()):
            self._listeners[type].remove(listener)

    addEventListener = add_event_listener  # noqa: N815 — JavaScript's names
    removeEventListener = remove_event_listener  # noqa: N815

    def __aiter__(self) -> AsyncIterator[str | Buffer]:
        self._require_accepted()
        return self

    async def __anext__(self) -> str | Buffer:
        message = await self._unread.take()
        if message is None:
            raise StopAsyncIteration
        return _data(message)

    def require_unused(self) -> None:
        """Raise `TypeError` where no response can have it."""
        if self._reading is not None:
            raise TypeError("Can't return WebSocket in a Response after calling accept().")
        if self._is_used:
            raise TypeError("Can't return WebSocket that was already used in a response.")

    def use(self) -> End:
        """Give its end to a response."""
        self.require_unused()
        self._is_used = True
        return self._end

    async def heard(self) -> None:
        """Wait until its listeners, if it has any, have heard the last of it."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _require_accepted(self) -> None:
        if self._reading is None:
            raise TypeError(_NOT_ACCEPTED)

    async def _read(self) -> None:
        try:
            while isinstance(message := await self._end.receive(), str | bytes):
                await self._deliver(message)
            self._finish(message)
        finally:
            self._is_over = True
            self._end.close()
            self._unread.end()

    async def _deliver(self, message: Message) -> None:
        """Hand a message over, and wait until another may be read."""
        if self.onmessage is not None or self._listeners.get("message"):
            self._tell(Event("message", self, _data(message)), self.onmessage)
            if len(self._busy) >= _MAX_BUSY:
                await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
            return
        self._unread.put(message)
        await self._unread.room()

    def _finish(self, close: Close | None) -> None:
        """Tell of the end, and answer a close that nobody answered."""
        if close is None:
            self.close_code, self.close_reason = _LOST, _LOST_WORDS
        else:
            self.close_code = _NO_CODE if close.code is None else close.code
            self.close_reason = close.reason
        code, reason, was_clean = self.close_code, self.close_reason, close is not None
        self._tell(Event("close", self, None, code, reason, was_clean), self.onclose)
        if close is not None:
            self._end.send(close)

    def _tell(self, event: Event, first: Listener | None) -> None:
        listeners = ([first] if first is not None else []) + self._listeners.get(event.type, [])
        for listener in listeners:
            try:
                result = listener(event)
                if inspect.isawaitable(result):
                    task = invocation.required().background.add(result)
                    self._busy.add(task)
                    task.add_done_callback(self._busy.discard)
            except (Exception, SystemExit) as error:
                trace.show(error)


class WebSocketPair(tuple[WebSocket, WebSocket]):
    """Two ends of one WebSocket: one for the response, one for the Worker to accept."""

    __slots__ = ()

    def __new__(cls) -> WebSocketPair:
        """Make the two ends."""
        near, far = Pipe.pair()
        client = WebSocket(near)
        server = WebSocket(far, client)
        client.other = server
        return super().__new__(cls, (client, server))

    @classmethod
    def new(cls) -> WebSocketPair:
        """Make a pair, as Pyodide spells it."""
        return cls()

    def object_values(self) -> tuple[WebSocket, WebSocket]:
        """Both ends, as Pyodide spells it."""
        return self[0], self[1]


class _Room:
    """Room for another message, for who wants to wait for it."""

    def __init__(self, end: End) -> None:
        self._end = end

    def __await__(self) -> Generator[Any, None, None]:
        return self._end.drain().__await__()


def _data(message: Message) -> str | Buffer:
    return Buffer(message) if isinstance(message, bytes) else str(message)


def _close(code: int | None, reason: str | None) -> Close:
    """What a close frame can carry. Raises `TypeError` for anything else."""
    if code is None:
        if reason:
            raise TypeError(
                "If you specify a WebSocket close reason, you must also specify a code."
            )
        return Close()
    if not 1000 <= int(code) <= 4999 or code in _NEVER_SENT:
        raise TypeError(f"Invalid WebSocket close code: {code}.")
    text = reason or ""
    if len(text.encode()) > MAX_REASON:
        raise TypeError(f"A WebSocket close reason may have at most {MAX_REASON} bytes.")
    return Close(int(code), text)
