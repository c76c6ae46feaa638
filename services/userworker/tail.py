"""What Workers print, over gRPC. Invocations are served by `UserWorkers` itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from sluice.isolate.output import Output
from sluice.pb import userworker_pb2, userworker_pb2_grpc


class TailServicer(userworker_pb2_grpc.UserWorkerServiceServicer):
    """Serves what Workers print."""

    def __init__(self, output: Output) -> None:
        self._output = output

    async def TailWorker(
        self, request: userworker_pb2.TailWorkerRequest, _: Any
    ) -> AsyncIterator[userworker_pb2.TailWorkerResponse]:
        """Follow what a Worker prints."""
        worker = (request.worker.dispatch_namespace, request.worker.name)
        async for line in self._output.follow(worker, forever=not request.no_follow):
            time = Timestamp()
            time.FromNanoseconds(int(line.time * 1e9))
            yield userworker_pb2.TailWorkerResponse(time=time, digest=line.digest, line=line.text)
