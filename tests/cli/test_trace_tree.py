from __future__ import annotations

import asyncio
import io
from typing import Any

import grpc.aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from rich.console import Console
from rich.tree import Tree

from sluice.cli import trace_tree
from sluice.cli.listing import WIDE
from sluice.cli.trace_tree import LATE, MAX_PENDING, QUIET, Traces
from sluice.mesh.collector import CollectedSpan, Collector, tree


def span(span_id: str, parent_id: str = "", **changes: Any) -> CollectedSpan:
    """A span of trace `t`."""
    values: dict[str, Any] = {
        "trace_id": "t",
        "span_id": span_id,
        "parent_id": parent_id,
        "service": "sluice-outbound",
        "name": f"span {span_id}",
        "kind": "server",
        "start": 0,
        "duration": 0.0123,
        "attributes": {},
        "failed": False,
    }
    return CollectedSpan(**(values | changes))


def printed(trace: Tree, width: int = WIDE) -> str:
    """What a file would get, or a terminal of so many columns."""
    out = io.StringIO()
    Console(file=out, width=width).print(trace)
    return out.getvalue()


def test_trace_is_a_tree_with_what_matters() -> None:
    """Children are below their parents, each line with service, time, attributes and error."""
    attributes = {
        "http.request.method": "GET",
        "url.full": "https://api.example.com/" + "long" * 20,
        "http.response.status_code": 502,
        "faas.invocation_id": "not shown",
        "error.type": "DNS_ERROR",
    }
    spans = [
        span("b", "a", attributes=attributes, failed=True, start=2),
        span("a", service="sluice-dispatcher"),
        span("c", "a", start=1, failed=True),
    ]
    shown = f"method=GET full=https://api.example.com/{'long' * 20} status_code=502"
    assert printed(trace_tree.render(tree(spans))).splitlines() == [
        "trace t",
        "└── span a  dispatcher  12.3 ms",
        "    ├── span c  outbound  12.3 ms  error",
        f"    └── span b  outbound  12.3 ms  DNS_ERROR  {shown}",
    ]


def test_narrow_terminal_gets_all_of_it() -> None:
    """What does not fit is wrapped, not cut."""
    trace = trace_tree.render(tree([span("a", attributes={"url.full": "x" * 100})]))
    assert printed(trace, width=40).count("x") == 100


def test_markup_in_a_name_is_not_obeyed() -> None:
    """Names of Workers and URLs are text."""
    assert "[red]x" in printed(trace_tree.render(tree([span("a", name="[red]x")])))


def test_trace_with_its_root_is_finished_when_quiet() -> None:
    """A trace waits for spans of other services, and is given once."""
    traces = Traces()
    traces.add([span("b", "a")], now=0)
    traces.add([span("a")], now=0.5)
    assert traces.take_finished(0.5 + QUIET * 0.9) == []
    ((root,),) = traces.take_finished(0.5 + QUIET)
    assert [child.span.span_id for child in root.children] == ["b"]
    assert not traces


def test_trace_without_a_root_is_finished_late() -> None:
    """The root of a request that came with a trace of its own is elsewhere."""
    traces = Traces()
    traces.add([span("b", "elsewhere")], now=0)
    assert traces.take_finished(LATE * 0.9) == []
    assert len(traces.take_finished(LATE)) == 1


def test_what_waits_is_bounded() -> None:
    """Under load the oldest traces are given up."""
    traces = Traces()
    for number in range(MAX_PENDING + 10):
        traces.add([span("a", trace_id=str(number))], now=0)
    finished = traces.take_finished(LATE)
    assert len(finished) == MAX_PENDING
    assert finished[0][0].span.trace_id == "10"


async def test_exported_trace_is_shown_once() -> None:
    """A trace that a service exports to the collector is shown, and its spans are let go."""
    collector = Collector()
    address = await collector.start()
    endpoint = trace_tree.exported_to(str(address))["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    shown: asyncio.Queue[Tree] = asyncio.Queue()
    task = asyncio.create_task(trace_tree.show_finished(collector, shown.put_nowait))
    async with grpc.aio.insecure_channel(endpoint.removeprefix("http://")) as channel:
        request = trace_service_pb2.ExportTraceServiceRequest()
        exported = request.resource_spans.add().scope_spans.add().spans.add()
        exported.trace_id, exported.span_id, exported.name = b"t" * 16, b"s" * 8, "GET"
        await trace_service_pb2_grpc.TraceServiceStub(channel).Export(request)  # type: ignore[no-untyped-call]  # generated
    async with asyncio.timeout(10):
        assert "GET" in printed(await shown.get())
    assert not collector.spans
    task.cancel()
    await asyncio.wait([task])
    await collector.stop()
