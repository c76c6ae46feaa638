"""One line that a service printed, as one for people. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from sluice.mesh import attributes

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_LEVELS = {"warning": "yellow", "error": "red"}
_DECISIONS = {"allow": "green", "answer": "cyan", "report": "yellow", "deny": "red"}


def render(service: str, line: str, *, verbose: bool = False) -> Text | None:
    """What to show of a line, or None.

    Subrequests, what Workers print, warnings and errors are shown; with `verbose` the rest too.
    What is not JSON (the last words of a process that dies) is shown as it is.
    """
    record = _record(line)
    if record is None:
        return _text((f"{service}: ", "dim"), line) if line.strip() else None
    match record.get("event"):
        case "console":
            return _console(record)
        case "subrequest":
            return _subrequest(record)
        case "fetch":
            return _subrequest(record) if verbose else None
        case None if verbose or record.get("level") in _LEVELS:
            return _message(service, record)
        case _:
            return _text((f"{service}: ", "dim"), line) if verbose else None


def own_line(text: str) -> Text:
    """A line of `sluice dev` itself, which may begin with `warning:` or `error:`."""
    level, colon, rest = text.partition(": ")
    if level in _LEVELS and colon:
        return _text((f"{level}: ", _LEVELS[level]), rest)
    return _text(text)


def _record(line: str) -> Mapping[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _console(record: Mapping[str, Any]) -> Text:
    return _text(
        (f"{_time(record)} ", "dim"), (_worker(record), "bold"), f" | {record.get('line')}"
    )


def _subrequest(record: Mapping[str, Any]) -> Text:
    decision = str(record.get(attributes.DECISION))
    status, reason = record.get(attributes.STATUS), record.get(attributes.REASON)
    outbound = record.get(attributes.OUTBOUND_WORKER)
    own = record.get("event") == "fetch"
    # Where nothing was refused, the lists are not what people look for.
    policy = record.get(attributes.POLICY) if decision in ("deny", "report") else None
    return _text(
        (f"{_time(record)} ", "dim"),
        (str(outbound) if own else _worker(record), "bold"),
        f" -> {record.get(attributes.METHOD)} {record.get(attributes.URL)} ",
        (decision, _DECISIONS.get(decision, "")),
        (f" {status}" if status else "", "red" if (status or 0) >= 500 else ""),
        (f" {reason}" if reason else "", "red"),
        (f" ({policy})" if policy else "", _DECISIONS.get(decision, "")),
        (f" {record.get(attributes.DURATION_MS, 0):.0f} ms", "dim"),
        (f" via {outbound}" if outbound and not own else "", "dim"),
    )


def _message(service: str, record: Mapping[str, Any]) -> Text:
    level = str(record.get("level"))
    exception = record.get("exception")
    said = _text((f"{level}: ", _LEVELS.get(level, "dim")), f"{service}: {record.get('message')}")
    for line in str(exception).splitlines() if exception else ():
        said.append("\n  ").append_text(_text((line, "dim")))
    return said


def _worker(record: Mapping[str, Any]) -> str:
    parts = (record.get(attributes.DISPATCH_NAMESPACE), record.get(attributes.WORKER))
    return "/".join(str(part) for part in parts if part)


def _time(record: Mapping[str, Any]) -> str:
    try:
        return datetime.fromisoformat(str(record.get("time"))).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return "--:--:--"


def _text(*parts: str | tuple[str, str]) -> Text:
    """Styled text, with control characters shown and not obeyed: a Worker chooses some of it."""
    shown = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        shown.append(_CONTROL.sub(_escaped, text), style or None)
    return shown


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"
