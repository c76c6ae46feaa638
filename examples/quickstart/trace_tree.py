"""Reading the traces that `sluice dev --traces` prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

_SPAN = re.compile(r"(?P<guides>[ │├└]*── )(?P<name>.+?)  (?P<service>\w+)  ")


class Span(NamedTuple):
    """One line of a tree."""

    depth: int
    name: str
    service: str


def trace_with(lines: Sequence[str], wanted: Callable[[str], bool]) -> list[str]:
    """The lines of the first trace that has a line that is `wanted`; none, if there is no such."""
    trace: list[str] = []
    for line in [*lines, ""]:
        if trace and _SPAN.match(line):
            trace.append(line)
            continue
        if any(map(wanted, trace)):
            return trace
        trace = [line] if line.startswith("trace ") else []
    return []


def path_to(trace: Sequence[str], wanted: str) -> list[Span]:
    """The span in whose line `wanted` is, after all the spans that it is within."""
    path: list[Span] = []
    for line in trace:
        match = _SPAN.match(line)
        if match is None:
            continue
        depth = len(match["guides"])
        path = [span for span in path if span.depth < depth]
        path.append(Span(depth, match["name"], match["service"]))
        if wanted in line:
            return path
    return []
