"""The files of a Python Worker's process, from its bundle. `guest/python` reads them."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Literal

from sluice.pb import worker_pb2
from sluice.wire import params
from sluice.wire.errors import Reason, SluiceError

CONFIG = "worker.json"
"""Name of the file that says what the others are."""

_MODULES = "modules"
_DEEPEST = 12
_LONGEST = 255  # bytes of a name in most file systems: path_resolution(7)

Role = Literal["user", "direct"]
"""A user Worker, or a dispatch or Outbound Worker, which the operator wrote."""

_Kind = worker_pb2.Module
_KINDS = {
    _Kind.KIND_PYTHON: "python",
    _Kind.KIND_TEXT: "text",
    _Kind.KIND_DATA: "data",
    _Kind.KIND_JSON: "json",
    _Kind.KIND_WASM: "wasm",
}


def files_of(bundle: worker_pb2.Bundle, role: Role, *, once: bool = False) -> dict[str, bytes]:
    """Each module in the folder `modules`, and `CONFIG`. `once`: the process serves one request.

    Raises `WORKER_LOAD_FAILED` for a module that CPython does not read, or that cannot be a file.
    """
    described: list[dict[str, str]] = []
    contents: dict[str, bytes] = {}
    names = {module.name for module in bundle.modules}
    for module in bundle.modules:
        if why := _refusal(module, names):
            raise SluiceError(Reason.WORKER_LOAD_FAILED, f"{module.name!r}: {why}")
        file = f"{_MODULES}/{module.name}"
        described.append({"name": module.name, "kind": _KINDS[module.kind], "file": file})
        contents[file] = module.content
    config = {
        "role": role,
        "main": bundle.main_module,
        "bindings": {**params.from_struct(bundle.vars), **bundle.secrets},
        "dispatch_namespaces": [binding.binding for binding in bundle.dispatch_namespaces],
        "compatibility_flags": list(bundle.compatibility_flags),
        "compatibility_date": bundle.compatibility_date,
        "modules": described,
        "once": once,
    }
    return {**contents, CONFIG: json.dumps(config).encode()}


def _refusal(module: worker_pb2.Module, names: Container[str]) -> str:
    """Why it is not written. The service writes it, so its name must not lead out of the folder."""
    if module.kind not in _KINDS:
        return f"a {_Kind.Kind.Name(module.kind)} module is not for CPython"
    parts = module.name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return "not a relative path"
    if any(len(part.encode()) > _LONGEST for part in parts) or len(parts) > _DEEPEST:
        return "too long a path"
    if any("/".join(parts[:count]) in names for count in range(1, len(parts))):
        return "another module has the name of its folder"
    return ""
