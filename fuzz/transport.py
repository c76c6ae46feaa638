"""A connection without a network: what a protocol of asyncio reads from and writes to."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

TURNS = 200
"""Turns of the event loop in which all that has begun must end."""

# Real, for SO_PEERCRED; nothing is ever sent on it.
_SOCKET, _PEER = socket.socketpair()


class Wire(asyncio.Transport):
    """Gives `protocol` the bytes that a peer sends, as a transport of asyncio would."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": _SOCKET})
        self.written = bytearray()
        self._protocol = protocol
        self._closing = False
        self._paused = False
        protocol.connection_made(self)

    async def send(self, pieces: Iterator[bytes]) -> None:
        """Deliver what the peer sends, for as long as it is read."""
        for piece in pieces:
            await turns(lambda: self._closing or not self._paused)
            if self._closing or self._paused:
                return
            self._protocol.data_received(piece)
            await turns(lambda: self._closing, most=4)

    def end(self) -> None:
        """The peer ends the connection."""
        if not self._closing:
            self._protocol.eof_received()
            self.close()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it is being closed."""
        return self._closing

    def close(self) -> None:
        """Close; the protocol is told on the next turn."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close."""
        self.close()

    def can_write_eof(self) -> bool:
        """As sockets can."""
        return True

    def write_eof(self) -> None:
        """Nothing: what is written is only kept."""

    def get_write_buffer_size(self) -> int:
        """The peer takes everything at once."""
        return 0

    def pause_reading(self) -> None:
        """Deliver no more."""
        self._paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        self._paused = False


class Deaf:
    """A source of a body that nothing can stop."""

    def hold(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def wanted(self) -> None:
        """Nothing."""

    def unwanted(self) -> None:
        """Nothing."""


def pieces(data: bytes) -> Iterator[bytes]:
    """What follows the first byte, in pieces of so many bytes; whole, where that is 0."""
    rest = data[1:]
    step = data[0] if data and data[0] else max(len(rest), 1)
    return (rest[at : at + step] for at in range(0, len(rest), step))


async def turns(done: Callable[[], bool], most: int = TURNS) -> bool:
    """Let the event loop turn until `done()`. Whether it came so far."""
    for _ in range(most):
        if done():
            return True
        await asyncio.sleep(0)
    return done()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. Raises what the event loop was told of, too, and what was logged."""
    errors: list[BaseException] = []
    loop = _loop()
    loop.set_exception_handler(lambda _, said: errors.append(_error(said)))
    listening = _Errors(errors)
    logging.getLogger().addHandler(listening)
    try:
        result = loop.run_until_complete(coroutine)
    finally:
        logging.getLogger().removeHandler(listening)
    if errors:
        raise errors[0]
    return result


class _Errors(logging.Handler):
    """Keeps the exceptions that code of ours logs in place of raising them."""

    def __init__(self, errors: list[BaseException]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        found = record.exc_info and record.exc_info[1]
        self._errors.append(found or RuntimeError(record.getMessage()))


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    """One for all inputs: a new one takes longer than most of them."""
    return asyncio.new_event_loop()


def _error(said: dict[str, Any]) -> BaseException:
    error = said.get("exception")
    return error if isinstance(error, BaseException) else RuntimeError(said["message"])
