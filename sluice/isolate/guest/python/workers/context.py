"""What a handler can tell of its own run: work that goes on, and what a failure means."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from sluice_guest import invocation
from sluice_guest.background import Background
from workers.record import Record


class Context:
    """The `ctx` of a handler.

    https://developers.cloudflare.com/workers/runtime-apis/context/
    """

    def __init__(self, background: Background, props: Record) -> None:
        self.props = props
        """What `args.props` of the dispatch Worker's `get()` holds."""

        self.fails_open = False
        self._background = background

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Let work go on after the response, for at most 30 seconds. What it raises is printed."""
        self._background.add(awaitable)

    def pass_through_on_exception(self) -> None:
        """Where the handler raises, send its request on to where it was going."""
        self.fails_open = True

    waitUntil = wait_until  # noqa: N815 — the names at Cloudflare
    passThroughOnException = pass_through_on_exception  # noqa: N815


def wait_until(awaitable: Awaitable[Any]) -> None:
    """Do what `ctx.wait_until` of the request that is being served does."""
    live = invocation.current()
    if live is None:
        raise RuntimeError("wait_until() can only be called while a request is being served.")
    live.background.add(awaitable)
