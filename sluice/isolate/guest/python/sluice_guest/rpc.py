"""RPC on a dispatched Worker: both of its ends. What crosses is that of rpc.js, and so the words.

A call is one invocation like any other: its request's body is the list of arguments, its response's
body the result (clone.py), and which method is meant is said beside the request.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from sluice_guest import clone
from workers.body import Body
from workers.entrypoint import WorkerEntrypoint
from workers.request import Request
from workers.response import Response

_RESERVED = frozenset(
    {
        "fetch",
        "connect",
        "dup",
        "constructor",
        "alarm",
        "webSocketMessage",
        "webSocketClose",
        "webSocketError",
    }
)


async def answer(receiver: Any, method: str, request: Request) -> Response:
    """The response to a request that calls `method` of an entrypoint. Raises what it raises."""
    arguments = clone.decode(await _text(request.body))
    result = _offered(receiver, method)(*arguments)
    return Response(clone.encode(await result if inspect.isawaitable(result) else result))


async def call(
    send: Callable[[Request, str], Awaitable[Response]], method: str, arguments: tuple[Any, ...]
) -> Any:
    """Call a method of a dispatched Worker. Raises what it raises."""
    request = Request("http://rpc.invalid/", method="POST", body=clone.encode(list(arguments)))
    return clone.decode(await _text((await send(request, method)).body))


def _offered(receiver: Any, name: str) -> Callable[..., Any]:
    """What an entrypoint offers as a method: what its class declares, and is not private."""
    if name in _RESERVED:
        raise TypeError(f"'{name}' is a reserved method and cannot be called over RPC.")
    if not isinstance(receiver, WorkerEntrypoint):
        raise TypeError("The receiver is not an RPC object: it does not extend WorkerEntrypoint.")
    declared = getattr(type(receiver), name, None)
    if declared is None or name.startswith("_"):
        raise TypeError(f'The RPC receiver does not implement the method "{name}".')
    if not callable(declared):
        raise TypeError(f'"{name}" is not a function.')
    offered: Callable[..., Any] = getattr(receiver, name)
    return offered


async def _text(body: Body | None) -> str:
    """The text of a value. One that is too long is read no further: it may have no end."""
    content = bytearray()
    if body is not None:
        async for chunk in body:
            content += chunk
            clone.check_length(len(content))
    return content.decode()
