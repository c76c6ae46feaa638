"""The workerd configuration of one Worker: text and files, from its bundle.

A user Worker runs behind the gate: the process's configured worker is `guest/gate.js`, which loads
the Worker into an isolate without an outbound of its own (docs/architecture.md, "The gate"). A
dispatch Worker or an Outbound Worker is the operator's own code and is configured directly.

Config schema: `workerd.capnp` of the workerd package. `http.style = proxy` on both sockets keeps
the absolute URL on the request line, so `https:` and ports survive.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from sluice.isolate.folder import EGRESS_SOCKET
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.zygote import LISTENER
from sluice.pb import worker_pb2
from sluice.wire import params
from sluice.wire.errors import Reason, SluiceError

CONFIG = "config.capnp"
"""Name of the config file among a process's files."""

_HOST_DATE = "2026-01-01"
_HOST_FLAGS = ["nodejs_compat", "experimental"]
_GUEST = ["clone", "rpc", "websocket", "shim"]
_PACKAGES = {
    ("Linux", "x86_64"): "workerd-linux-64",
    ("Linux", "aarch64"): "workerd-linux-arm64",
    ("Darwin", "arm64"): "workerd-darwin-arm64",
    ("Darwin", "x86_64"): "workerd-darwin-64",
}
_Kind = worker_pb2.Module
_LOADER_KEYS = {
    _Kind.KIND_ES_MODULE: ("js", "text"),
    _Kind.KIND_SERVICE_WORKER: ("cjs", "text"),
    _Kind.KIND_COMMON_JS: ("cjs", "text"),
    _Kind.KIND_TEXT: ("text", "text"),
    _Kind.KIND_DATA: ("data", "data"),
    _Kind.KIND_JSON: ("json", "json"),
    _Kind.KIND_WASM: ("wasm", "data"),
}
_CONFIG_KEYS = {
    _Kind.KIND_ES_MODULE: "esModule",
    _Kind.KIND_SERVICE_WORKER: "commonJsModule",
    _Kind.KIND_COMMON_JS: "commonJsModule",
    _Kind.KIND_TEXT: "text",
    _Kind.KIND_DATA: "data",
    _Kind.KIND_JSON: "json",
    _Kind.KIND_WASM: "wasm",
}


def find_workerd(variables: Mapping[str, str]) -> Path:
    """The workerd executable: `SLUICE_WORKERD`, else the npm package's, else the one on `PATH`."""
    if named := variables.get("SLUICE_WORKERD"):
        return Path(named)
    package = _PACKAGES.get((platform.system(), platform.machine()))
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        found = root / "node_modules" / "@cloudflare" / str(package) / "bin" / "workerd"
        if found.is_file():
            return found
    if on_path := shutil.which("workerd", path=variables.get("PATH", os.defpath)):
        return Path(on_path)
    raise FileNotFoundError("no workerd: run `make setup`, or name one in SLUICE_WORKERD")


def user_config(bundle: worker_pb2.Bundle, runtime: Runtime) -> dict[str, bytes]:
    """Files for a user Worker behind the gate."""
    modules = _with_guest_modules(bundle, "entrypoint(user)", export="const Entry", guest=_GUEST)
    worker = {
        "compatibilityDate": bundle.compatibility_date,
        "compatibilityFlags": _flags(bundle),
        "mainModule": "__sluice_entry.js",
        "env": _env(bundle),
    }
    described, bindings = [], []
    contents: dict[str, bytes] = {}
    for number, module in enumerate(modules):
        key, binding_type = _LOADER_KEYS[module.kind]
        described.append({"name": module.name, "kind": key, "binding": f"M{number}"})
        bindings.append(f'(name = "M{number}", {binding_type} = embed "m{number}")')
        contents[f"m{number}"] = module.content
    bindings += [
        '(name = "LOADER", workerLoader = ())',
        '(name = "WORKER", json = embed "worker.json")',
        '(name = "MODULES", json = embed "modules.json")',
    ]
    contents["worker.json"] = json.dumps(worker).encode()
    contents["modules.json"] = json.dumps(described).encode()
    contents["gate.js"] = _guest("gate.js")
    main = '(name = "gate.js", esModule = embed "gate.js")'
    return {**contents, CONFIG: _capnp(main, _HOST_DATE, _HOST_FLAGS, bindings, runtime)}


