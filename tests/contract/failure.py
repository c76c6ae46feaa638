"""Reading an RPC's failure as a client does."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status


async def failure_of(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and message of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await _finish(call)
    return read_failure(raised.value)


async def _finish(call: Any) -> None:
    async for _ in call:
        pass


def read_failure(error: Any) -> tuple[grpc.StatusCode, str, str]:
    """Code, `ErrorInfo.reason` and message of an RPC's failure."""
    status = rpc_status.from_call(_AsCall(error))
    assert status is not None, error
    (detail,) = status.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    assert info.domain == "sluice"
    return error.code(), info.reason, status.message


class _AsCall:
    """An `AioRpcError` under the names that grpc_status reads."""

    def __init__(self, error: Any) -> None:
        self.code = error.code
        self.details = error.details
        self.trailing_metadata = error.trailing_metadata
