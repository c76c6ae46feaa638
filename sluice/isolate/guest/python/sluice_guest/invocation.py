"""The invocation that code runs for: a context variable that tasks and threads inherit.

Attribution is honest, not forced: CPython has no boundary inside a process, so code that looks for
another live token of the same Worker finds it. No code gets one by mistake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakSet

from sluice_guest.background import Background

OUTSIDE = "This Worker is not permitted to access the internet outside of a request."
"""The host's words for a subrequest that belongs to no live invocation."""


class Closable(Protocol):
    """What an invocation leaves open at most until it is over."""

    def close(self) -> None:
        """Break it off."""


@dataclass(slots=True, eq=False)
class Invocation:
    """One run of the Worker, from its request until its response and `wait_until` work are over."""

    token: str = field(repr=False)
    env: Mapping[str, Any] = field(repr=False)
    is_over: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)
    """Those that the Worker started and that still run."""

    background: Background = field(default_factory=Background, repr=False)
    opened: WeakSet[Closable] = field(default_factory=WeakSet, repr=False)
    """Responses to subrequests whose bodies are not read to their end."""

    def end(self) -> None:
        """Stop what goes on for it. What asks in its name from now on is refused."""
        self.is_over = True
        for task in list(self.tasks):
            task.cancel()
        for response in list(self.opened):
            response.close()


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def enter(invocation: Invocation) -> None:
    """Make the current task, and what it starts from now on, part of an invocation."""
    _current.set(invocation)


def current_in(context: Context | None) -> Invocation | None:
    """The live invocation that a context is of; `None` stands for the caller's."""
    invocation = _current.get() if context is None else context.get(_current)
    return None if invocation is None or invocation.is_over else invocation


def current() -> Invocation | None:
    """The live invocation that the caller is part of."""
    return current_in(None)


def required() -> Invocation:
    """The live invocation that the caller is part of. Raises `OSError` where there is none."""
    invocation = current()
    if invocation is None:
        raise OSError(OUTSIDE)
    return invocation
