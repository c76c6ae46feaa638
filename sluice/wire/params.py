"""The params object: JSON values chosen by the dispatch Worker, carried as `Struct`.

Checked where `get()` is received, and again by a service that is called directly. A `Struct` makes
every number a double; integral ones are given back as integers.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

from google.protobuf import struct_pb2

from sluice.wire.errors import Reason, SluiceError

Json: TypeAlias = Any

MAX_BYTES = 16 * 1024
"""Most bytes of the params object as compact JSON."""

MAX_DEPTH = 32
"""Most levels of objects and arrays, the params object itself being the first."""

_SURELY_SMALL = 4 * MAX_DEPTH
"""A `Struct` of fewer bytes cannot break a limit: a level costs at least four bytes of it, and its
JSON is no more than a few times as long."""


def to_struct(value: dict[str, Json], *, name: str = "params") -> struct_pb2.Struct:
    """The `Struct` of a JSON object. Raises `INVALID_PARAMS` that names the key at fault."""
    for key, member in value.items():
        _check_depth(member, 2, f"{name}.{key}")
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        largest = max(value, key=lambda key: len(json.dumps(value[key])))
        raise SluiceError(
            Reason.INVALID_PARAMS,
            f"{name}: {size} bytes of JSON, over the limit of {MAX_BYTES}; "
            f"the largest member is {largest!r}",
            key=largest,
        )
    struct = struct_pb2.Struct()
    try:
        struct.update(value)
    except (ValueError, UnicodeEncodeError) as error:
        raise SluiceError(Reason.INVALID_PARAMS, f"{name}: {error}") from error
    return struct


def check(struct: struct_pb2.Struct, *, name: str = "params") -> None:
    """Raise `INVALID_PARAMS` where a `Struct` that came over gRPC is over a limit."""
    if struct.ByteSize() > _SURELY_SMALL:
        to_struct(from_struct(struct), name=name)


def from_struct(struct: struct_pb2.Struct) -> dict[str, Json]:
    """The JSON object of a `Struct`, integral doubles as integers.

    Raises `INVALID_PARAMS` for a number that JSON has not: `Struct`'s own rule.
    """
    return {key: _from_value(value) for key, value in struct.fields.items()}


def as_env(params: dict[str, Json], reserved: set[str]) -> dict[str, Json]:
    """What the Outbound Worker finds in `env`.

    Each param, and each member of a param that is an object, unless the name is `reserved` (a
    binding of its own) or a param's.
    """
    env: dict[str, Json] = {}
    for value in params.values():
        if isinstance(value, dict):
            env.update((key, member) for key, member in value.items() if key not in reserved)
    env.update(params)
    return env


def _check_depth(value: Json, depth: int, where: str) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > MAX_DEPTH:
        raise SluiceError(
            Reason.INVALID_PARAMS,
            f"{where}: nested more than {MAX_DEPTH} levels deep",
            key=where.split(".", 2)[1] if "." in where else where,
        )
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, depth + 1, where)


def _from_value(value: struct_pb2.Value) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _from_number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(member) for member in value.list_value.values]
        case _:
            return None


def _from_number(number: float) -> float:
    if not math.isfinite(number):
        raise SluiceError(Reason.INVALID_PARAMS, f"{number} is no number of JSON")
    return int(number) if number.is_integer() and abs(number) <= 2**53 else number
