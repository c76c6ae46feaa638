"""Work of an invocation that goes on after its response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from sluice_guest import trace

AFTERLIFE = 30.0
"""Seconds that work may go on after the response, as the host allows subrequests for."""


class Background:
    """What a Worker gave to `wait_until`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, awaitable: Awaitable[Any]) -> asyncio.Task[None]:
        """Run it to its end, and print what it raises.

        Raises `TypeError` for what cannot be awaited.
        """
        if not hasattr(awaitable, "__await__"):
            raise TypeError(f"wait_until() takes an awaitable, not {type(awaitable).__name__}")
        task = asyncio.ensure_future(_run(awaitable))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def join(self) -> None:
        """Wait for all of it, what it adds itself included, for `AFTERLIFE` seconds at most."""
        deadline = asyncio.get_running_loop().time() + AFTERLIFE
        while self._tasks:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.wait(self._tasks, timeout=left)


async def _run(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except (Exception, SystemExit) as error:
        trace.show(error)
