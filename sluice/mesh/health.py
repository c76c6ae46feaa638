"""`grpc.health.v1` for one server.

Not the servicer of grpcio-health-checking: its `Watch` never ends, so one watcher would hold every
drain for its whole grace period.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE_NAME: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_Response = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated, untyped
    """The status of the services named by `add`, and of the server as a whole (the empty name).

    `add` also names how the server runs, such as `sluice.sandbox.landlock`: the protocol has no
    other place to say so, and `grpcurl` shows it by `List`.
    """

    def __init__(self) -> None:
        self._names = {""}
        self._status = _Response.SERVING
        self._ended = False
        self._changed = asyncio.Event()

    def add(self, full_service_name: str) -> None:
        """Know a service by its full name, or a fact by a name of that form."""
        self._names.add(full_service_name)

    def set_serving(self, serving: bool) -> None:
        """Set the status of every service."""
        self._status = _Response.SERVING if serving else _Response.NOT_SERVING
        self._announce()

    def end(self) -> None:
        """Not serving from now on; watchers are told so, and their calls end."""
        self._ended = True
        self.set_serving(False)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  # the RPC's name
        """Answer with the status now. `NOT_FOUND` for a name that nobody serves here."""
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return _Response(status=self._status)

    async def List(self, _: Any, __: Any) -> Any:  # noqa: N802  # the RPC's name
        """Answer with every name, and the status now."""
        status = _Response(status=self._status)
        return health_pb2.HealthListResponse(statuses=dict.fromkeys(self._names, status))

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802  # the RPC's name
        """Send the status now and at every change. `SERVICE_UNKNOWN` for an unknown name."""
        known = request.service in self._names
        ended, last = False, None
        while not ended:
            changed, ended = self._changed, self._ended  # both before the write: it may take long
            status = self._status if known else _Response.SERVICE_UNKNOWN
            if status != last:
                await context.write(_Response(status=status))
                last = status
            if not ended:
                await changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
