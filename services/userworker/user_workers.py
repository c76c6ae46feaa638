"""What the service does: run a user Worker, and send each of its subrequests as an RPC."""

from __future__ import annotations

from typing import Any

from sluice.http1.server import Exchange
from sluice.isolate import control
from sluice.isolate.invocation import Invocation
from sluice.isolate.program import user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.mesh import attributes, tracing
from sluice.mesh.caller import Caller
from sluice.mesh.tracing import Kind, Span
from sluice.pb import outbound_pb2, userworker_pb2
from sluice.registry.source import BundleSource
from sluice.wire import params
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response

_MAX_RPC_METHOD = 1024


class UserWorkers:
    """Runs user Workers. Each subrequest goes to `outbound`, with what its invocation was given."""

    def __init__(
        self,
        config: RunnerConfig,
        registry: BundleSource,
        outbound: Caller,
    ) -> None:
        self._limits = config.limits
        self._registry = registry
        self._outbound = outbound
        self.runner = Runner(config, registry.bundle, user_program, self._subrequest)

    async def invoke(
        self, chosen: userworker_pb2.Invocation, request: Request, span: Span
    ) -> Response:
        """Serve `request` by the Worker that `chosen` names."""
        worker = chosen.worker
        if not worker.name:
            raise SluiceError(Reason.INVALID_REQUEST, "invocation.worker.name: not set")
        params.check(chosen.outbound.params, name="invocation.outbound.params")
        params.check(chosen.props, name="invocation.props")
        if chosen.limits.HasField("cpu_ms") and not chosen.limits.cpu_ms:
            raise SluiceError(Reason.INVALID_REQUEST, "invocation.limits.cpu_ms: less than 1")
        if len(chosen.rpc_method) > _MAX_RPC_METHOD:
            raise SluiceError(
                Reason.INVALID_REQUEST, f"invocation.rpc_method: over {_MAX_RPC_METHOD} characters"
            )
        if not worker.digest:
            worker.digest = await self._registry.resolve(worker.dispatch_namespace, worker.name)
        bundle = await self._registry.bundle(worker.digest)
        run = tracing.start(
            f"user Worker {worker.name}",
            Kind.INTERNAL,
            span,
            {
                attributes.SLUICE_NAMESPACE: worker.dispatch_namespace,
                attributes.SLUICE_WORKER: worker.name,
            },
        )
        invocation = Invocation(
            worker,
            chosen,
            run,
            self._limits.with_chosen(bundle.limits, chosen.limits),
            hops=chosen.hops,
            customer=Customer.of(worker),
        )
        return await self.runner.invoke(invocation, request, _said(chosen))

    async def _subrequest(
        self, invocation: Invocation[userworker_pb2.Invocation], received: Exchange
    ) -> Response:
        subrequest = outbound_pb2.Subrequest(
            worker=invocation.worker,
            outbound=invocation.detail.outbound,
            invocation_id=invocation.id,
            hops=invocation.hops,
        )
        return await self._outbound.call(received.request, invocation.span, subrequest)


def _said(chosen: userworker_pb2.Invocation) -> dict[str, str]:
    """What the guest is told besides the request. Nothing, for most."""
    call: dict[str, Any] = {}
    if chosen.props.fields:
        call["props"] = params.from_struct(chosen.props)
    if chosen.rpc_method:
        call["method"] = chosen.rpc_method
    return {control.CALL: control.encode(call)} if call else {}
