"""The Worker: its bundle, its main module, and the call of its handler."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice_guest import trace
from workers.bindings import Env
from workers.context import Context
from workers.record import recorded
from workers.request import Request


@dataclass(frozen=True, slots=True)
class Description:
    """What `worker.json` says."""

    main: str
    """The main module, relative to the folder of the bundle's files."""

    bindings: dict[str, Any] = field(repr=False)
    dispatch_namespaces: tuple[str, ...]
    once: bool
    """Whether the process is to end with its first invocation."""

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read the file in `folder`."""
        said = json.loads((folder / "worker.json").read_bytes())
        return cls(
            main=said["main"],
            bindings=recorded(said["bindings"]),
            dispatch_namespaces=tuple(said["dispatch_namespaces"]),
            once=said.get("once", False),
        )


class LoadError(Exception):
    """The Worker's code cannot be loaded. The message says why, with file and line."""


class Worker:
    """A main module, loaded."""

    def __init__(self, module: Any) -> None:
        self._module = module
        if not callable(getattr(module, "Default", None) or getattr(module, "on_fetch", None)):
            raise LoadError(
                "no entrypoint: define `class Default(WorkerEntrypoint)` with a method `fetch`, or "
                "a function `on_fetch`."
            )

    @property
    def default(self) -> Any:
        """The class of the default entrypoint; `None` where `on_fetch` is the handler."""
        return getattr(self._module, "Default", None)

    def entrypoint(self, ctx: Context, env: Env) -> Any:
        """Make the default entrypoint of one request; `None` where `on_fetch` is the handler."""
        return None if self.default is None else self.default(ctx, env)

    async def respond(self, request: Request, env: Env, ctx: Context) -> Any:
        """Call the handler. Returns what it returns, awaited where it must be."""
        if self.default is None:
            handler = self._module.on_fetch
        else:
            handler = getattr(self.entrypoint(ctx, env), "fetch", None)
            if not callable(handler):
                raise TypeError("Handler does not export a fetch() function.")
        result = call_relaxed(handler, request, env, ctx)
        return await result if inspect.isawaitable(result) else result


def call_relaxed(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with as many of the arguments as it takes, as Cloudflare does."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return call_relaxed(function, *arguments[:-1]) if arguments else function()
    return function(*arguments)


def load(folder: Path, main: str) -> Worker:
    """Import the main module. Raises `LoadError` for whatever it raises."""
    modules = folder / trace.MODULES
    path = modules / main
    roots = [str(root) for root in dict.fromkeys((path.parent, modules))]
    sys.path[:] = [*roots, str(modules / "python_modules"), *_standard_library()]
    try:
        return Worker(_imported(path))
    except LoadError as error:
        raise LoadError(f"{main}: {error}") from None
    except BaseException as error:
        trace.show(error)
        name = type(error).__name__
        where, said = trace.place(error) or f"{main}: ", _said(error)
        raise LoadError(f"{where}{name}: {said}" if said else f"{where}{name}") from error


def _imported(path: Path) -> Any:
    # A main module may be called like one of the standard library; it is imported by nobody.
    name = f"worker_{path.stem}" if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _said(error: BaseException) -> str:
    return str(error.msg) if isinstance(error, SyntaxError) else str(error)


def _standard_library() -> list[str]:
    """Of the import path, what every Python has. The host's packages are not the Worker's."""
    roots = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return [
        path
        for path in sys.path
        if path.endswith(".zip") or path in roots or Path(path).name == "lib-dynload"
    ]
