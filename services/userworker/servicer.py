"""UserWorkerService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.userworker.user_workers import UserWorkers
from sluice.mesh.exchange import Served
from sluice.pb import userworker_pb2, userworker_pb2_grpc

NAME = "sluice.v1.UserWorkerService"


class UserWorkerServicer(userworker_pb2_grpc.UserWorkerServiceServicer):
    """Serves invocations, and what Workers print."""

    def __init__(self, workers: UserWorkers) -> None:
        self._output = workers.runner.output
        self._invoke = Served(
            f"{NAME}/Invoke", workers.invoke, userworker_pb2.InvokeResponse, "invocation"
        )

    async def Invoke(self, request: userworker_pb2.InvokeRequest, context: Any) -> None:
        """Serve one request whose body is at hand."""
        await self._invoke.answer(request, context)

    async def InvokeStream(self, _: Any, context: Any) -> None:
        """Serve one request whose body streams."""
        await self._invoke.answer_stream(context)

    async def TailWorker(
        self, request: userworker_pb2.TailWorkerRequest, _: Any
    ) -> AsyncIterator[userworker_pb2.TailWorkerResponse]:
        """Follow what a Worker prints."""
        worker = (request.worker.dispatch_namespace, request.worker.name)
        async for line in self._output.follow(worker, forever=not request.no_follow):
            time = Timestamp()
            time.FromNanoseconds(int(line.time * 1e9))
            yield userworker_pb2.TailWorkerResponse(time=time, digest=line.digest, line=line.text)
