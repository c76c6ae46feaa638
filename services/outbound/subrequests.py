"""What the service does with a subrequest: run the Outbound Worker, or send it on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.outbound import policy
from services.outbound.egress_log import (
    FETCH,
    SUBREQUEST,
    EgressLine,
    Refusal,
    refusal_of,
    without_query,
)
from services.outbound.origin.client import GuardedClient
from services.outbound.policy import Result
from sluice.http1.server import Exchange
from sluice.isolate import control
from sluice.isolate.invocation import Invocation
from sluice.isolate.program import direct_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.mesh import attributes, tracing
from sluice.mesh.tracing import Kind, Span
from sluice.pb import outbound_pb2, worker_pb2
from sluice.registry.source import BundleSource
from sluice.wire import params
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import HOPS
from sluice.wire.messages import Request, Response

MAX_HOPS = 16

_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Answering:
    """What an Outbound Worker runs for, and what it was last refused."""

    subrequest: outbound_pb2.Subrequest
    refusal: Refusal | None = None


class Subrequests:
    """Serves subrequests. Only the guarded client reaches the internet."""

    def __init__(self, config: RunnerConfig, registry: BundleSource, client: GuardedClient) -> None:
        self._limits = config.limits
        self._registry = registry
        self._client = client
        self.runner = Runner(
            config, registry.bundle, direct_program, self._fetch_of_outbound_worker
        )

    async def fetch(
        self, subrequest: outbound_pb2.Subrequest, request: Request, span: Span
    ) -> Response:
        """Serve one subrequest, and write its canonical line when it is over."""
        if not subrequest.worker.name:
            raise SluiceError(Reason.INVALID_REQUEST, "subrequest.worker.name: not set")
        params.check(subrequest.outbound.params, name="subrequest.outbound.params")
        line = EgressLine(SUBREQUEST, subrequest, request, span.trace_id)
        try:
            _obey_policy(subrequest.outbound, request, line)
            if subrequest.outbound.service:
                response = await self._run(subrequest, request, span, line)
            else:
                response = await self._send(request, subrequest, subrequest.hops, span)
        except BaseException as error:
            line.failed(error)
            raise
        return line.response(response)

    async def _run(
        self,
        subrequest: outbound_pb2.Subrequest,
        request: Request,
        span: Span,
        line: EgressLine,
    ) -> Response:
        """Let the Outbound Worker answer."""
        worker = await self._outbound_worker(subrequest.outbound)
        bundle = await self._registry.bundle(worker.digest)
        run = tracing.start(
            f"Outbound Worker {worker.name}",
            Kind.INTERNAL,
            span,
            {attributes.SLUICE_OUTBOUND_WORKER: worker.name},
        )
        limits = self._limits.with_chosen(bundle.limits)
        customer = Customer.of(subrequest.worker)
        answering = Answering(subrequest)
        invocation = Invocation(
            worker, answering, run, limits, hops=subrequest.hops, customer=customer
        )
        try:
            response = await self.runner.invoke(invocation, request, _said(subrequest, bundle))
        except SluiceError as error:
            if answering.refusal and error.reason is Reason.WORKER_EXCEPTION:
                line.refused(answering.refusal)
            raise
        if invocation.subrequests == 0:
            line.answered()
        return response

    async def _outbound_worker(self, outbound: worker_pb2.OutboundBinding) -> worker_pb2.Worker:
        digest = outbound.digest
        if not digest:
            try:
                digest = await self._registry.resolve("", outbound.service)
            except SluiceError as error:
                if error.reason is not Reason.WORKER_NOT_FOUND:
                    raise
                # To the user Worker this is no missing user Worker.
                raise SluiceError(
                    Reason.WORKER_LOAD_FAILED, f"no Outbound Worker {outbound.service!r}"
                ) from error
        return worker_pb2.Worker(name=outbound.service, digest=digest)

    async def _fetch_of_outbound_worker(
        self, invocation: Invocation[Answering], received: Exchange
    ) -> Response:
        """Send what an Outbound Worker fetches. It goes to the internet, not to itself."""
        request, subrequest = received.request, invocation.detail.subrequest
        line = EgressLine(FETCH, subrequest, request, invocation.span.trace_id)
        try:
            response = await self._send(request, subrequest, invocation.hops, invocation.span)
        except BaseException as error:
            line.failed(error)
            invocation.detail.refusal = refusal_of(error)
            raise
        return line.response(response)

    async def _send(
        self, request: Request, subrequest: outbound_pb2.Subrequest, hops: int, parent: Span
    ) -> Response:
        if hops >= MAX_HOPS:
            raise SluiceError(
                Reason.LOOP_DETECTED, f"the request has left the platform {hops} times already"
            )
        request.headers.append((HOPS, b"%d" % (hops + 1)))
        said = {attributes.HTTP_METHOD: request.method}
        with tracing.start(request.method, Kind.CLIENT, parent, said) as span:
            if span.recording:
                _describe(request.url, span)
            try:
                response = await self._client.send(request, Customer.of(subrequest.worker))
            except BaseException:
                await request.body.aclose()
                raise
            span.set(attributes.HTTP_STATUS, response.status)
        return response


def _said(subrequest: outbound_pb2.Subrequest, bundle: worker_pb2.Bundle) -> dict[str, str]:
    """What the guest is told besides the request: the params, as parts of its `env`."""
    if not subrequest.outbound.params.fields:
        return {}
    bound = {*bundle.vars.fields, *bundle.secrets}
    env = params.as_env(params.from_struct(subrequest.outbound.params), bound)
    return {control.ENV: control.encode(env)}


def _describe(url: str, span: Span) -> None:
    """Set what a span says of a destination.

    <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span>
    """
    span.set(attributes.URL_FULL, without_query(url))
    with suppress(ValueError, KeyError):  # the client refuses such a URL, and says why
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        span.set(attributes.SERVER_ADDRESS, parts.hostname or "")
        span.set(attributes.SERVER_PORT, port)


def _obey_policy(outbound: worker_pb2.OutboundBinding, request: Request, line: EgressLine) -> None:
    """Raise `DESTINATION_PROHIBITED` where an egress policy refuses the request's host."""
    decision = policy.judge(outbound, request.url)
    if decision is None:
        return
    line.judged(decision)
    if decision.result is Result.DENY:
        raise policy.refusal(request.url)
