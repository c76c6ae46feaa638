"""Reads that are shared: one under way for each key, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """Shares reads. A waiter that is cancelled leaves the read to the others."""

    def __init__(self, read: Callable[[Key], Coroutine[Any, Any, Value]]) -> None:
        self._read = read
        self._joinable: dict[Key, asyncio.Task[Value]] = {}
        self._running: set[asyncio.Task[Value]] = set()

    async def get(self, key: Key) -> Value:
        """What `read` gives, or raises, for `key`."""
        task = self._joinable.get(key)
        if task is None:
            task = asyncio.create_task(self._read(key))
            self._joinable[key] = task
            self._running.add(task)
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def split(self) -> None:
        """Let nobody join what is under way: it may have read what is no longer so."""
        self._joinable.clear()

    async def aclose(self) -> None:
        """Give up what is under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _landed(self, key: Key, task: asyncio.Task[Value]) -> None:
        self._running.discard(task)
        if self._joinable.get(key) is task:
            del self._joinable[key]
        if not task.cancelled():
            task.exception()  # seen, also where every waiter has left
