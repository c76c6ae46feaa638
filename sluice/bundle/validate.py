"""What a bundle and a name must be, wherever they come from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import TypeVar

from google.protobuf import struct_pb2

from sluice.pb import worker_pb2
from sluice.wire import egress, params
from sluice.wire.errors import Reason, SluiceError

MAX_MODULES = 1000
"""Most modules of one Worker."""

MAX_MODULE_BYTES = 64 * 1024 * 1024
"""Most bytes of all modules together (Workers limits: 64 MiB)."""

MAX_SETTING_BYTES = 1024 * 1024
"""Most bytes of everything else: vars, secrets, flags, bindings, module names."""

RESERVED = "__sluice"
"""What names of Sluice's own modules and bindings begin with."""

T = TypeVar("T")

_Module = worker_pb2.Module
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_BINDING = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}")
_FLAG = re.compile(r"[a-z0-9_]{1,128}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")

_MAIN = frozenset({_Module.KIND_ES_MODULE, _Module.KIND_SERVICE_WORKER, _Module.KIND_PYTHON})
_SCRIPT = frozenset({_Module.KIND_ES_MODULE, _Module.KIND_COMMON_JS, _Module.KIND_SERVICE_WORKER})


def validate(bundle: worker_pb2.Bundle) -> None:
    """Raise `INVALID_BUNDLE`, naming what is wrong and where, unless `bundle` can be a Worker."""
    for find in (_size, _modules, _main, _settings, _bindings, _outbounds, _egress):
        for problem in find(bundle):
            raise SluiceError(Reason.INVALID_BUNDLE, problem)


def is_name(text: str) -> bool:
    """Whether `text` can name a Worker."""
    return _NAME.fullmatch(text) is not None


def is_namespace(text: str) -> bool:
    """Whether `text` can name a dispatch namespace."""
    return _NAMESPACE.fullmatch(text) is not None


def check_name(name: str, what: str) -> None:
    """Raise `INVALID_REQUEST` unless `name` can name a Worker; `what` is the field it came in."""
    if not is_name(name):
        raise SluiceError(
            Reason.INVALID_REQUEST,
            f"{what}: {name[:80]!r} is no Worker name: expected 1 to 64 of letters, digits, "
            "'-', '_' and '.', beginning with a letter, digit or '_'",
        )


def check_namespace(name: str, what: str) -> None:
    """Raise `INVALID_REQUEST` unless `name` can name a dispatch namespace."""
    if not is_namespace(name):
        raise SluiceError(
            Reason.INVALID_REQUEST,
            f"{what}: {name[:80]!r} is no namespace name: expected 1 to 64 of a-z, 0-9, "
            "'-' and '_', beginning with a letter or digit",
        )


