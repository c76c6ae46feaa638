"""Finished traces, and how they are shown."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from rich.text import Text
from rich.tree import Tree

from sluice.mesh import attributes
from sluice.mesh.collector import CollectedSpan, Collector, Node, tree

QUIET = 1.0
"""Seconds without a span of its own after which a trace that has its root is finished."""

LATE = 5.0
"""Seconds after which one without a root is: a request that came in with a trace of its own."""

MAX_PENDING = 500
"""Most traces that are waited for; the oldest go first."""

_IDLE = 60.0

_SHOWN = (
    attributes.HTTP_METHOD,
    attributes.URL_FULL,
    attributes.HTTP_STATUS,
    attributes.SLUICE_NAMESPACE,
    attributes.SLUICE_WORKER,
    attributes.SLUICE_OUTBOUND_WORKER,
    attributes.SLUICE_DECISION,
    attributes.COLD_START,
    attributes.SLUICE_CANCELLED,
)


@dataclass
class _Pending:
    spans: list[CollectedSpan] = field(default_factory=list)
    last: float = 0.0

    def finished(self, now: float) -> bool:
        has_root = any(not span.parent_id for span in self.spans)
        return now - self.last >= (QUIET if has_root else LATE)


class Traces:
    """Sorts spans into traces until these are finished. Times are of any one clock, in seconds."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, spans: Iterable[CollectedSpan], now: float) -> None:
        """Take spans that came at `now`."""
        for span in spans:
            trace = self._pending.setdefault(span.trace_id, _Pending())
            trace.spans.append(span)
            trace.last = now
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def take_finished(self, now: float) -> list[list[Node]]:
        """The traces that are finished at `now`, each as its trees. They are forgotten here."""
        done = [trace_id for trace_id, trace in self._pending.items() if trace.finished(now)]
        return [tree(self._pending.pop(trace_id).spans) for trace_id in done]


async def show_finished(collector: Collector, show: Callable[[Tree], None]) -> None:
    """Show each trace once it is finished, and take its spans out of the collector."""
    clock = asyncio.get_running_loop().time
    traces = Traces()
    while True:
        with suppress(TimeoutError):
            await collector.wait(bool, QUIET if traces else _IDLE)
        traces.add(collector.spans, clock())
        collector.spans.clear()
        for trace in traces.take_finished(clock()):
            show(render(trace))


def exported_to(address: str) -> dict[str, str]:
    """The environment that makes a service send its spans to a collector, soon."""
    return {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://{address}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


def render(trace: list[Node]) -> Tree:
    """A trace to print."""
    root = Tree(Text(f"trace {trace[0].span.trace_id}", style="dim"), guide_style="dim")
    for node in trace:
        _grow(root, node)
    return root


def _grow(parent: Tree, node: Node) -> None:
    branch = parent.add(_label(node.span))
    for child in node.children:
        _grow(branch, child)


def _label(span: CollectedSpan) -> Text:
    said = [f"{name.rpartition('.')[2]}={span.attributes[name]}" for name in _shown(span)]
    error = span.attributes.get(attributes.ERROR_TYPE) or ("error" if span.failed else "")
    return Text.assemble(
        (span.name, "bold red" if span.failed else "bold"),
        (f"  {span.service.removeprefix('sluice-')}", "cyan"),
        f"  {span.duration * 1000:.1f} ms",
        (f"  {error}" if error else "", "red"),
        (f"  {' '.join(said)}" if said else "", "dim"),
    )


def _shown(span: CollectedSpan) -> list[str]:
    return [name for name in _SHOWN if name in span.attributes]
