from __future__ import annotations

from pathlib import Path

import pytest

from sluice.mesh.collector import Collector, tree
from tests.e2e.conftest import OUTBOUND
from tests.e2e.mesh import Mesh, running
from tests.e2e.origin import Origin

FETCH = "export default {{ async fetch() {{ await fetch('{url}/one?secret=1'); return fetch('{url}/two') }} }}"


async def test_one_tree(short_folder: Path, origin: Origin) -> None:
    """A request is one trace, one tree: from the ingress through every isolate to the origin."""
    collector = Collector()
    address = await collector.start()
    variables = {
        "SLUICE_ALLOW_ADDRESS": "127.0.0.1/32",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with running(short_folder, **variables) as mesh:
        await mesh.deploy("outbound", OUTBOUND)
        await mesh.deploy("acme", FETCH.format(url=origin.url), "production")
        trace_id, parent_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        traceparent = f"00-{trace_id}-{parent_id}-01"
        assert await mesh.get("acme.example.com", headers={"traceparent": traceparent}) == (
            200,
            "origin",
        )
        spans = await collector.wait(lambda spans: len(spans) == 13, 10)
        line = await mesh.services["outbound"].line(event="subrequest")
    await collector.stop()
    assert {span.trace_id for span in spans} == {trace_id}
    assert line["trace_id"] == trace_id
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
    assert not any(name.startswith("trace") for name in origin.received[0].headers)
    cold = [span.attributes["faas.coldstart"] for span in spans if "Worker " in span.name]
    assert cold == [True] * 3 or sorted(cold) == [False, True, True, True]
    origins = [span.attributes for span in spans if (span.name, span.kind) == ("GET", "client")]
    assert {f"http://{said['server.address']}:{said['server.port']}" for said in origins} == {
        origin.url
    }
    calls = [span for span in spans if span.name.startswith("sluice.v1.")]
    assert all(span.attributes["rpc.method"] == span.name for span in calls)


async def test_failure_is_in_every_span(short_folder: Path) -> None:
    """A Worker that throws fails its span and those above it, each by its reason."""
    collector = Collector()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{await collector.start()}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    async with running(short_folder, **variables) as mesh:
        await mesh.deploy(
            "acme", "export default { fetch() { throw new Error('a secret') } }", "production"
        )
        assert (await mesh.get("acme.example.com"))[0] == 500
        spans = await collector.wait(
            lambda spans: any(span.parent_id == "" for span in spans) and len(spans) == 5, 10
        )
    await collector.stop()
    failed = {(span.name, span.kind): span.attributes.get("error.type") for span in spans}
    assert failed == {
        ("GET", "server"): None,  # the dispatch Worker caught it
        ("dispatch Worker dispatch", "internal"): None,
        ("sluice.v1.UserWorkerService/Invoke", "client"): "WORKER_EXCEPTION",
        ("sluice.v1.UserWorkerService/Invoke", "server"): "WORKER_EXCEPTION",
        ("user Worker acme", "internal"): "WORKER_EXCEPTION",
    }
    assert "a secret" not in str(spans)


@pytest.mark.parametrize(("header", "kept"), [("garbage", False), (None, False)])
async def test_log_line_has_a_trace_without_tracing(
    mesh: Mesh, origin: Origin, header: str | None, kept: bool
) -> None:
    """With tracing off, each request has a trace id of its own in the log all the same."""
    await mesh.deploy("acme", FETCH.format(url=origin.url), "production")
    headers = {"traceparent": header} if header else {}
    await mesh.get("acme.example.com", headers=headers)
    line = await mesh.services["outbound"].line(event="subrequest")
    assert len(line["trace_id"]) == 32
    assert (line["trace_id"] in str(header)) is kept
