"""What a Worker's main module offers to be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from workers.bindings import Env
from workers.context import Context

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class WorkerEntrypoint:
    """Base of the class `Default`, which is made once for each request.

    https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/rpc/
    """

    def __init__(self, ctx: Context, env: Env) -> None:
        self.ctx = ctx
        self.env = env


def handler(function: _Handler) -> _Handler:
    """Mark `on_fetch` as a handler. It is given Python's types with and without."""
    return function
