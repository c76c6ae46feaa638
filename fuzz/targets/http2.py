"""Frames of HTTP/2, to a server of calls and to a link's connection: hostile peers, either way.

The first byte says which end reads (its lowest bit) and how the connection ends, the second in
what pieces the rest comes. The far side's settings are said beforehand, but by the third bit; by
the fourth it reads nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc

from fuzz.target import Target
from fuzz.transport import Wire, pieces, run, turns
from sluice.http2 import frames
from sluice.http2.connection import Connection
from sluice.http2.ends import ClientEnd
from sluice.http2.failure import ConnectionFailure, StreamEndedError
from sluice.http2.fields import encode
from sluice.http2.frames import PREFACE, frame, word
from sluice.http2.limits import Limits
from sluice.http2.settings import own
from sluice.rpc.call import Call
from sluice.rpc.context import Context
from sluice.rpc.envelope import envelope
from sluice.rpc.server import Server
from sluice.rpc.status import HEAD_BLOCK, Status

_CLIENT, _ABORTS, _HOLDS_SETTINGS, _DEAF = 1, 2, 4, 8
_LIMITS = Limits(
    streams=4,
    fields=512,
    continuations=4,
    frame=16_384,
    stream_window=1024,
    connection_window=65_535 + 1024,
    held=4096,
    unfinished=4096,
    unsent=4096,
    unread=8192,
    stall=60.0,
    window_changes=4,
)
_MOST_MESSAGE = 2048
_CALLS = 3


class _Line(Wire):
    """A transport that may be full, as where the far side reads nothing."""

    full = False

    def get_write_buffer_size(self) -> int:
        """All that was written, where nothing of it is read."""
        return len(self.written) if self.full else 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing: what is written is only kept."""


def _read(data: bytes) -> None:
    how = data[0] if data else 0
    run((_call if how & _CLIENT else _serve)(how, data[1:]))


async def _serve(how: int, data: bytes) -> None:
    server = Server(_MOST_MESSAGE, _explain, limits=_LIMITS)
    methods = {"Echo": _echo, "Deaf": _deaf, "Much": _much}
    handlers: dict[str, Any] = {
        name: grpc.stream_stream_rpc_method_handler(method) for name, method in methods.items()
    }
    server.add_registered_method_handlers("t", handlers)
    end = server._end()
    wire = _Line(end)
    first = b"" if how & _HOLDS_SETTINGS else PREFACE + frames.settings({})
    await _speak(end, wire, how, first, data, lambda: not (server._tasks or server._connections))


async def _call(how: int, data: bytes) -> None:
    end = ClientEnd(_LIMITS, lambda _: None)
    wire = _Line(end)
    starting = asyncio.ensure_future(_start(end))
    calling = set[asyncio.Task[None]]()

    await turns(lambda: False, most=2)
    if not how & _HOLDS_SETTINGS:
        end.data_received(frames.settings({}))
        calls = [Call(end, end.number(), _MOST_MESSAGE) for _ in range(_CALLS)]
        end.streams.update((call.id, call) for call in calls)
        calling.update(asyncio.ensure_future(_use(call)) for call in calls)
        await turns(lambda: False, most=2)
    await _speak(
        end, wire, how, b"", data, lambda: starting.done() and all(map(asyncio.Task.done, calling))
    )
    for task in (starting, *calling):
        task.result()


async def _start(end: ClientEnd) -> None:
    with contextlib.suppress(ConnectionFailure):
        await end.start()


async def _use(call: Call) -> None:
    """Make a call: ask, read every answer."""
    call.send_headers(HEAD_BLOCK)
    with contextlib.suppress(StreamEndedError, grpc.aio.AioRpcError):
        await call.write(bytes(2000), last=True)
        while await call.read() is not None:
            pass
    status = await call.end()
    assert isinstance(status, Status)


async def _speak(
    end: Connection, wire: _Line, how: int, first: bytes, data: bytes, over: Callable[[], bool]
) -> None:
    """Say it, then end the connection: nothing of it may stay."""
    if first:
        end.data_received(first)
    if how & _DEAF:
        wire.full = True
        end.pause_writing()
    await wire.send(pieces(data))
    await turns(lambda: wire.is_closing(), most=8)
    if not end.closed and not end.streams:
        _accounts(end)
    wire.abort() if how & _ABORTS else wire.end()
    assert await turns(lambda: end.over.done() and over()), "somebody still waits"
    assert end.closed
    assert not end.streams
    assert not end.outbox._waiting
    assert not end.outbox._queue


def _accounts(end: Connection) -> None:
    """With no stream, what the far side may send is the window, but for what is soon granted."""
    window = end._window
    assert window.held == 0, f"{window.held} bytes are held for no stream"
    assert window._left + window._owed == window._size, "the connection's window leaks"
    assert end.unfinished == 0, f"{end.unfinished} bytes are unfinished of no message"


async def _echo(_: object, context: Context) -> None:
    while (data := await context.read()) is not None:
        await context.write(data)


