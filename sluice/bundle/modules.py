"""A Worker's modules: the main one, what it imports, and what the rules add.

A Python Worker has every Python file of its folder, and the packages in `python_modules/` beside
its config (<https://developers.cloudflare.com/workers/languages/python/packages/>).

There is no bundler. A file keeps its path as its name, and an import finds it by that, so a
specifier has its extension, and npm packages are for a build step to put in. What `main` reaches by
string literals is followed; an `import()` of anything else needs `find_additional_modules`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sluice.bundle import python, rules, syntax
from sluice.bundle.config import WorkerConfig
from sluice.bundle.document import ConfigError, shown
from sluice.bundle.validate import MAX_MODULE_BYTES, MAX_MODULES
from sluice.pb.worker_pb2 import Module

BUILD_FIRST = "build first (wrangler deploy --dry-run --outdir dist) and set main to the output"

_OWN_FOLDER = "a Worker in one file has no other; make it a folder with a main.py"
_RUNTIME = ("node:", "cloudflare:", "workerd:")
_NODE_NAMES = """
    assert async_hooks buffer child_process cluster console constants crypto dgram
    diagnostics_channel dns domain events fs http http2 https inspector module net os path
    perf_hooks process punycode querystring readline repl stream string_decoder sys timers tls
    trace_events tty url util v8 vm wasi worker_threads zlib
