"""Threads that belong to the invocation that started them.

Tasks and callbacks of asyncio inherit context variables; here threads and executors do so too. A
thread of a pool belongs to no invocation, each call to the one that submitted it. What the module
`_thread` starts stays outside.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

from sluice_guest import invocation
from sluice_guest.replacement import replace

_start = threading.Thread.start
_submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit


def install() -> None:
    """Let threads and executors of this process inherit context variables."""
    replace(threading.Thread, start=_start_in_context)
    replace(ThreadPoolExecutor, submit=_submit_in_context)


def _start_in_context(self: threading.Thread) -> None:
    context, run = copy_context(), self.run

    def run_in_context() -> None:
        del self.run  # The class's own again.
        context.run(run)

    self.run = run_in_context  # type: ignore[method-assign]
    _start(self)


def _submit_in_context(
    self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    # In an empty context, which is that of the thread where one must be started.
    return Context().run(_submit, self, copy_context().run, fn, *args, **kwargs)


def task_of_invocation(
    loop: asyncio.AbstractEventLoop, coro: Any, /, **options: Any
) -> asyncio.Task[Any]:
    """Make a task, which ends with the invocation it belongs to: a loop's task factory."""
    task = asyncio.Task(coro, loop=loop, **options)
    owner = invocation.current_in(options.get("context"))
    if owner is not None and not task.done():
        owner.tasks.add(task)
        task.add_done_callback(owner.tasks.discard)
    return task
