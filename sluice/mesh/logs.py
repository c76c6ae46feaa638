"""Logs: one JSON object a line, on standard output."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime

from sluice.mesh.env import ConfigError

MAX_LINE = 64 * 1024
"""Most bytes of one line. The values of a longer one are cut."""

_MAX_VALUE = 2 * 1024
_STDOUT = 1
_LEVELS = ("debug", "info", "warning", "error")
_service = ""


def configure(service: str, level: str) -> None:
    """Send every log record of this process to standard output, as JSON.

    `level` is debug, info, warning or error; `ConfigError` for any other. Calling it again
    replaces what was set before.
    """
    global _service
    if level not in _LEVELS:
        raise ConfigError(f"SLUICE_LOG_LEVEL: {level!r} is not a level ({', '.join(_LEVELS)})")
    _service = service
    root = logging.getLogger()
    root.handlers[:] = [_JsonHandler()]
    root.setLevel(level.upper())


def emit(event: str, fields: Mapping[str, object]) -> None:
    """Write one line of `fields` at once, whatever the level: the canonical lines are made so."""
    _write({"time": _now(), "level": "info", "service": _service, "event": event, **fields})


class _JsonHandler(logging.Handler):
    """Writes records. What a caller gave as `extra={"fields": {...}}` stands beside the message."""

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, object] = {
            "time": _timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "service": _service,
            "logger": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            line["exception"] = _FORMATTER.formatException(record.exc_info)
        fields = getattr(record, "fields", None)
        _write({**fields, **line} if isinstance(fields, Mapping) else line)


_FORMATTER = logging.Formatter()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the message, or whose __str__ raises
        return str(record.msg)


def _now() -> str:
    return _timestamp(datetime.now(UTC))


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write(record: dict[str, object]) -> None:
    """Write one line with one call, so that lines of several threads or processes stay whole."""
    try:
        line = _ENCODER.encode(record)
    except (TypeError, ValueError, RecursionError):
        line = _ENCODER.encode(_plain(record))
    if len(line) > MAX_LINE:
        line = _ENCODER.encode(_plain(record))
    data = line.encode() + b"\n"
    try:
        while data:
            data = data[os.write(_STDOUT, data) :]
    except OSError:
        return  # nobody reads the logs any more: not a reason to fail a request


_ENCODER = json.JSONEncoder(allow_nan=False, default=lambda value: _text(value))


def _plain(record: dict[str, object]) -> dict[str, object]:
    """The record with nothing in it that JSON cannot carry, and no value that is too long."""
    return {_text(key): _plain_value(value) for key, value in record.items()}


def _plain_value(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    return _text(value)[:_MAX_VALUE]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception as error:  # a __repr__ that raises
        return f"<{type(value).__name__}: repr raised {type(error).__name__}>"