"""
_NODE = frozenset(_NODE_NAMES.split())
"""What `nodejs_compat` also provides without the `node:`."""

_NEEDS_BUILD = (".ts", ".mts", ".cts", ".tsx", ".jsx")
_VENDORED = "python_modules"
_SKIPPED = frozenset({"node_modules", "__pycache__", _VENDORED})
_NATIVE = (".so", ".pyd", ".pyc")


def collect(config: WorkerConfig) -> tuple[str, list[Module]]:
    """Name of the main module, and all modules by name. Raises `ConfigError` naming the file."""
    found = _Files(config)
    kind = found.add_main()
    if kind in (Module.KIND_ES_MODULE, Module.KIND_COMMON_JS):
        found.follow(config.main, kind)
    if config.find_additional_modules and kind != Module.KIND_SERVICE_WORKER:
        found.search()
        if kind == Module.KIND_PYTHON:
            found.add_vendored()
    if kind == Module.KIND_PYTHON:
        found.check_python()
    modules = sorted(found.modules(), key=lambda module: module.name)
    return found.name(config.main), modules


class _Files:
    """The files that are modules, by path, with their kinds and contents."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._project = config.path.parent
        self._base = Path(os.path.normpath(config.base_dir or config.main.parent))
        self._vendored = _normal(self._project / _VENDORED)
        self._rules = rules.effective(config.rules)
        self._found: dict[Path, tuple[Module.Kind, bytes]] = {}
        self._size = 0

    def add_main(self) -> Module.Kind:
        main = self._config.main
        where = f"{shown(self._config.path)}: main"
        if main.suffix in _NEEDS_BUILD:
            raise ConfigError(f"{where}: {main.name} is not JavaScript; {BUILD_FIRST}")
        if not _is_file(main):
            raise ConfigError(f"{where}: there is no file {self._shown(main)}")
        if main.suffix == ".py":
            kind = Module.KIND_PYTHON
        elif main.suffix in (".js", ".mjs"):
            kind = self._script_kind(main)
        else:
            raise ConfigError(f"{where}: {main.name}: expected a .js, .mjs or .py file")
        self._add(main, kind)
        return kind

    def follow(self, path: Path, kind: Module.Kind) -> None:
        """Add what the script at `path` imports, and what that imports."""
        waiting = [(path, kind)]
        while waiting:
            path, kind = waiting.pop()
            for target in self._imported(path, kind):
                if target in self._found:
                    continue
                target_kind = self._kind_of(target)
                self._add(target, target_kind)
                if target_kind in (Module.KIND_ES_MODULE, Module.KIND_COMMON_JS):
                    waiting.append((target, target_kind))

    def search(self) -> None:
        """Add every file below the base folder that the rules match."""
        for path in _files_below(self._base):
            kind = rules.matched(path.relative_to(self._base).as_posix(), self._rules)
            if kind is not None and path not in self._found:
                self._add(path, kind)

    def add_vendored(self) -> None:
        """Add the packages beside the config: their sources and their data, no native code."""
        for path in _files_below(self._vendored):
            if path.suffix not in _NATIVE:
                is_python = path.suffix == ".py"
                self._add(path, Module.KIND_PYTHON if is_python else Module.KIND_DATA)

    def check_python(self) -> None:
        """Refuse a file of the Worker's own that cannot be read, or imports what is not there."""
        bundled = self._importable()
        remedy = _OWN_FOLDER if self._is_one_file() else python.VENDOR
        for path, (kind, content) in self._found.items():
            if kind == Module.KIND_PYTHON and not path.is_relative_to(self._vendored):
                problem = python.first_problem(content, bundled, remedy)
                if problem:
                    raise ConfigError(f"{self._shown(path)}:{problem.line}: {problem.what}")

    def modules(self) -> Iterator[Module]:
        for path, (kind, content) in self._found.items():
            yield Module(name=self.name(path), kind=kind, content=content)

    def name(self, path: Path) -> str:
        """A path relative to the base folder, or to the folder that holds all the modules."""
        path = _normal(path)
        if path.is_relative_to(self._vendored):
            return path.relative_to(self._vendored.parent).as_posix()
        own = [found.parent for found in self._found if not found.is_relative_to(self._vendored)]
        return path.relative_to(os.path.commonpath([self._base, *own])).as_posix()

    def _importable(self) -> set[str]:
        """The top-level names that a Python Worker's files are imported by."""
        roots = (self._vendored, _normal(self._config.main.parent), self._base)
        return {
            path.relative_to(root).parts[0].removesuffix(".py")
            for path in self._found
            for root in roots
            if path.is_relative_to(root)
        }

    def _is_one_file(self) -> bool:
        return not self._config.find_additional_modules and self._config.path == self._config.main

    def _script_kind(self, main: Path) -> Module.Kind:
        """ES module or service worker, by what wrangler goes by: whether there is an export."""
        found = syntax.read(self._read(main))
        if found.exports:
            return Module.KIND_ES_MODULE
        if any(not imported.optional for imported in found.imports):
            raise ConfigError(
                f"{self._shown(main)}: imports and exports nothing: service-worker syntax cannot "
                f"import; {BUILD_FIRST}, or export default {{ fetch }}"
            )
        return Module.KIND_SERVICE_WORKER

    def _kind_of(self, path: Path) -> Module.Kind:
        if path.suffix in _NEEDS_BUILD:
            raise ConfigError(f"{self._shown(path)}: not JavaScript; {BUILD_FIRST}")
        name = Path(os.path.relpath(path, self._base)).as_posix()
        kind = rules.matched(name, self._rules) or rules.by_suffix(name)
        if kind is None:
            raise ConfigError(
                f"{self._shown(path)}: no rule says what kind of module this is; "
                "add [[rules]] to the config"
            )
        return kind

    def _imported(self, path: Path, kind: Module.Kind) -> Iterator[Path]:
        found = syntax.read(self._found[_normal(path)][1])
        for imported in found.requires if kind == Module.KIND_COMMON_JS else found.imports:
            specifier = imported.specifier
            if specifier.startswith(_RUNTIME):
                continue
            # The runtime resolves a leading slash at the folder that names the modules.
            folder = self._base if specifier.startswith("/") else path.parent
            target = _normal(folder / specifier.lstrip("/"))
            if _is_file(target):
                yield target
            elif not imported.optional:
                self._refuse(imported, target, path)

    def _refuse(self, imported: syntax.Import, target: Path, path: Path) -> None:
        specifier = imported.specifier
        where = f"{self._shown(path)}:{imported.line}: imports {specifier!r}"
        if specifier.startswith((".", "/")):
            for suffix in (".js", ".mjs", "/index.js"):
                if _is_file(Path(f"{target}{suffix}")):
                    raise ConfigError(f"{where}; write {specifier + suffix!r}")
            raise ConfigError(f"{where}, and there is no such file")
        if specifier.split("/")[0] not in _NODE:
            raise ConfigError(f"{where}, a package; Sluice does not bundle: {BUILD_FIRST}")

    def _add(self, path: Path, kind: Module.Kind) -> None:
        if len(self._found) == MAX_MODULES:
            raise ConfigError(f"{self._shown(path)}: over the limit of {MAX_MODULES} modules")
        content = self._read(path)
        self._size += len(content)
        self._found[_normal(path)] = (kind, content)

    def _read(self, path: Path) -> bytes:
        if not path.resolve().is_relative_to(self._project.resolve()):
            raise ConfigError(
                f"{self._shown(path)}: outside {self._project.name}/, the Worker's folder"
            )
        left = MAX_MODULE_BYTES - self._size
        with path.open("rb") as file:
            content = file.read(left + 1)
        if len(content) > left:
            raise ConfigError(
                f"{self._shown(path)}: the modules are over the limit of {MAX_MODULE_BYTES} bytes"
            )
        return content

    def _shown(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._project.parent)).as_posix()


def _files_below(root: Path) -> Iterator[Path]:
    """Every file, in order, but what no Worker has among its modules."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and f[0] != ".")
        yield from (Path(folder, file) for file in sorted(files) if file[0] != ".")


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _is_file(path: Path) -> bool:
    """Whether there is such a file. None has a name that is too long for one."""
    try:
        return path.is_file()
    except OSError:
        return False
