"""What the guest says of a Worker that cannot be loaded."""

from __future__ import annotations

import pytest

from tests.isolate.python.conftest import StartGuest

LOADS = {
    "syntax": ({"main.py": "x = 1\ndef (:\n"}, "main.py:2: SyntaxError: invalid syntax"),
    "syntax elsewhere": (
        {"main.py": "import a\n", "a.py": "\n\nreturn 1\n"},
        "a.py:3: SyntaxError: 'return' outside function",
    ),
    "import": (
        {"main.py": "\nimport nothing_like_it\n"},
        "main.py:2: ModuleNotFoundError: No module named 'nothing_like_it'",
    ),
    "host's package": (
        {"main.py": "import grpc\n"},
        "main.py:1: ModuleNotFoundError: No module named 'grpc'",
    ),
    "JavaScript": (
        {"main.py": "from js import Response\n"},
        "main.py:1: ModuleNotFoundError: No module named 'js': there is no JavaScript in this",
    ),
    "FFI": ({"main.py": "from pyodide.ffi import to_js\n"}, "No module named 'pyodide'"),
    "Durable Objects": (
        {"main.py": "from workers import DurableObject\n"},
        "main.py:1: ImportError: workers.DurableObject is not available in Sluice: there are no",
    ),
    "import_from_javascript": (
        {"main.py": "from workers import import_from_javascript\n"},
        "workers.import_from_javascript is not available in Sluice",
    ),
    "Flask's adapter": ({"main.py": "import wsgi\n"}, "no adapter for WSGI"),
    "top level": ({"main.py": "def f():\n  1/0\nf()\n"}, "main.py:2: ZeroDivisionError: division"),
    "exit": ({"main.py": "import sys\nsys.exit('out')\n"}, "main.py:2: SystemExit: out"),
    "no entrypoint": ({"main.py": "x = 1\n"}, "main.py: no entrypoint: define"),
    "no handler": (
        {"main.py": "from workers import WorkerEntrypoint\nDefault = 3\n"},
        "main.py: no entrypoint",
    ),
}


@pytest.mark.parametrize("case", LOADS)
async def test_what_does_not_load_says_why(start: StartGuest, case: str) -> None:
    """Each request to a Worker that cannot be loaded is told file, line and reason."""
    files, words = LOADS[case]
    guest = await start(files)
    for _ in range(2):
        reply = await guest.fetch()
        assert reply.error is not None
        assert reply.error["kind"] == "load"
        assert words in reply.error["message"]
