"""Connections to the egress. The sandbox lets nobody connect, so the host is asked for each.

A byte to the broker asks, and a byte with a descriptor (SCM_RIGHTS in unix(7)) is the answer;
without one there is none to be had. One answer is as good as another, so those who wait take turns.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import errno
import socket
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any

_ASK = b"\0"
_DEADLINE = 10.0


class Broker:
    """The near side of the host's broker. Any thread may ask."""

    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._asking = threading.Lock()
        self._waiting: deque[Future[socket.socket]] = deque()
        self._is_heard = False

    def ask(self) -> Future[socket.socket]:
        """Ask for a connection. Raises `OSError`, here or in the future, where there is none."""
        future: Future[socket.socket] = Future()
        with self._asking:
            self._hear_from_now_on()
            self._waiting.append(future)
            try:
                self._host.send(_ASK)
            except OSError as error:
                self._fail(error)
        return future

    def _hear_from_now_on(self) -> None:
        """Read answers in a thread: an event loop that waits for none may itself be blocked."""
        if not self._is_heard:
            try:
                # Not one of `threading`, which are the Worker's, and belong to an invocation.
                _thread.start_new_thread(self._hear, ())
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from error
            self._is_heard = True

    def _hear(self) -> None:
        try:
            while True:
                self._take(*socket.recv_fds(self._host, 1, 1)[:2])
        except OSError as error:
            self._is_heard = False
            self._fail(error)

    def _take(self, answer: bytes, descriptors: list[int]) -> None:
        if not answer:
            raise ConnectionError("the host gives no more connections")
        connection = socket.socket(fileno=descriptors[0]) if descriptors else None
        future = self._waiting.popleft()
        if not future.set_running_or_notify_cancel():
            if connection is not None:
                connection.close()
        elif connection is not None:
            future.set_result(connection)
        else:
            future.set_exception(OSError(errno.EMFILE, "no more connections are to be had"))

    def _fail(self, error: OSError) -> None:
        """Let all who wait know."""
        with contextlib.suppress(IndexError):
            while True:
                future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    future.set_exception(error)


_broker: Broker  # of this process, which has one way out


def install(descriptor: int) -> None:
    """Ask over an inherited descriptor from now on."""
    global _broker
    _broker = Broker(socket.socket(fileno=descriptor))


def connected(timeout: Any) -> socket.socket:
    """Wait for a connection. `timeout`, of the connection too, is in seconds, if it is a number."""
    seconds = timeout if isinstance(timeout, int | float) else None
    asked = _broker.ask()
    try:
        connection = asked.result(_DEADLINE if seconds is None else min(seconds, _DEADLINE))
    except TimeoutError:
        if not asked.cancel():
            asked.result().close()
        raise
    connection.settimeout(seconds)
    return connection


async def connection() -> socket.socket:
    """A connection, for the running loop."""
    async with asyncio.timeout(_DEADLINE):
        return await asyncio.wrap_future(_broker.ask())
