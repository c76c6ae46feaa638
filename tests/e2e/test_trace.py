from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

import pytest

from sluice.mesh.collector import CollectedSpan, Collector, tree
from tests.e2e.chain import Chain
from tests.e2e.origin import Origin


async def spans_of(collector: Collector, trace_id: str, count: int) -> list[CollectedSpan]:
    """The spans of a trace, once there are so many."""

    def of(spans: Iterable[CollectedSpan]) -> list[CollectedSpan]:
        return [span for span in spans if span.trace_id == trace_id]

    return of(await collector.wait(lambda spans: len(of(spans)) >= count, 10))


async def test_one_tree(strict: Chain, collector: Collector, origin: Origin) -> None:
    """A request is one trace, one tree: from the ingress through every isolate to the origin."""
    await strict.user("asks_each")
    trace_id, parent_id = secrets.token_hex(16), "00f067aa0ba902b7"
    while await strict.ask_each(origin.url) != ["200 origin"]:  # until all three are warm
        pass
    answer = await strict.get(
        traceparent=f"00-{trace_id}-{parent_id}-01",
        x_ask=json.dumps([f"{origin.url}/one?secret=1", f"{origin.url}/two"]),
    )
    assert answer[0] == 200
    spans = await spans_of(collector, trace_id, 13)
    line = await strict.line(event="subrequest", trace_id=trace_id)
    assert line["url"] == f"{origin.url}/one"
    assert len(spans) == 13
    (root,) = tree(spans)
    outbound_fetch = [
        (4, "sluice-userworker", "sluice.v1.OutboundService/OutboundFetch", "client"),
        (5, "sluice-outbound", "sluice.v1.OutboundService/OutboundFetch", "server"),
        (6, "sluice-outbound", "Outbound Worker outbound", "internal"),
        (7, "sluice-outbound", "GET", "client"),
    ]
    assert [(depth, span.service, span.name, span.kind) for depth, span in root.walk()] == [
        (0, "sluice-dispatcher", "GET", "server"),
        (1, "sluice-dispatcher", "dispatch Worker dispatch", "internal"),
        (2, "sluice-dispatcher", "sluice.v1.UserWorkerService/Invoke", "client"),
        (3, "sluice-userworker", "sluice.v1.UserWorkerService/Invoke", "server"),
        (4, "sluice-userworker", "user Worker acme", "internal"),
        *((depth + 1, *rest) for depth, *rest in outbound_fetch * 2),
    ]
    said = str([span.attributes for span in spans])
    assert "secret" not in said, "a query is in a span"
    assert "customer_name" not in said, "params are in a span"
    assert not any(name.startswith("trace") for name in origin.received[-1].headers)
    assert [
        type(span.attributes["faas.coldstart"]) for span in spans if "Worker " in span.name
    ] == ([bool] * 4)
    origins = [span.attributes for span in spans if (span.name, span.kind) == ("GET", "client")]
    assert {f"http://{said['server.address']}:{said['server.port']}" for said in origins} == {
        origin.url
    }
    calls = [span for span in spans if span.name.startswith("sluice.v1.")]
    assert all(span.attributes["rpc.method"] == span.name for span in calls)


async def test_failure_is_in_every_span(strict: Chain, collector: Collector) -> None:
    """A Worker that throws fails its span and those above it, each by its reason."""
    await strict.user("throws")
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    assert await strict.get(**headers) == (500, "TypeError: out of it")
    spans = await spans_of(collector, trace_id, 5)
    failed = {(span.name, span.kind): span.attributes.get("error.type") for span in spans}
    assert failed == {
        ("GET", "server"): None,  # the dispatch Worker caught it
        ("dispatch Worker dispatch", "internal"): None,
        ("sluice.v1.UserWorkerService/Invoke", "client"): "WORKER_EXCEPTION",
        ("sluice.v1.UserWorkerService/Invoke", "server"): "WORKER_EXCEPTION",
        ("user Worker acme", "internal"): "WORKER_EXCEPTION",
    }
    assert "out of it" not in str(spans)


@pytest.mark.parametrize("header", ["garbage", None])
async def test_log_line_has_a_trace_without_tracing(
    chain: Chain, origin: Origin, header: str | None
) -> None:
    """With tracing off, each request has a trace id of its own in the log all the same."""
    await chain.user("asks")
    headers = {"traceparent": header} if header else {}
    await chain.get(x_ask=json.dumps({"url": origin.url}), **headers)
    line = await chain.line(event="subrequest")
    assert len(line["trace_id"]) == 32
    assert line["trace_id"] not in str(header)
