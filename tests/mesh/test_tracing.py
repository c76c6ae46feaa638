"""Spans reach a collector where `OTEL_*` asks for it, and cost nothing where it does not."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sluice.mesh import attributes, tracing
from sluice.mesh.collector import CollectedSpan, Collector, tree
from sluice.mesh.env import SettingError
from sluice.mesh.tracing import Kind, RemoteParent, parse_traceparent
from sluice.wire.errors import Reason, SluiceError

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Recording(Collector):
    """A collector that also keeps the bytes it was sent."""

    raw = b""

    async def Export(self, request: Any, context: Any) -> Any:
        """Keep them."""
        self.raw += request.SerializeToString()
        return await super().Export(request, context)


@pytest.fixture(autouse=True)
async def stopped() -> AsyncIterator[None]:
    """No test leaves a recorder behind."""
    yield
    await tracing.shutdown()


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recording]:
    """A collector that the variables of this process point to."""
    collector = Recording()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{await collector.start()}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    yield collector
    await tracing.shutdown()
    await collector.stop()


async def collected(collector: Collector, count: int) -> dict[str, CollectedSpan]:
    """So many spans, by name."""
    spans = await collector.wait(lambda spans: len(spans) >= count, seconds=10)
    return {span.name: span for span in spans}


def test_off_a_span_carries_the_trace() -> None:
    """With nobody to record, a trace still has an id, the same for all its spans."""
    root = tracing.start("root", Kind.SERVER, None, {attributes.SLUICE_WORKER: "acme"})
    child = tracing.start("child", Kind.CLIENT, root)
    assert child.trace_id == root.trace_id
    assert parse_traceparent(child.traceparent()) == RemoteParent(
        root.trace_id, root.span_id, sampled=False
    )
    other = tracing.start("other", Kind.SERVER, None)
    assert other.trace_id != root.trace_id


def test_off_a_callers_trace_goes_on() -> None:
    """A trace that a caller began is passed on, as not sampled."""
    span = tracing.start("span", Kind.SERVER, RemoteParent(TRACE, SPAN, sampled=True))
    assert span.traceparent() == f"00-{TRACE}-{SPAN}-00"


def test_off_everything_can_be_said() -> None:
    """What is said of a span that nobody records is dropped; exceptions go on their way."""
    span = tracing.start("span", Kind.INTERNAL, None)
    for error in (ValueError("x"), asyncio.CancelledError()):
        with pytest.raises(type(error)), span:
            raise error
    span.set(attributes.HTTP_STATUS, 200)
    span.fail(ValueError())
    span.cancel()
    span.end()


async def test_a_tree_of_spans(collector: Collector) -> None:
    """Spans arrive with service, kind, attributes and parents, also across a hop."""
    tracing.configure("dispatcher")
    with tracing.start("ingress", Kind.SERVER, None, {attributes.HTTP_METHOD: "GET"}) as ingress:
        with tracing.start("Invoke", Kind.CLIENT, ingress) as invoke:
            remote = parse_traceparent(invoke.traceparent())
            with tracing.start("worker", Kind.SERVER, remote) as worker:
                worker.set(attributes.COLD_START, True)
        ingress.set(attributes.HTTP_STATUS, 200)
    spans = await collected(collector, 3)
    (root,) = tree(spans.values())
    assert [(depth, span.name, span.kind) for depth, span in root.walk()] == [
        (0, "ingress", "server"),
        (1, "Invoke", "client"),
        (2, "worker", "server"),
    ]
    assert {span.trace_id for span in spans.values()} == {ingress.trace_id}
    assert {span.service for span in spans.values()} == {"sluice-dispatcher"}
    assert spans["ingress"].attributes == {
        "http.request.method": "GET",
        attributes.HTTP_STATUS: 200,
    }
    assert spans["worker"].attributes == {"faas.coldstart": True}
    assert not any(span.failed for span in spans.values())


@pytest.mark.parametrize(
    ("error", "type_", "failed"),
    [
        (SluiceError(Reason.DNS_ERROR, "no secret.example"), "DNS_ERROR", True),
        (ValueError("secret"), "ValueError", True),
        (asyncio.CancelledError("secret"), None, False),
        (GeneratorExit("secret"), None, False),
    ],
)
async def test_how_a_span_ends(
    error: BaseException, type_: str | None, failed: bool, collector: Recording
) -> None:
    """A failure has its type and never its message; what the caller cancelled did not fail."""
    tracing.configure("outbound")
    with pytest.raises(type(error)), tracing.start("span", Kind.CLIENT, None):
        raise error
    span = (await collected(collector, 1))["span"]
    assert span.failed is failed
    assert span.attributes.get(attributes.ERROR_TYPE) == type_
    assert span.attributes.get(attributes.SLUICE_CANCELLED, False) is not failed
    assert b"secret" not in collector.raw


async def test_an_ended_span_takes_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """What is said too late is dropped without a word."""
    tracing.configure("outbound")
    span = tracing.start("span", Kind.CLIENT, None)
    span.end()
    span.set(attributes.HTTP_STATUS, 200)
    span.fail(ValueError())
    span.cancel()
    span.end()
    await tracing.shutdown()
    (arrived,) = collector.spans
    assert (arrived.attributes, arrived.failed) == ({}, False)
    assert not caplog.records


@pytest.mark.parametrize(
    ("sampler", "parent", "recorded"),
    [
        ("always_off", None, False),
        ("always_off", RemoteParent(TRACE, SPAN, True), False),
        ("parentbased_always_on", None, True),
        ("parentbased_always_on", RemoteParent(TRACE, SPAN, False), False),
        ("parentbased_always_off", RemoteParent(TRACE, SPAN, True), True),
        ("always_on", RemoteParent(TRACE, SPAN, False), True),
    ],
)
async def test_sampling(
    sampler: str,
    parent: RemoteParent | None,
    recorded: bool,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The standard sampler variable decides, once for each trace that enters the process."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    tracing.configure("outbound")
    with tracing.start("span", Kind.SERVER, parent) as span:
        child = tracing.start("child", Kind.CLIENT, span)
        child.end()
    remote = parse_traceparent(child.traceparent())
    assert remote is not None
    assert (remote.sampled, child.recording) == (recorded, recorded)
    assert parent is None or remote.trace_id == TRACE
    await tracing.shutdown()
    assert {span.name for span in collector.spans} == ({"span", "child"} if recorded else set())


GRPC = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),  # empty is unset, says the specification
        (GRPC, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4317"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),  # asked for by name, at the default address
        (GRPC | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (GRPC | {"OTEL_SDK_DISABLED": "True"}, False),
        (GRPC | {"OTEL_SDK_DISABLED": "false"}, True),
        (GRPC | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True),
        (
            GRPC
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",  # of other signals
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
            },
            True,
        ),
    ],
)
def test_when_spans_are_wanted(variables: dict[str, str], wanted: bool) -> None:
    """Spans are sent only where the standard variables ask for it."""
    assert tracing.is_wanted(variables) is wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ],
)
def test_what_is_not_supported_is_an_error(name: str, value: str) -> None:
    """Spans that could not arrive stop the start, by the variable's name."""
    with pytest.raises(SettingError, match=f"^{name}: '{value}' is not supported"):
        tracing.is_wanted(GRPC | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
    ],
)
def test_a_value_that_the_sdk_refuses_is_an_error(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong value of a standard variable stops the start with one line, not with a traceback."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=r"^OTEL_\*: "):
        tracing.configure("outbound")


async def test_shutdown_sends_the_last_spans(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded just before the end arrives, and later spans are only carried."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    tracing.configure("outbound")
    for number in range(1000):
        tracing.start(f"span {number}", Kind.INTERNAL, None).end()
    await tracing.shutdown()
    assert len(collector.spans) == 1000
    assert not tracing.start("late", Kind.INTERNAL, None).recording


@pytest.mark.parametrize("listens", [True, False], ids=["silent", "absent"])
async def test_shutdown_is_bounded(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that never answers, or is not there, does not hold up the end."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        tracing.configure("outbound")
        tracing.start("lost", Kind.INTERNAL, None).end()
        began = time.monotonic()
        await tracing.shutdown()
        assert time.monotonic() - began < 4


SERVICE = """
import asyncio, sys
import uvloop
from sluice.mesh import tracing
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer
from sluice.mesh.tracing import Kind, parse_traceparent

async def main():
    tracing.configure("userworker")
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    async with dial(await server.start()) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        with tracing.start("served", Kind.SERVER, parse_traceparent(sys.argv[1])) as span:
            for _ in range(100):
                with tracing.start("call", Kind.CLIENT, span):
                    await check(b"")
    process = await asyncio.create_subprocess_exec("true")  # as the isolates are started
    await process.wait()
    await server.stop(1)
    await tracing.shutdown()

uvloop.run(main())
"""


async def test_the_exporter_beside_grpc_aio(collector: Collector) -> None:
    """A service that serves, calls, exports and starts children in one process warns of nothing."""
    tracing.configure("dispatcher")
    with tracing.start("Invoke", Kind.CLIENT, None) as span:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", SERVICE, span.traceparent()),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")
    spans = await collector.wait(lambda spans: len(spans) >= 102, seconds=10)
    (root,) = tree(spans)
    assert [(node.span.service, node.span.name) for node in (root, root.children[0])] == [
        ("sluice-dispatcher", "Invoke"),
        ("sluice-userworker", "served"),
    ]
    assert len(root.children[0].children) == 100
