"""The files of a Python Worker's process, from its bundle. `guest/python` reads them."""

from __future__ import annotations

import json
from typing import Literal

from sluice.pb import worker_pb2
from sluice.wire import params
from sluice.wire.errors import Reason, SluiceError

CONFIG = "worker.json"
"""Name of the file that says what the others are."""

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
    """A file for each module, and `CONFIG`. `once` is for a process that serves one request.

    Raises `WORKER_LOAD_FAILED` for a module that CPython does not read.
    """
    described: list[dict[str, str]] = []
    contents: dict[str, bytes] = {}
    for number, module in enumerate(bundle.modules):
        if module.kind not in _KINDS:
            raise SluiceError(
                Reason.WORKER_LOAD_FAILED,
                f"{module.name}: a {_Kind.Kind.Name(module.kind)} module is not for CPython",
            )
        file = f"m{number}"
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
