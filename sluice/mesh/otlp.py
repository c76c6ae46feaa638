"""Recording spans with the OpenTelemetry SDK and sending them by OTLP over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sluice.mesh import attributes as names
from sluice.mesh.span import RemoteParent, Span, Value
from sluice.wire.errors import SluiceError


class RecordedSpan(Span):
    """A span that the SDK records."""

    __slots__ = ("_ended", "_span")
    recording = True

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        super().__init__(
            trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
        )
        self._span = span
        self._ended = False

    def as_parent(self) -> Context:
        """What the SDK finds a parent by."""
        return trace.set_span_in_context(self._span, Context())

    def set(self, name: str, value: Value) -> None:
        """Set an attribute."""
        if not self._ended:
            self._span.set_attribute(name, value)

    def fail(self, error: BaseException) -> None:
        """Set status and `error.type`. What the error says may hold params or secrets."""
        named = error.reason.name if isinstance(error, SluiceError) else type(error).__name__
        self.set(names.ERROR_TYPE, named)
        if not self._ended:
            self._span.set_status(trace.StatusCode.ERROR)

    def cancel(self) -> None:
        """Set `sluice.cancelled`."""
        self.set(names.SLUICE_CANCELLED, True)

    def end(self) -> None:
        """Hand the span to the exporter's thread."""
        if not self._ended:
            self._ended = True
            self._span.end()


class Recorder:
    """Starts spans of one service. Which of them are recorded is for `OTEL_TRACES_SAMPLER`."""

    def __init__(self, service_name: str) -> None:
        self._exporter = OTLPSpanExporter()
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service_name}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("sluice")

    def start(
        self,
        name: str,
        kind: trace.SpanKind,
        parent: Span | RemoteParent | None,
        attributes: Mapping[str, Value] | None,
    ) -> Span:
        """Start a span, recorded or not as the sampler says."""
        span = self._tracer.start_span(name, _context(parent), kind, attributes)
        if span.is_recording():
            return RecordedSpan(span)
        context = span.get_span_context()
        return Span(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))

    async def shutdown(self, seconds: float) -> None:
        """Send what is recorded. Gives up after so many seconds, whatever the collector does."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done.set)

        # A daemon, and not of the loop's pool: neither the loop nor the process waits for it.
        threading.Thread(target=flush, name="flush spans", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), seconds)
        if not done.is_set():
            self._exporter.shutdown()  # breaks off the call that the thread waits for


def _context(parent: Span | RemoteParent | None) -> Context:
    if isinstance(parent, RecordedSpan):
        return parent.as_parent()
    if isinstance(parent, RemoteParent):
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.sampled else 0)
        span_context = trace.SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags
        )
        return trace.set_span_in_context(trace.NonRecordingSpan(span_context), Context())
    return Context()
