"""What a collector is sent is what it keeps, and a tree shows who called whom."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from sluice.mesh.channel import dial
from sluice.mesh.collector import MAX_SPANS, CollectedSpan, Collector, tree


def export(*spans: trace_pb2.Span) -> trace_service_pb2.ExportTraceServiceRequest:
    """An export of one service."""
    name = common_pb2.KeyValue(
        key="service.name", value=common_pb2.AnyValue(string_value="sluice-outbound")
    )
    return trace_service_pb2.ExportTraceServiceRequest(
        resource_spans=[
            trace_pb2.ResourceSpans(
                resource=resource_pb2.Resource(attributes=[name]),
                scope_spans=[trace_pb2.ScopeSpans(spans=spans)],
            )
        ]
    )


def span(
    span_id: str, parent_id: str = "", *, start: int = 0, trace_id: str = "t"
) -> CollectedSpan:
    """A span of which only the place in its tree matters."""
    return CollectedSpan(
        trace_id, span_id, parent_id, "service", span_id, "internal", start, 0.0, {}, failed=False
    )


def outline(*spans: CollectedSpan) -> list[str]:
    """The trees of the spans, a line each span."""
    return ["  " * depth + s.name for root in tree(spans) for depth, s in root.walk()]


async def test_what_is_exported_is_kept() -> None:
    """A span arrives with all that its tree shows, in the units that its fields state."""
    values = {
        "text": common_pb2.AnyValue(string_value="GET"),
        "number": common_pb2.AnyValue(int_value=200),
        "part": common_pb2.AnyValue(double_value=0.5),
        "flag": common_pb2.AnyValue(bool_value=True),
        "nothing": common_pb2.AnyValue(),
    }
    sent = trace_pb2.Span(
        trace_id=bytes(15) + b"\x01",
        span_id=bytes(7) + b"\x02",
        parent_span_id=bytes(7) + b"\x03",
        name="GET",
        kind=trace_pb2.Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=1_000_000_000,
        end_time_unix_nano=1_250_000_000,
        attributes=[common_pb2.KeyValue(key=key, value=value) for key, value in values.items()],
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR),
    )
    collector = Collector()
    async with dial(await collector.start()) as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        await stub.Export(export(sent))
    (kept,) = await collector.wait(lambda spans: len(spans) == 1, seconds=5)
    await collector.stop()
    assert kept == CollectedSpan(
        trace_id="0" * 31 + "1",
        span_id="0" * 15 + "2",
        parent_id="0" * 15 + "3",
        service="sluice-outbound",
        name="GET",
        kind="client",
        start=1_000_000_000,
        duration=0.25,
        attributes={"text": "GET", "number": 200, "part": 0.5, "flag": True, "nothing": None},
        failed=True,
    )


async def test_waiting_ends() -> None:
    """Spans that never come are an error, not a wait without end."""
    with pytest.raises(TimeoutError):
        await Collector().wait(lambda spans: bool(spans), seconds=0.01)


async def test_what_is_kept_is_bounded() -> None:
    """A collector that runs for days keeps the last spans."""
    collector = Collector()
    for number in range(MAX_SPANS + 1):
        await collector.Export(export(trace_pb2.Span(name=str(number))), None)
    assert len(collector.spans) == MAX_SPANS
    assert collector.spans[0].name == "1"


def test_a_tree() -> None:
    """Children stand below their parents by their start, in whatever order they came."""
    spans = [
        span("late", "root", start=3),
        span("leaf", "early", start=2),
        span("early", "root", start=1),
        span("root", start=0),
    ]
    assert outline(*spans) == ["root", "  early", "    leaf", "  late"]


def test_a_span_without_its_parent_is_a_root() -> None:
    """The parent may be a client that exports elsewhere, or a span that is not here yet."""
    assert outline(span("a", "elsewhere", start=1), span("b", start=0)) == ["b", "a"]


def test_traces_stay_apart() -> None:
    """Ids are unique in their trace only."""
    spans = [
        span("root", trace_id="a"),
        span("root", trace_id="b"),
        span("x", "root", trace_id="b"),
    ]
    assert outline(*spans) == ["root", "root", "  x"]
