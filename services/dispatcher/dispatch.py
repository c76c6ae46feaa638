"""What the service does: run the dispatch Worker, and make its `get().fetch()` an Invoke."""

from __future__ import annotations

from services.dispatcher import binding
from services.dispatcher.rpc_results import RpcResults
from sluice.http1.server import Exchange
from sluice.isolate import control
from sluice.isolate.invocation import Invocation
from sluice.isolate.program import direct_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.mesh import attributes, tracing
from sluice.mesh.caller import Caller
from sluice.mesh.tracing import Kind, Span
from sluice.pb import outbound_pb2, worker_pb2
from sluice.registry.source import CurrentSource
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response


class Dispatch:
    """Runs the dispatch Worker for each request."""

    def __init__(
        self,
        config: RunnerConfig,
        worker_name: str,
        registry: CurrentSource,
        userworker: Caller,
        outbound: Caller,
    ) -> None:
        self._limits = config.limits
        self._worker_name = worker_name
        self._registry = registry
        self._bindings = binding.Bindings(registry)
        self._userworker = userworker
        self._outbound = outbound
        self._rpc_results = RpcResults(config.runtime.heap_bytes // 2)
        self.runner = Runner(config, registry.bundle, direct_program, self._subrequest)

    async def serve(self, _: None, request: Request, span: Span) -> Response:
        """Serve a request that came over gRPC: the same as one at the public listener."""
        return await self.dispatch(request, span, hops=0)

    async def dispatch(self, request: Request, span: Span, hops: int) -> Response:
        """Serve `request` by the dispatch Worker."""
        name = self._worker_name
        try:
            digest = await self._registry.resolve("", name)
        except SluiceError as error:
            if error.reason is not Reason.WORKER_NOT_FOUND:
                raise
            raise SluiceError(
                Reason.WORKER_LOAD_FAILED,
                f"no dispatch Worker {name!r}: deploy it, or set SLUICE_DISPATCH_WORKER",
            ) from error
        bundle = await self._registry.bundle(digest)
        run = tracing.start(
            f"dispatch Worker {name}", Kind.INTERNAL, span, {attributes.SLUICE_WORKER: name}
        )
        invocation = Invocation(
            worker_pb2.Worker(name=name, digest=digest),
            bundle,
            run,
            self._limits.with_chosen(bundle.limits),
            hops=hops,
        )
        self._rpc_results.begin(invocation.id)
        try:
            response = await self.runner.invoke(invocation, request, {})
        except BaseException:
            self._rpc_results.end(invocation.id)
            raise
        response.watch(lambda _: self._rpc_results.end(invocation.id))
        return response

    async def _subrequest(
        self, invocation: Invocation[worker_pb2.Bundle], received: Exchange
    ) -> Response:
        """Serve what the dispatch Worker asks for: a user Worker, or the internet."""
        request, span = received.request, invocation.span
        if header := received.control.get(control.GET):
            chosen = binding.parse(header)
            namespace = binding.find(invocation.detail, chosen.binding)
            opening = await self._bindings.invocation(namespace, chosen, invocation.hops)
            response = await self._userworker.call(request, span, opening)
            if not chosen.rpc_method:
                return response
            customer = Customer.of(opening.worker)
            return await self._rpc_results.bound(invocation.id, customer, response)
        subrequest = outbound_pb2.Subrequest(
            worker=invocation.worker, invocation_id=invocation.id, hops=invocation.hops
        )
        return await self._outbound.call(request, span, subrequest)
