"""A span as the code that makes it sees it, and the W3C text that carries it to a peer."""

from __future__ import annotations

import asyncio
import re
from types import TracebackType
from typing import NamedTuple, Self

Value = str | int | bool | float

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


class RemoteParent(NamedTuple):
    """The span of a caller, as `traceparent` said it."""

    trace_id: str
    span_id: str
    sampled: bool


class Span:
    """A span that nobody records: it only passes the trace on. Recorded ones are a subclass."""

    __slots__ = ("span_id", "trace_id")
    recording = False

    def __init__(self, trace_id: str, span_id: str) -> None:
        self.trace_id = trace_id
        self.span_id = span_id

    def traceparent(self) -> str:
        """What a peer is told, under the metadata key `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.recording else '00'}"

    def set(self, name: str, value: Value) -> None:
        """Set an attribute, one of `sluice.mesh.attributes`."""

    def fail(self, error: BaseException) -> None:
        """Mark the span as failed, with the reason's name or the exception's class: no message."""

    def cancel(self) -> None:
        """Mark the span as cancelled by its caller, which is no failure."""

    def end(self) -> None:
        """End the span. Once; whatever comes later is dropped."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.cancel()
        elif error is not None:
            self.fail(error)
        self.end()


def parse_traceparent(value: str | None) -> RemoteParent | None:
    """The caller's span, or None where there is none or the text is not what W3C says.

    https://www.w3.org/TR/trace-context-1/#traceparent-header
    """
    match = _TRACEPARENT.fullmatch(value or "")
    if not match:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return RemoteParent(trace_id, span_id, sampled=bool(int(flags, 16) & _SAMPLED))
