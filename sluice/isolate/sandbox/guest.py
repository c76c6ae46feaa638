"""The Python server that Workers run in: where it is, and how the zygote takes it in."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from sluice.isolate.sandbox.kernel import LIBC
from sluice.isolate.sandbox.libraries import libraries

Run = Callable[[str, int, int], None]
"""`sluice_guest.main.run`: serves the folder's Worker until the process ends.

Takes the descriptors of the listening socket and of the one to the broker.
"""

_FOLDER = Path(__file__).resolve().parents[1] / "guest" / "python"
_PYTHON = Path(sys.executable).resolve()
_EXTENSIONS = ("_ctypes", "_ssl", "_sqlite3", "zlib", "_bz2", "_lzma", "_uuid")
_TIME_ZONES = Path("/usr/share/zoneinfo")
_STACK = 2 << 20
_M_ARENA_MAX = -8
_SHARED = "libc.so"  # what is beside it is the system's libraries


@dataclass(frozen=True, slots=True)
class Guest:
    """What a Python Worker's process is made of, apart from the Worker."""

    paths: tuple[str, ...]
    """Folders that its packages are imported from: ours, and what that needs."""

    read_only: tuple[str, ...]
    """Files and folders of the interpreter, which Workers may read."""

    def command(self) -> list[str]:
        """A command line, for where the process cannot be the zygote's fork."""
        steps = [
            "import ctypes, sys, threading",
            f"sys.path[:0] = {list(self.paths)!r}",
            "import sluice_guest.main as main",
            "del sys.path[:2]",
            f"threading.stack_size({_STACK})",  # as `_save_space`
            f"getattr(ctypes.CDLL(None), 'mallopt', print)({_M_ARENA_MAX}, 1)",
            "main.run('.', 3, 4)",
        ]
        return [str(_PYTHON), "-I", "-S", "-X", "utf8", "-u", "-c", "; ".join(steps)]


def find_guest() -> Guest:
    """Look the interpreter and the packages up. Takes a tenth of a second, on a thread."""
    aiohttp = importlib.util.find_spec("aiohttp")
    if aiohttp is None or aiohttp.origin is None:
        raise FileNotFoundError("aiohttp is not installed")
    specs = [importlib.util.find_spec(name) for name in _EXTENSIONS]
    extensions = [
        spec.origin for spec in specs if spec and spec.origin and Path(spec.origin).is_file()
    ]
    linked = libraries(_PYTHON, *extensions) if sys.platform == "linux" else ()
    needed = [str(_PYTHON), str(Path(os.__file__).parent)]
    needed += [str(Path(extension).parent) for extension in extensions]
    needed += [str(Path(path).parent) for path in linked if Path(path).name.startswith(_SHARED)]
    needed += [*linked, str(_TIME_ZONES)]
    read_only = tuple(path for path in dict.fromkeys(needed) if Path(path).exists())
    return Guest((str(_FOLDER), str(Path(aiohttp.origin).parents[1])), read_only)


def load(paths: Sequence[str]) -> tuple[Run, list[str]]:
    """In the zygote: import the server. Gives it, and what it was loaded from.

    Afterwards the import path is the standard library's: of what else is installed a Worker sees
    only what the server needed.
    """
    standard = sys.path[1:]  # the first is where the zygote itself came from
    sys.path[:] = [*paths, *standard]
    run: Run = importlib.import_module("sluice_guest.main").run
    sys.path[:] = standard
    if threading.active_count() != 1:
        raise RuntimeError("the guest started a thread at import")
    _save_space()
    _seed_in_forks()
    gc.collect()
    gc.freeze()
    return run, sorted({source for module in sys.modules for source in _source(module, paths)})


def _save_space() -> None:
    """Have threads take little of the forks' address space, which is limited: mallopt(3)."""
    threading.stack_size(_STACK)
    if hasattr(LIBC, "mallopt"):
        LIBC.mallopt(_M_ARENA_MAX, 1)  # 64 MiB each, and only the GIL's holder allocates


def _seed_in_forks() -> None:
    """Have no two forks draw the same numbers: `random` sees to its own generator only."""
    for generator in gc.get_objects():
        if type(generator) is random.Random:
            os.register_at_fork(after_in_child=generator.seed)


def _source(module: str, paths: Sequence[str]) -> list[str]:
    """The file or folder in `paths` that a top-level module came from."""
    spec = getattr(sys.modules[module], "__spec__", None)
    if "." in module or spec is None:
        return []
    places = [*(spec.submodule_search_locations or []), spec.origin or ""]
    return [place for place in places if str(Path(place).parent) in paths]


def serve(run: Run, listener: int, broker: int) -> NoReturn:
    """In the fork, confined: be the server, and end with it."""
    status = 1
    try:
        # New ones: those of the zygote took its own output for what it was, a file or a terminal.
        sys.stdout = _lines_to(1)
        sys.stderr = _lines_to(2)
        run(".", listener, broker)
        status = 0
    except BaseException:  # it is said where a Worker's output goes
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _lines_to(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
