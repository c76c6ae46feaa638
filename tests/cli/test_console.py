from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from sluice.cli import console


@pytest.fixture(autouse=True)
def _utc() -> Iterator[None]:
    """Times are shown in the zone of the machine: here UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


SUBREQUEST = {
    "time": "2026-11-23T12:34:56.789Z",
    "level": "info",
    "service": "outbound",
    "event": "subrequest",
    "dispatch_namespace": "production",
    "worker": "acme",
    "outbound_worker": "outbound",
    "method": "GET",
    "url": "https://api.example.com/v1",
    "decision": "allow",
    "reason": None,
    "status": 200,
    "duration_ms": 34.6,
}
CONSOLE = {
    "time": "2026-11-23T12:34:56.789Z",
    "event": "console",
    "dispatch_namespace": "production",
    "worker": "acme",
    "line": "hello",
}
LOGGED = {"level": "info", "logger": "x", "message": "listening on 127.0.0.1:1"}

ASKED = "12:34:56 production/acme -> GET https://api.example.com/v1"

SHOWN = [
    (SUBREQUEST, f"{ASKED} allow 200 35 ms via outbound"),
    (
        # Straight to the guarded client, and refused there.
        SUBREQUEST
        | {
            "outbound_worker": "",
            "decision": "deny",
            "status": None,
            "reason": "DESTINATION_PROHIBITED",
        },
        f"{ASKED} deny DESTINATION_PROHIBITED 35 ms",
    ),
    (
        # Refused by a policy: the line says which pattern it was.
        SUBREQUEST
        | {
            "decision": "deny",
            "status": None,
            "reason": "DESTINATION_PROHIBITED",
            "policy": "binding deniedHosts: *.com",
        },
        f"{ASKED} deny DESTINATION_PROHIBITED (binding deniedHosts: *.com) 35 ms via outbound",
    ),
    (
        # A policy in mode report is against it.
        SUBREQUEST | {"decision": "report", "policy": "binding allowedHosts: no match"},
        f"{ASKED} report 200 (binding allowedHosts: no match) 35 ms via outbound",
    ),
    (
        # What a policy lets through is a line like any.
        SUBREQUEST | {"policy": "binding allowedHosts: *.example.com"},
        f"{ASKED} allow 200 35 ms via outbound",
    ),
    (
        # A response that broke off.
        SUBREQUEST | {"reason": "BODY_CUT_SHORT"},
        f"{ASKED} allow 200 BODY_CUT_SHORT 35 ms via outbound",
    ),
    (CONSOLE, "12:34:56 production/acme | hello"),
    (CONSOLE | {"dispatch_namespace": "", "worker": "outbound"}, "12:34:56 outbound | hello"),
    (CONSOLE | {"time": None}, "--:--:-- production/acme | hello"),
    (LOGGED | {"level": "warning", "message": "careful"}, "warning: outbound: careful"),
    (
        LOGGED | {"level": "error", "message": "no", "exception": "Traceback:\nValueError"},
        "error: outbound: no\n  Traceback:\n  ValueError",
    ),
]


@pytest.mark.parametrize(("record", "expected"), SHOWN)
def test_what_people_want_to_see(record: dict[str, object], expected: str) -> None:
    """Subrequests, what Workers print, warnings and errors are a line each."""
    shown = console.render("outbound", json.dumps(record))
    assert shown is not None
    assert shown.plain == expected


FETCH = SUBREQUEST | {"event": "fetch"}

VERBOSE = [
    (json.dumps(LOGGED), "info: outbound: listening on 127.0.0.1:1"),
    (
        # What an Outbound Worker fetches: the subrequest's own line says it already.
        json.dumps(FETCH),
        "12:34:56 outbound -> GET https://api.example.com/v1 allow 200 35 ms",
    ),
    # An event that this version does not know.
    ('{"event": "new", "a": 1}', 'outbound: {"event": "new", "a": 1}'),
]


@pytest.mark.parametrize(("line", "expected"), VERBOSE)
def test_the_rest_is_for_verbose(line: str, expected: str) -> None:
    """All else is shown only to those who ask for it."""
    assert console.render("outbound", line) is None
    shown = console.render("outbound", line, verbose=True)
    assert shown is not None
    assert shown.plain == expected


@pytest.mark.parametrize(
    "line",
    ["Traceback (most recent call last):", "[1, 2]", '"text"', "17", "{", "[" * 100_000],
)
def test_what_is_not_a_record_is_shown_as_it_is(line: str) -> None:
    """The last words of a process that dies are seldom JSON, and always shown."""
    shown = console.render("outbound", line)
    assert shown is not None
    assert shown.plain == f"outbound: {line}"


def test_empty_line_is_nothing() -> None:
    """An empty line says nothing."""
    assert console.render("outbound", "", verbose=True) is None


def test_worker_cannot_drive_the_terminal() -> None:
    """Control characters that a Worker prints are shown, not obeyed."""
    said = CONSOLE | {"line": "\x1b]0;title\x07 \x9b2J\r\ttab [bold]x[/bold]"}
    shown = console.render("userworker", json.dumps(said))
    assert shown is not None
    assert shown.plain.endswith("| \\x1b]0;title\\x07 \\x9b2J\\x0d\ttab [bold]x[/bold]")


@pytest.mark.parametrize(
    ("text", "styles"),
    [("error: no", 1), ("warning: careful", 1), ("deployed acme", 0), ("Try: curl", 0)],
)
def test_own_line_keeps_its_words(text: str, styles: int) -> None:
    """Colour is for the level; the words stay."""
    shown = console.own_line(text)
    assert (shown.plain, len(shown.spans)) == (text, styles)
