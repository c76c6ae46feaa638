"""Writing to a call of grpcio that the far side may end meanwhile.

Not by the call's own `write`: where the far side answers before it has read everything, that one
puts an INTERNAL of its own in place of the status that came, and with it drops the responses that
nobody has read yet (https://github.com/grpc/grpc/issues/36066).
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from grpc._cython import cygrpc


class CallEndedError(Exception):
    """The call is over. Whoever reads it learns why."""


async def write(rpc: Any, message: bytes) -> None:
    """Write one message, serialised, and wait until there is room for more.

    Raises `CallEndedError`. Cancelling it cancels the call. One writer at a time.
    """
    try:
        await rpc.wait_for_connection()
        await rpc._cython_call.send_serialized_message(message)  # see above
    except (grpc.aio.AioRpcError, cygrpc.InternalError) as error:
        raise CallEndedError from error
    except asyncio.CancelledError:
        rpc.cancel()
        raise


async def half_close(rpc: Any) -> None:
    """Say that nothing more will be written. Raises `CallEndedError`."""
    try:
        await rpc.done_writing()
    except (grpc.aio.AioRpcError, cygrpc.InternalError) as error:
        raise CallEndedError from error
