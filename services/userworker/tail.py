"""`UserWorkerService.TailWorker`: what Workers print. The service's other methods are a pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from sluice.isolate.output import Output
from sluice.mesh.pair import INVOKE
from sluice.pb import userworker_pb2
from sluice.rpc.server import Server


class Tail:
    """Serves what Workers print."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def add_to(self, server: Server) -> None:
        """Serve the method."""
        handler = grpc.unary_stream_rpc_method_handler(
            self._tail_worker,
            request_deserializer=userworker_pb2.TailWorkerRequest.FromString,
            response_serializer=userworker_pb2.TailWorkerResponse.SerializeToString,
        )
        server.add_registered_method_handlers(INVOKE.service, {"TailWorker": handler})

    async def _tail_worker(
        self, request: userworker_pb2.TailWorkerRequest, _: Any
    ) -> AsyncIterator[userworker_pb2.TailWorkerResponse]:
        worker = (request.worker.dispatch_namespace, request.worker.name)
        async for line in self._output.follow(worker, forever=not request.no_follow):
            time = Timestamp()
            time.FromNanoseconds(int(line.time * 1e9))
            yield userworker_pb2.TailWorkerResponse(time=time, digest=line.digest, line=line.text)
