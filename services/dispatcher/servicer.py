"""DispatcherService over gRPC: the same as the public HTTP listener."""

from __future__ import annotations

from typing import Any

from services.dispatcher.dispatch import Dispatch
from sluice.mesh.exchange import Served
from sluice.mesh.tracing import Span
from sluice.pb import dispatcher_pb2, dispatcher_pb2_grpc
from sluice.wire.messages import Request, Response

NAME = "sluice.v1.DispatcherService"


class DispatcherServicer(dispatcher_pb2_grpc.DispatcherServiceServicer):
    """Serves dispatches."""

    def __init__(self, dispatch: Dispatch) -> None:
        async def serve(_: None, request: Request, span: Span) -> Response:
            return await dispatch.dispatch(request, span, hops=0)

        self._dispatch = Served(f"{NAME}/Dispatch", serve, dispatcher_pb2.DispatchResponse)

    async def Dispatch(self, request: dispatcher_pb2.DispatchRequest, context: Any) -> None:
        """Serve one request whose body is at hand."""
        await self._dispatch.answer(request, context)

    async def DispatchStream(self, _: Any, context: Any) -> None:
        """Serve one request whose body streams."""
        await self._dispatch.answer_stream(context)
