"""Logs: one JSON object a line, on standard output."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from functools import lru_cache

from sluice.mesh.env import SettingError
from sluice.mesh.line_writer import LineWriter

MAX_LINE = 64 * 1024
"""A line of more bytes than this has each of its values cut to `MAX_VALUE` characters."""

MAX_VALUE = 2 * 1024
_EXACT = 2**53  # integers beyond are not exact in most readers of JSON
_STDOUT = 1
_LEVELS = ("debug", "info", "warning", "error")
_service = ""


def configure(service: str, level: str) -> None:
    """Send every log record of this process to standard output, as JSON.

    `level` is debug, info, warning or error; `SettingError` for any other. Calling it again
    replaces what was set before.
    """
    global _service
    if level not in _LEVELS:
        raise SettingError(f"SLUICE_LOG_LEVEL: {level!r} is not a level ({', '.join(_LEVELS)})")
    _service = service
    with contextlib.suppress(OSError):
        os.set_blocking(_STDOUT, True)  # whoever shares it may have changed that: half lines
    root = logging.getLogger()
    root.handlers[:] = [_JsonHandler()]
    root.setLevel(level.upper())


def emit(event: str, fields: Mapping[str, object]) -> None:
    """Write one line of `fields` at once, whatever the level: the canonical lines are made so."""
    _write(
        {
            "time": _timestamp(time.time()),
            "level": "info",
            "service": _service,
            "event": event,
            **fields,
        }
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception as error:  # a __str__ that raises, or an integer of too many digits
        return f"<{type(value).__name__}: {type(error).__name__}>"


_ENCODER = json.JSONEncoder(allow_nan=False, check_circular=False, default=_text)
_FORMATTER = logging.Formatter()


class _JsonHandler(logging.Handler):
    """Writes records. What a caller gave as `extra={"fields": {...}}` stands beside the message."""

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "service": _service,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            line["exception"] = _FORMATTER.formatException(record.exc_info)
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update((key, value) for key, value in fields.items() if key not in line)
        _write(line)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the message, or whose __str__ raises
        return _text(record.msg)


def _timestamp(moment: float) -> str:
    seconds, milliseconds = divmod(int(moment * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@lru_cache(maxsize=1)
def _second(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def _write(record: dict[str, object]) -> None:
    """Write one line."""
    try:
        line = _ENCODER.encode(record)
    except (TypeError, ValueError, RuntimeError):  # a key, NaN, a cycle
        line = _ENCODER.encode(_plain(record))
    if len(line) > MAX_LINE:
        line = _ENCODER.encode(_plain(record))
    with contextlib.suppress(OSError):  # nobody reads any more: no reason to fail a request
        _writer.write(line.encode() + b"\n")


def _dropped(count: int) -> bytes:
    """The line that says how many lines the reader of the log did not take."""
    now = _timestamp(time.time())
    said = {"time": now, "level": "warning", "service": _service, "event": "log_dropped"}
    return _ENCODER.encode({**said, "lines": count}).encode() + b"\n"


_writer = LineWriter(_STDOUT, _dropped)


def _plain(record: dict[str, object]) -> dict[str, object]:
    """The record with nothing in it that JSON cannot carry, and no value that is too long."""
    return {_text(key): _plain_value(value) for key, value in record.items()}


def _plain_value(value: object) -> object:
    number = isinstance(value, int | float) and -_EXACT < value < _EXACT
    return value if value is None or number else _text(value)[:MAX_VALUE]
