"""What is wrong with a Python file, as far as reading it tells: syntax, and imports of nothing.

Nothing is run. An import that a Worker can do without (in a function, a `try`, an `if`) is for the
runtime to say, when it comes to it.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Container, Iterator
from typing import NamedTuple

PROVIDED = frozenset({"workers", "asgi", "aiohttp", "multidict", "yarl"})
"""What the isolate has besides the standard library."""

VENDOR = "put the package into python_modules/ (pywrangler sync, or pip install --target)"
"""How a package gets into the bundle."""

_PYODIDE = frozenset({"js", "pyodide", "pyodide_js", "_pyodide", "micropip"})


class Problem(NamedTuple):
    """What is wrong, and where."""

    line: int
    what: str


def first_problem(source: bytes, bundled: Container[str], remedy: str = VENDOR) -> Problem | None:
    """The first problem of a file, or None. `bundled` are the top-level names in the bundle.

    `remedy` is what to do about a name that is not among them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a SyntaxWarning is none of the deploy's business
            tree = ast.parse(source)
    except SyntaxError as error:
        return Problem(error.lineno or 1, f"{type(error).__name__}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        return Problem(1, f"not Python: {str(error) or 'nested too deeply'}")
    for line, name in _needed(tree):
        if problem := _import_problem(name, bundled, remedy):
            return Problem(line, problem)
    return None


def _needed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The top-level packages that the file cannot be loaded without, with the lines."""
    for statement in tree.body:
        match statement:
            case ast.Import(names=names):
                yield from ((statement.lineno, alias.name.partition(".")[0]) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield statement.lineno, module.partition(".")[0]


def _import_problem(name: str, bundled: Container[str], remedy: str) -> str | None:
    if name in sys.stdlib_module_names or name in PROVIDED or name in bundled:
        return None
    if name in _PYODIDE:
        return f"imports {name!r}, which is Pyodide's: Workers run on CPython here, without it"
    return f"imports {name!r}, which is not in the bundle: {remedy}"
