"""Starting spans, and sending them off where the standard `OTEL_*` variables ask for it.

One trace per request, W3C Trace Context on every hop. Spans are placed by hand and nearly free
where nobody records them. Nothing here touches OpenTelemetry's current context: a parent is
always passed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind as Kind

from sluice.mesh.env import SettingError
from sluice.mesh.span import RemoteParent, Span, Value, parse_traceparent

if TYPE_CHECKING:
    from sluice.mesh.otlp import Recorder

__all__ = ["Kind", "RemoteParent", "Span", "configure", "parse_traceparent", "shutdown", "start"]

_FLUSH = 2.0  # seconds that the last spans have to reach the collector

_recorder: Recorder | None = None


def configure(service: str) -> None:
    """Record the spans of this process as service `sluice-<service>`, where `OTEL_*` asks for it.

    `SettingError` for an exporter or a protocol other than OTLP over gRPC, and for a value that the
    SDK refuses. Sampling, batches,
    headers, TLS and timeouts are set by the variables of the OpenTelemetry specification:
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    global _recorder
    if not is_wanted(os.environ):
        return
    from sluice.mesh.otlp import Recorder  # takes a quarter of a second

    try:
        _recorder = Recorder(f"sluice-{service}")
    except Exception as error:  # the SDK has no one type for a variable that it cannot use
        raise SettingError(f"OTEL_*: {error}") from error


async def shutdown() -> None:
    """Send what is recorded, for at most two seconds, and record no more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        await recorder.shutdown(_FLUSH)


def start(
    name: str,
    kind: Kind,
    parent: Span | RemoteParent | None,
    attributes: Mapping[str, Value] | None = None,
) -> Span:
    """Start a span under `parent`, or a trace of its own. Use it in a `with`, or `end` it.

    Whether a trace is recorded is decided where it enters the process: below a span that is not
    recorded nothing is, and that span itself stands for its children.
    """
    if isinstance(parent, Span) and not parent.recording:
        return parent
    if _recorder is not None:
        return _recorder.start(name, kind, parent, attributes)
    if parent is None:
        ids = os.urandom(24).hex()
        return Span(ids[:32], ids[32:])
    return Span(parent.trace_id, parent.span_id)


def is_wanted(variables: Mapping[str, str]) -> bool:
    """Whether the `OTEL_*` variables ask for spans. `SettingError` where they ask in vain."""
    exporter = variables.get("OTEL_TRACES_EXPORTER", "").strip()
    named = any(
        variables.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    disabled = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporter == "none" or not (named or exporter):
        return False
    if exporter not in ("", "otlp"):
        raise SettingError(f"OTEL_TRACES_EXPORTER: {exporter!r} is not supported (otlp or none)")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := variables.get(name):
            if protocol != "grpc":
                raise SettingError(f"{name}: {protocol!r} is not supported (only grpc)")
            break
    return True
