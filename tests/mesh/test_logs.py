"""Every line is one JSON object, whatever was logged."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.mesh import logs
from sluice.mesh.env import SettingError


class Broken:
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    """Logs of a service, until the test ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("outbound", "info")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was written since the last call. Strict: NaN is no JSON."""
    return [
        json.loads(line, parse_constant=pytest.fail) for line in capfd.readouterr().out.splitlines()
    ]


def cycle() -> dict[str, Any]:
    """A value that contains itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def nest(depth: int) -> list[Any]:
    """Lists within lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_record_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """A record has time, level, service, logger and message, and the fields it was given."""
    logging.getLogger("sluice.x").warning(
        "lost %d", 3, extra={"fields": {"worker": "acme", "n": 1}}
    )
    (line,) = lines(capfd)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "service": "outbound",
        "logger": "sluice.x",
        "message": "lost 3",
        "worker": "acme",
        "n": 1,
    }


def test_time_is_rfc_3339_in_milliseconds(capfd: pytest.CaptureFixture[str]) -> None:
    """Times of both kinds of line read alike, in UTC with three digits of a second."""
    logging.getLogger("x").info("a")
    logs.emit("b", {})
    for line in lines(capfd):
        day, time = line["time"].split("T")
        assert len(day) == len("2026-01-01")
        assert len(time) == len("00:00:00.000Z")


def test_fields_cannot_replace_what_every_line_has(capfd: pytest.CaptureFixture[str]) -> None:
    """A field named like a part of the record does not hide it."""
    logging.getLogger("x").info("real", extra={"fields": {"message": "false", "level": "false"}})
    (line,) = lines(capfd)
    assert (line["message"], line["level"]) == ("real", "info")


def test_an_exception_is_a_field(capfd: pytest.CaptureFixture[str]) -> None:
    """A traceback stays inside its line."""
    try:
        dict[str, str]()["acme\nglobex"]
    except KeyError:
        logging.getLogger("x").exception("failed")
    (line,) = lines(capfd)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback")
    assert "KeyError" in line["exception"]


def test_level_silences_records_and_not_canonical_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """The level is for what is said in passing. The line of a subrequest is always written."""
    logs.configure("outbound", "error")
    logging.getLogger("x").warning("dropped")
    logs.emit("subrequest", {"status": 200})
    (line,) = lines(capfd)
    del line["time"]
    assert line == {"level": "info", "service": "outbound", "event": "subrequest", "status": 200}


def test_a_wrong_level_stops_the_start() -> None:
    """A level that does not exist is an error that names the variable."""
    with pytest.raises(SettingError, match="SLUICE_LOG_LEVEL: 'loud' is not a level"):
        logs.configure("outbound", "loud")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),  # JSON has no NaN
        (math.inf, "inf"),
        (b"\xff", r"b'\xff'"),
        ("a\nb\u2028\ud800", "a\nb\u2028\ud800"),  # no line is broken, a lone surrogate survives
        (SettingError("no"), "no"),
        (Broken(), "<Broken: RuntimeError>"),
        (10**5000, "<int: ValueError>"),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        (cycle(), "{'self': {...}}"),
        (nest(100_000), "<list: RecursionError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_odd_values(value: object, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A value that JSON cannot carry becomes text, and the other fields stay as they are."""
    logs.emit("odd", {"value": value, "status": 200, "reason": None, "cold": True})
    logging.getLogger("x").info("odd", extra={"fields": {"value": value}})
    emitted, logged = lines(capfd)
    assert emitted["value"] == logged["value"] == expected
    assert (emitted["status"], emitted["reason"], emitted["cold"]) == (200, None, True)


def test_odd_records(capfd: pytest.CaptureFixture[str]) -> None:
    """A message that does not fit its arguments, and fields that are no mapping, make a line."""
    logs.configure("outbound", "info")  # once more: pytest's own handler raises for such records
    log = logging.getLogger("x")
    log.info("%d", "three")
    log.info(Broken())
    log.info("fine", extra={"fields": "acme"})
    assert [line["message"] for line in lines(capfd)] == ["%d", "<Broken: RuntimeError>", "fine"]


def test_a_long_line_is_cut(capfd: pytest.CaptureFixture[str]) -> None:
    """One value cannot make a line of any length; what is beside it stays."""
    logs.emit("long", {"url": "x" * logs.MAX_LINE, "status": 200})
    (line,) = lines(capfd)
    assert (line["url"], line["status"]) == ("x" * logs.MAX_VALUE, 200)


def test_lines_of_threads_stay_whole(capfd: pytest.CaptureFixture[str]) -> None:
    """Lines written at once by several threads do not mix."""

    def write() -> None:
        for _ in range(200):
            logs.emit("line", {"value": "x" * 2000})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(capfd)) == 800


def test_a_closed_output_fails_nobody() -> None:
    """A reader that went away is no reason for a request to fail."""
    reader, writer = os.pipe()
    kept = os.dup(1)
    os.dup2(writer, 1)
    os.close(reader)
    try:
        logs.emit("lost", {})
        logging.getLogger("x").info("lost")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(writer)