def is_date(text: str) -> bool:
    """Whether `text` is a date of the calendar, `YYYY-MM-DD`."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _size(bundle: worker_pb2.Bundle) -> Iterator[str]:
    if len(bundle.modules) > MAX_MODULES:
        yield f"modules: {len(bundle.modules)} of them, over the limit of {MAX_MODULES}"
    size = sum(len(module.content) for module in bundle.modules)
    if size > MAX_MODULE_BYTES:
        largest = max(bundle.modules, key=lambda module: len(module.content)).name
        yield (
            f"modules: {size} bytes, over the limit of {MAX_MODULE_BYTES}; "
            f"the largest is {largest!r}"
        )
    rest = bundle.ByteSize() - size
    if rest > MAX_SETTING_BYTES:
        yield f"vars, secrets and names: {rest} bytes, over the limit of {MAX_SETTING_BYTES}"


def _main(bundle: worker_pb2.Bundle) -> Iterator[str]:
    if not bundle.modules:
        yield "modules: there are none"
    kinds = {module.name: module.kind for module in bundle.modules}
    if bundle.main_module not in kinds:
        yield f"main_module: there is no module {bundle.main_module[:200]!r}"
    main = kinds[bundle.main_module]
    if main not in _MAIN:
        yield (
            f"main_module: {bundle.main_module!r} is {_kind(main)}; "
            "expected an ES module, a service worker or a Python module"
        )
    foreign = _SCRIPT if main == _Module.KIND_PYTHON else {_Module.KIND_PYTHON}
    for name, kind in kinds.items():
        if kind in foreign:
            yield f"modules[{name!r}]: {_kind(kind)} in a Worker whose main module is {_kind(main)}"
        if kind == _Module.KIND_SERVICE_WORKER and name != bundle.main_module:
            yield f"modules[{name!r}]: only the main module may be in service-worker syntax"


def _modules(bundle: worker_pb2.Bundle) -> Iterator[str]:
    seen: set[str] = set()
    folders: set[str] = set()
    for module in bundle.modules:
        where = f"modules[{module.name[:200]!r}]"
        problem = _path_problem(module.name) or _content_problem(module)
        if problem:
            yield f"{where}: {problem}"
        if module.name in seen:
            yield f"{where}: there are two of that name"
        seen.add(module.name)
        parts = module.name.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    for name in seen & folders:
        yield f"modules[{name!r}]: another module has this name as its folder"


def _path_problem(name: str) -> str | None:
    parts = name.split("/")
    if not name or name.startswith("/"):
        return "expected a path relative to the main module's folder"
    if len(name) > 1024 or any(len(part.encode(errors="replace")) > 255 for part in parts):
        return "the name is too long"
    if _UNPRINTABLE.search(name):
        return "the name has a backslash or a control character"
    if any(part in ("", ".", "..") for part in parts):
        return "the name has an empty, '.' or '..' part"
    if name.startswith(RESERVED):
        return f"names that begin with {RESERVED} are reserved"
    return None


def _content_problem(module: worker_pb2.Module) -> str | None:
    match module.kind:
        case _Module.KIND_UNSPECIFIED:
            return "kind is not set"
        case _Module.KIND_DATA:
            return None
        case _Module.KIND_WASM:
            return None if module.content[:4] == b"\0asm" else "not WebAssembly"
    if module.kind not in _Module.Kind.values():
        return f"kind {module.kind} is unknown"
    try:
        text = module.content.decode()
        if module.kind == _Module.KIND_JSON:
            json.loads(text)
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return None


def _settings(bundle: worker_pb2.Bundle) -> Iterator[str]:
    if not is_date(bundle.compatibility_date):
        yield (
            "compatibility_date: expected a date, YYYY-MM-DD, "
            f"got {bundle.compatibility_date[:80]!r}"
        )
    for flag in bundle.compatibility_flags:
        if not _FLAG.fullmatch(flag):
            yield f"compatibility_flags: {flag[:80]!r} is no flag"
    for limit in ("cpu_ms", "subrequests"):
        if bundle.limits.HasField(limit) and not getattr(bundle.limits, limit):
            yield f"limits.{limit}: expected a number from 1"


def _bindings(bundle: worker_pb2.Bundle) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, what in _bound(bundle):
        if not _BINDING.fullmatch(name):
            yield (
                f"{what}: {name[:80]!r} is no binding name: expected letters, digits, '_' and '$', "
                "not beginning with a digit"
            )
        if name.startswith(RESERVED) or name == "__proto__":
            yield f"{what}: {name!r} is reserved"
        if name in seen:
            yield f"{what}: {name!r} is also the name of a binding in {seen[name]}"
        seen[name] = what
    for name, value in bundle.vars.fields.items():
        problem = _value_problem(value, 1)
        if problem:
            yield f"vars.{name}: {problem}"


def _bound(bundle: worker_pb2.Bundle) -> Iterator[tuple[str, str]]:
    """Each name in `env`, and what puts it there."""
    yield from ((name, "vars") for name in bundle.vars.fields)
    yield from ((name, "secrets") for name in bundle.secrets)
    yield from ((bound.binding, "dispatch_namespaces") for bound in bundle.dispatch_namespaces)


def _outbounds(bundle: worker_pb2.Bundle) -> Iterator[str]:
    for bound in bundle.dispatch_namespaces:
        where = f"dispatch_namespaces[{bound.binding!r}]"
        yield from _checked(
            check_namespace, bound.dispatch_namespace, f"{where}.dispatch_namespace"
        )
        parameters = list(bound.outbound_parameters)
        if bound.outbound_service:
            yield from _checked(check_name, bound.outbound_service, f"{where}.outbound_service")
        elif parameters:
            yield f"{where}.outbound_parameters: there is no outbound_service to get them"
        for name in parameters:
            if not name or len(name) > 128 or name == "__proto__":
                yield f"{where}.outbound_parameters: {name[:80]!r} is no parameter name"
            if parameters.count(name) > 1:
                yield f"{where}.outbound_parameters: {name!r} is named twice"


def _egress(bundle: worker_pb2.Bundle) -> Iterator[str]:
    for bound in bundle.dispatch_namespaces:
        where = f"dispatch_namespaces[{bound.binding!r}].egress"
        yield from _checked(egress.check, bound.egress, where)


def _checked(check: Callable[[T, str], None], value: T, what: str) -> Iterator[str]:
    try:
        check(value, what)
    except SluiceError as error:
        yield error.message


def _value_problem(value: struct_pb2.Value, depth: int) -> str | None:
    if depth > params.MAX_DEPTH:
        return f"nested more than {params.MAX_DEPTH} levels deep"
    match value.WhichOneof("kind"):
        case "struct_value":
            members = list(value.struct_value.fields.values())
        case "list_value":
            members = list(value.list_value.values)
        case "number_value" if not math.isfinite(value.number_value):
            return f"{value.number_value} is no JSON number"
        case _:
            return None
    return next(filter(None, (_value_problem(member, depth + 1) for member in members)), None)


def _kind(kind: worker_pb2.Module.Kind) -> str:
    return _Module.Kind.Name(kind) if kind in _Module.Kind.values() else f"kind {kind}"
