"""What happens at imports: libraries that are changed, and modules that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from workers import asgi

Patch = Callable[[ModuleType], None]

_FFI = (
    "there is no JavaScript in this isolate. Use the `workers` module: Response, Request, Headers, "
    "fetch, FormData, Blob, WebSocketPair, env. See docs/python-workers.md"
)
_FRAMEWORK = (
    "there is no adapter for WSGI. `asgi` is there; or handle the request in `Default.fetch`"
)
ABSENT: Mapping[str, str] = {
    "js": _FFI,
    "pyodide": _FFI,
    "pyodide_js": _FFI,
    "_pyodide": _FFI,
    "_pyodide_entrypoint_helper": _FFI,
    "_cloudflare_compat_flags": _FFI,
    "wsgi": _FRAMEWORK,
    "workers.wsgi": _FRAMEWORK,
    "workers.workflows": "there are no Workflows. Do the work in `fetch` and `ctx.wait_until`",
}
"""Modules of Cloudflare's Python Workers that are not here, and what to use."""


def install(patches: Mapping[str, Patch]) -> None:
    """Change the modules that `patches` names right after they are imported; refuse `ABSENT`."""
    sys.meta_path.insert(0, _Patching(patches))
    sys.meta_path += [_Asgi(), _Refusing()]


class _Patching(MetaPathFinder):
    def __init__(self, patches: Mapping[str, Patch]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._patches:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, self._patches[fullname])
        return spec


class _PatchingLoader(Loader):
    """Another loader, and a change to the module that it loads."""

    def __init__(self, loader: Loader, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


class _Asgi(MetaPathFinder, Loader):
    """`import asgi`, unless the bundle has a module of that name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == "asgi" else None

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update({name: getattr(asgi, name) for name in asgi.__all__})


class _Refusing(MetaPathFinder):
    """Last: the bundle may have a module of such a name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if words := ABSENT.get(fullname):
            raise ModuleNotFoundError(f"No module named {fullname!r}: {words}.", name=fullname)
