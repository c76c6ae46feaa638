"""Values as JSON text and back: what RPC carries between isolates. The format is that of clone.js.

The text is an array of nodes, the first being the value. A node is a string, a finite number, a
boolean or null; or [tag, ...], with numbers of other nodes where one value holds another. The far
side may be hostile: a text that `encode` did not write is refused.

| JavaScript                     | Python                                             |
| ------------------------------ | -------------------------------------------------- |
| null, undefined, a hole        | None                                               |
| number, bigint                 | float, int: beyond 2**53 it is a bigint            |
| object, Map                    | dict: with a key that is no str it is a Map        |
| array, Set, Date               | list, set, datetime in UTC                         |
| ArrayBuffer, Uint8Array        | bytes                                              |
| other views                    | memoryview, read only                              |
| Error                          | RemoteError                                        |
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from sluice_guest.remote import RemoteError
from workers.body import Buffer
from workers.record import Record

MAX_LENGTH = 32 * 1024 * 1024
MAX_VALUES = 250_000

_HOLE = -1
_SAFE = 2**53 - 1
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "-0": -0.0}
_ERRORS = frozenset(
    {"Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"}
)
_FORMATS = {
    "Int8Array": "b",
    "Int16Array": "h",
    "Uint16Array": "H",
    "Int32Array": "i",
    "Uint32Array": "I",
    "Float32Array": "f",
    "Float64Array": "d",
    "BigInt64Array": "q",
    "BigUint64Array": "Q",
}
_BYTES = frozenset({"Uint8Array", "Uint8ClampedArray", "DataView"})
At = Callable[[Any], int]


def encode(value: Any) -> str:
    """JSON text of `value`. Raises `TypeError` that names the type of what cannot be carried."""
    values: list[Any] = []
    numbers: dict[int, int] = {}

    def at(member: Any) -> int:
        known = numbers.get(id(member))
        if known is not None:
            return known
        values.append(member)  # And so kept: an id is of a living object only.
        if not isinstance(member, str | int | float | None):
            numbers[id(member)] = len(values) - 1
        return len(values) - 1

    at(value)
    # at() adds to the list while it is being walked.
    nodes = [_node(member, at) for member in values]
    text = json.dumps(nodes, separators=(",", ":"), allow_nan=False)
    check_length(len(text))
    return text


def decode(text: str) -> Any:
    """The value of a text that `encode` wrote. Raises `TypeError` or `ValueError` for any other."""
    _check_values(text)
    try:
        nodes = json.loads(text, parse_constant=_malformed)
    except (ValueError, RecursionError):
        _malformed()
    if not isinstance(nodes, list):
        _malformed()
    try:
        return _Decoder(nodes).value()
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        if isinstance(error, _MalformedError):
            raise
        raise _MalformedError(_WORDS) from error


def check_length(length: int) -> None:
    """Raise `ValueError` for a text that is longer than a serialized value may be."""
    if length > MAX_LENGTH:
        raise ValueError(
            "Serialized RPC arguments or return values are limited to 32MiB, "
            f"but the size of this value was: {length} bytes."
        )


def _check_values(text: str) -> None:
    """Refuse what is a few bytes of text and a hundred in memory, before anything is made of it."""
    if len(text) < MAX_VALUES:
        return
    bare = _STRING.sub("", text)
    if sum(bare.count(sign) for sign in ",[{") > MAX_VALUES:
        raise ValueError(
            f"Serialized RPC arguments or return values are limited to {MAX_VALUES} values."
        )


_WORDS = "RPC: what the far side sent is no serialized value."


class _MalformedError(TypeError):
    """What came is no text of ours, or holds what Python has no value for."""


def _malformed(_: object = None) -> NoReturn:
    raise _MalformedError(_WORDS)


def _node(value: Any, at: At) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE else ["bigint", f"{value:x}"]
    if isinstance(value, float):
        return _number(value)
    return _node_of_object(value, at)


def _number(value: float) -> Any:
    if math.isnan(value):
        return ["number", "NaN"]
    if math.isinf(value):
        return ["number", "Infinity" if value > 0 else "-Infinity"]
    is_negative_zero = value == 0 and math.copysign(1, value) < 0
    return ["number", "-0"] if is_negative_zero else value


def _node_of_object(value: Any, at: At) -> list[Any]:
    if isinstance(value, list | tuple):
        return ["array", *map(at, value)]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return ["object", *(part for key, held in value.items() for part in (key, at(held)))]
        return ["map", *(at(part) for item in value.items() for part in item)]
    if isinstance(value, set | frozenset):
        return ["set", *map(at, value)]
    if isinstance(value, datetime):
        return ["date", round(value.timestamp() * 1000)]
    if isinstance(value, BaseException):
        name = value.name if isinstance(value, RemoteError) else type(value).__name__
        return ["error", name if name in _ERRORS else "Error", str(value)]
    if isinstance(value, _Encoded):
        return ["buffer", value.text]
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        return ["view", "Uint8Array", at(_Encoded(content)), 0, len(content)]
    raise TypeError(
        f'Could not serialize object of type "{type(value).__name__}". '
        "This type is not carried over RPC to or from a dispatched Worker."
    )


class _Encoded:
    """The buffer of a view."""

    def __init__(self, content: bytes) -> None:
        self.text = base64.b64encode(content).decode()


class _Decoder:
    """Makes the values of nodes, then lets each hold those that it should."""

    def __init__(self, nodes: list[Any]) -> None:
        self._made = [_made(node) for node in nodes]
        tagged = [(number, node) for number, node in enumerate(nodes) if isinstance(node, list)]
        # A view needs its buffer; nothing needs a view until it is filled.
        for number, node in tagged:
            if node[0] == "view":
                self._made[number] = self._view(*node[1:])
        for number, node in tagged:
            self._fill(self._made[number], node[0], node[1:])

    def value(self) -> Any:
        return self._at(0)

    def _at(self, number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(self._made):
            _malformed()
        return self._made[number]

    def _view(self, kind: Any, number: Any, offset: Any, length: Any) -> Any:
        buffer = self._at(number)
        if not isinstance(buffer, bytes) or type(offset) is not int or type(length) is not int:
            _malformed()
        form = "B" if kind in _BYTES else _FORMATS[kind]
        size = length * struct.calcsize(form)
        if offset < 0 or length < 0 or offset + size > len(buffer):
            _malformed()
        content: Any = buffer[offset : offset + size]
        view: Any = memoryview(content)
        return Buffer(content) if kind in _BYTES else view.cast(form)

    def _fill(self, value: Any, tag: Any, members: list[Any]) -> None:
        if tag == "array":
            value.extend(None if each == _HOLE else self._at(each) for each in members)
        elif tag == "set":
            value.update(self._at(each) for each in members)
        elif tag in ("object", "map"):
            for key, number in zip(members[::2], members[1::2], strict=True):
                if tag == "object" and not isinstance(key, str):
                    _malformed()
                value[key if tag == "object" else self._at(key)] = self._at(number)


def _made(node: Any) -> Any:
    """The value of a node, as far as it is one without the others."""
    if not isinstance(node, list):
        return _malformed() if isinstance(node, dict) else node
    return _MAKERS[node[0]](*node[1:])


def _date(time: Any) -> datetime | None:
    return None if time is None else datetime.fromtimestamp(time / 1000, UTC)


def _regexp(*_: Any) -> NoReturn:
    raise _MalformedError("A RegExp is not carried over RPC to a Python Worker.")


_MAKERS: dict[str, Callable[..., Any]] = {
    "undefined": lambda: None,
    "number": lambda text: _SPECIAL[text],
    "bigint": lambda text: int(text, 16),
    "date": _date,
    "regexp": _regexp,
    "error": lambda name, message: RemoteError(str(name), str(message)),
    "buffer": lambda text: Buffer(base64.b64decode(text, validate=True)),
    "view": lambda *_: None,
    "array": lambda *_: [],
    "object": lambda *_: Record(),
    "map": lambda *_: {},
    "set": lambda *_: set(),
}
