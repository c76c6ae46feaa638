"""Exceptions as the host tells them: what this Worker threw, and what its subrequests threw."""

from __future__ import annotations

import json

from sluice_guest import control


class RemoteError(OSError):
    """What `fetch()` raises where nothing answered, or another Worker raised an exception.

    `str()` of it is the message alone. `name` is the name of the exception that was raised there,
    as JavaScript says it: `Error`, `TypeError`, or that of a Python class.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class RemoteTypeError(RemoteError, TypeError):
    """A `RemoteError` whose name is `TypeError`."""


class RemoteValueError(RemoteError, ValueError):
    """A `RemoteError` whose name is `ValueError`, or JavaScript's `RangeError`."""


_TYPES = {
    "TypeError": RemoteTypeError,
    "ValueError": RemoteValueError,
    "RangeError": RemoteValueError,
}


def remote_error(header: str) -> RemoteError:
    """The exception that a control header tells of."""
    try:
        said = json.loads(header)
        name, message = str(said["name"]), str(said["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        name, message = "Error", "The answer could not be read."
    return _TYPES.get(name, RemoteError)(name, message)


def describe(error: BaseException, kind: str = "exception") -> str:
    """The control header that tells the host of an exception."""
    if isinstance(error, MemoryError):
        kind = "memory"
    name = error.name if isinstance(error, RemoteError) else type(error).__name__
    message = _message(error)[: control.MAX_MESSAGE]
    return control.encode({"kind": kind, "name": name, "message": message})


def _message(error: BaseException) -> str:
    """What the exception says. `str()` of a `KeyError` would be the key's `repr`."""
    try:
        if isinstance(error, KeyError) and len(error.args) == 1:
            return str(error.args[0])
        return str(error)
    except Exception as failure:
        return f"<str() of the exception raised {type(failure).__name__}>"
