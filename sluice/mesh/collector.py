"""A small OTLP collector: keeps the spans it is sent, and makes a tree of them.

For `sluice dev`, which shows where a request went, and for the tests. Not for production.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer

MAX_SPANS = 10_000
"""Most spans that are kept; the oldest go first."""

_SERVICE = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span. `start` is in nanoseconds since 1970, `duration` in seconds."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    start: int
    duration: float
    attributes: dict[str, Any]
    failed: bool


@dataclass(slots=True)
class Node:
    """A span with those that it is the parent of, by their start."""

    span: CollectedSpan
    children: list[Node] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, CollectedSpan]]:
        """The span and all below it, each with its depth, parents first."""
        yield depth, self.span
        for child in self.children:
            yield from child.walk(depth + 1)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Serves OTLP over gRPC on loopback, for `OTEL_EXPORTER_OTLP_ENDPOINT=http://<address>`."""

    def __init__(self, port: int = 0) -> None:
        self.spans: deque[CollectedSpan] = deque(maxlen=MAX_SPANS)
        self._came = asyncio.Condition()
        self._server = GrpcServer(Address("127.0.0.1", port), allow_plaintext=False)
        self._server.add(
            _SERVICE, partial(trace_service_pb2_grpc.add_TraceServiceServicer_to_server, self)
        )

    async def start(self) -> Address:
        """Listen. Returns the address with the port in use."""
        return await self._server.start()

    async def stop(self) -> None:
        """Stop. The spans stay."""
        await self._server.stop(0)

    async def wait(
        self, ready: Callable[[Sequence[CollectedSpan]], bool], seconds: float
    ) -> list[CollectedSpan]:
        """The spans, once `ready` says that those needed are here; `TimeoutError` if never."""
        async with asyncio.timeout(seconds), self._came:
            await self._came.wait_for(lambda: ready(self.spans))
            return list(self.spans)

    async def Export(  # noqa: N802  # the RPC's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep the spans."""
        async with self._came:
            self.spans.extend(read(request.resource_spans))
            self._came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()


def read(resource_spans: Iterable[trace_pb2.ResourceSpans]) -> Iterator[CollectedSpan]:
    """The spans of an export."""
    for resource in resource_spans:
        service = str(_values(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _collected(service, span)


def tree(spans: Iterable[CollectedSpan]) -> list[Node]:
    """The spans as trees, by start. A span whose parent is not among them is a root."""
    ordered = sorted(spans, key=lambda span: span.start)
    nodes = {(span.trace_id, span.span_id): Node(span) for span in ordered}
    roots: list[Node] = []
    for node in nodes.values():
        parent = nodes.get((node.span.trace_id, node.span.parent_id))
        (parent.children if parent else roots).append(node)
    return roots


def _collected(service: str, span: trace_pb2.Span) -> CollectedSpan:
    return CollectedSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        start=span.start_time_unix_nano,
        duration=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        attributes=_values(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
    )


def _values(attributes: Iterable[common_pb2.KeyValue]) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in attributes}


def _value(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