async def _deaf(_: object, context: Context) -> None:
    await asyncio.get_running_loop().create_future()


async def _much(_: object, context: Context) -> None:
    for _count in range(8):
        await context.write(bytes(1500))


def _explain(method: str, error: Exception) -> Status:
    raise AssertionError(method) from error


def _head(path: str, *more: tuple[bytes, bytes]) -> bytes:
    return encode(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b"content-type", b"application/grpc"),
            *more,
        ]
    )


_HEADS, _LAST = frames.END_HEADERS, frames.END_STREAM
_OK = frame(frames.HEADERS, _HEADS | _LAST, 1, encode([(b"grpc-status", b"0")]))
_ANSWER = frame(frames.HEADERS, _HEADS, 1, HEAD_BLOCK)
_ECHO = frame(frames.HEADERS, _HEADS, 1, _head("/t/Echo"))
_MUCH = frame(frames.HEADERS, _HEADS | _LAST, 1, _head("/t/Much"))
_HELLO = envelope(b"hello")


def _data(data: bytes, flags: int = 0, number: int = 1) -> bytes:
    return frame(frames.DATA, flags, number, data)


def _small(kind: int, number: int, value: int, flags: int = 0) -> bytes:
    return frame(kind, flags, number, word(value))


TARGET = Target(
    "http2",
    _read,
    {
        "a call": b"\0\0" + _ECHO + _data(_HELLO, _LAST),
        "pieces": b"\0\1" + _ECHO + _data(_HELLO[:3]) + _data(_HELLO[3:], _LAST),
        "padding": b"\0\0" + _ECHO + _data(b"\4" + _HELLO + bytes(4), frames.PADDED | _LAST),
        "no method": b"\2\0" + frame(frames.HEADERS, _HEADS | _LAST, 1, _head("/t/x")),
        "a deadline": b"\0\0"
        + frame(frames.HEADERS, _HEADS, 1, _head("/t/Deaf", (b"grpc-timeout", b"1n"))),
        "a static table": b"\0\0"
        + frame(
            frames.HEADERS, _HEADS, 1, b"\x20\x83\x86\x44\x03/t/\x0f\x10\x01a\x40\x01b\x81\x1f"
        ),
        "continued": b"\0\0"
        + frame(frames.HEADERS, _LAST, 1, _head("/t/Echo"))
        + frame(frames.CONTINUATION, _HEADS, 1, _head("/", (b"te", b"trailers"))),
        "windows": b"\0\0"
        + frames.settings({4: 10})
        + _MUCH
        + _small(frames.WINDOW_UPDATE, 1, 5000)
        + frames.settings({4: 70_000, 5: 20_000})
        + _small(frames.WINDOW_UPDATE, 0, 1),
        "no window": b"\0\0" + _MUCH + _small(frames.WINDOW_UPDATE, 1, 0),
        "reset": b"\0\0"
        + _ECHO
        + _data(_HELLO[:7])
        + _small(frames.RST_STREAM, 1, 8)
        + _data(_HELLO),
        "behind the end": b"\0\0" + _ECHO + _data(_HELLO, _LAST) + _data(_HELLO) + _ECHO,
        "too much": b"\0\0"
        + frame(frames.HEADERS, _HEADS, 1, _head("/t/Deaf"))
        + _data(envelope(bytes(600)))
        + _data(envelope(bytes(600))),
        "too large": b"\0\0" + _ECHO + _data(b"\0\0\0\x10\0") + _data(b"\1\0\0\0\0"),
        "pings": b"\0\0"
        + frame(frames.PING, 0, 0, bytes(8))
        + frame(frames.PING, 1, 0, b"lastcall"),
        "a preface": b"\4\7" + PREFACE + frames.settings({}) + own(_LIMITS, client=True) + _ECHO,
        "deaf": b"\x08\0" + _MUCH + frame(frames.PING, 0, 0, bytes(8)) * 600,
        "HTTP/1.1": b"\4\0GET / HTTP/1.1\r\n\r\n",
        "an answer": b"\1\0" + _ANSWER + _data(_HELLO) + _OK,
        "answers": b"\1\3" + _ANSWER + _data(_HELLO + _HELLO + _HELLO[:4]) + _data(b"o" * 6) + _OK,
        "an error": b"\3\0"
        + frame(
            frames.HEADERS,
            _HEADS | _LAST,
            3,
            encode(
                [
                    (b":status", b"200"),
                    (b"grpc-status", b"8"),
                    (b"grpc-message", b"a%20b%zz%"),
                    (b"grpc-status-details-bin", b"CAg"),
                ]
            ),
        ),
        "two heads": b"\1\0" + _ANSWER + _ANSWER,
        "leaving": b"\1\0" + frame(frames.GOAWAY, 0, 0, word(1) + word(0)) + _ANSWER + _OK,
        "a push": b"\1\0" + frame(frames.PUSH_PROMISE, _HEADS, 1, word(2)),
        "settings": b"\5\0" + own(_LIMITS, client=False) + frame(frames.SETTINGS, frames.ACK, 0),
    },
)
