"""The calls that one service makes of another: each RPC pair, on a channel."""

from __future__ import annotations

import grpc.aio

from sluice.mesh.exchange import Shapes
from sluice.pb import (
    outbound_pb2,
    outbound_pb2_grpc,
    userworker_pb2,
    userworker_pb2_grpc,
)


def invoke(channel: grpc.aio.Channel) -> Shapes:
    """`UserWorkerService.Invoke` and `InvokeStream`."""
    stub = userworker_pb2_grpc.UserWorkerServiceStub(channel)
    return Shapes(
        service="userworker",
        method="sluice.v1.UserWorkerService/Invoke",
        whole=stub.Invoke,
        stream=stub.InvokeStream,
        whole_request=userworker_pb2.InvokeRequest,
        stream_request=userworker_pb2.InvokeStreamRequest,
        opening="invocation",
    )


def outbound_fetch(channel: grpc.aio.Channel) -> Shapes:
    """`OutboundService.OutboundFetch` and `OutboundFetchStream`."""
    stub = outbound_pb2_grpc.OutboundServiceStub(channel)
    return Shapes(
        service="outbound",
        method="sluice.v1.OutboundService/OutboundFetch",
        whole=stub.OutboundFetch,
        stream=stub.OutboundFetchStream,
        whole_request=outbound_pb2.OutboundFetchRequest,
        stream_request=outbound_pb2.OutboundFetchStreamRequest,
        opening="subrequest",
    )