def direct_config(bundle: worker_pb2.Bundle, runtime: Runtime) -> dict[str, bytes]:
    """Files for a dispatch Worker or an Outbound Worker."""
    namespaces = [binding.binding for binding in bundle.dispatch_namespaces]
    modules = _with_guest_modules(
        bundle,
        f"handler(user, {json.dumps(namespaces)})",
        export="default",
        guest=[*_GUEST, "direct"],
    )
    contents, entries, bindings = {}, [], []
    for number, module in enumerate(modules):
        key = _CONFIG_KEYS[module.kind]
        entries.append(f'(name = {_text(module.name)}, {key} = embed "m{number}")')
        contents[f"m{number}"] = module.content
    for number, (name, value) in enumerate(_env(bundle).items()):
        contents[f"v{number}"] = json.dumps(value).encode()
        bindings.append(f'(name = {_text(name)}, json = embed "v{number}")')
    config = _capnp(
        ",\n    ".join(entries), bundle.compatibility_date, _flags(bundle), bindings, runtime
    )
    return {**contents, CONFIG: config}


def _with_guest_modules(
    bundle: worker_pb2.Bundle, call: str, *, export: str, guest: list[str]
) -> Iterator[worker_pb2.Module]:
    """The entry module, the guest's modules and the Worker's; the entry first."""
    main = next(module for module in bundle.modules if module.name == bundle.main_module)
    globals_first = main.kind == _Kind.KIND_SERVICE_WORKER
    export_line = f"export default {call};" if export == "default" else f"export {export} = {call};"
    entry = "\n".join(
        [
            'import "./__sluice_shim.js";',
            'import "./__sluice_websocket.js";',
            'import "./__sluice_globals.js";' if globals_first else "",
            f"import * as user from {json.dumps('./' + bundle.main_module)};",
            f'import {{ {call.split("(")[0]} }} from "./__sluice_{guest[-1]}.js";',
            export_line,
        ]
    )
    yield _es_module("entry", entry.encode())
    for name in guest:
        yield _es_module(name, _guest(f"{name}.js"))
    if globals_first:
        yield _es_module("globals", _guest("globals.js"))
    for module in bundle.modules:
        if module.kind not in _LOADER_KEYS:
            raise SluiceError(
                Reason.WORKER_LOAD_FAILED,
                f"{module.name}: a {_Kind.Kind.Name(module.kind)} module is not for workerd",
            )
        yield module


def _es_module(name: str, content: bytes) -> worker_pb2.Module:
    return worker_pb2.Module(name=f"__sluice_{name}.js", kind=_Kind.KIND_ES_MODULE, content=content)


def _guest(name: str) -> bytes:
    return (files("sluice.isolate") / "guest" / name).read_bytes()


def _flags(bundle: worker_pb2.Bundle) -> list[str]:
    """The Worker's flags, and the one that the shim needs."""
    flags = list(bundle.compatibility_flags)
    return flags if {"nodejs_compat", "nodejs_als"} & set(flags) else [*flags, "nodejs_als"]


def _env(bundle: worker_pb2.Bundle) -> dict[str, object]:
    return {**params.from_struct(bundle.vars), **bundle.secrets}


def _text(value: str) -> str:
    """A Cap'n Proto text literal; its escapes are C's, of which JSON's ASCII form uses a part."""
    return (
        '"'
        + "".join(
            c
            if c.isascii() and c.isprintable() and c not in '"\\'
            else "".join(f"\\x{byte:02x}" for byte in c.encode())
            for c in value
        )
        + '"'
    )


def _capnp(
    modules: str, date: str, flags: list[str], bindings: list[str], runtime: Runtime
) -> bytes:
    return f"""using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = (
      modules = [{modules}],
      compatibilityDate = {_text(date)},
      compatibilityFlags = [{", ".join(map(_text, flags))}],
      bindings = [{", ".join(bindings)}],
      globalOutbound = "internet")),
    # Named "internet" so that the implicit public network service does not exist.
    (name = "internet", external = (address = "unix:{EGRESS_SOCKET}", http = (style = proxy))),
  ],
  # Without a cfBlobHeader, request.cf would tell the Worker who its host is.
  sockets = [(name = "in", http = (style = proxy, cfBlobHeader = "x-sluice-cf"),
    service = "worker")],
  v8Flags = ["--max-heap-size={runtime.heap_bytes // 2**20}"],
);
""".encode()


def arguments(runtime: Runtime) -> list[str]:
    """Command line of a process that serves its folder's config on descriptor `LISTENER`."""
    return [
        str(runtime.executable),
        "serve",
        "--experimental",
        CONFIG,
        f"--socket-fd=in={LISTENER}",
    ]
