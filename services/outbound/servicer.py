"""OutboundService over gRPC."""

from __future__ import annotations

from typing import Any

from services.outbound.subrequests import Subrequests
from sluice.mesh.exchange import Served
from sluice.pb import outbound_pb2, outbound_pb2_grpc

NAME = "sluice.v1.OutboundService"


class OutboundServicer(outbound_pb2_grpc.OutboundServiceServicer):
    """Serves subrequests."""

    def __init__(self, subrequests: Subrequests) -> None:
        self._fetch = Served(
            f"{NAME}/OutboundFetch",
            subrequests.fetch,
            outbound_pb2.OutboundFetchResponse,
            "subrequest",
        )

    async def OutboundFetch(self, request: outbound_pb2.OutboundFetchRequest, context: Any) -> None:
        """Serve one subrequest whose body is at hand."""
        await self._fetch.answer(request, context)

    async def OutboundFetchStream(self, _: Any, context: Any) -> None:
        """Serve one subrequest whose body streams."""
        await self._fetch.answer_stream(context)
