from __future__ import annotations

import pytest

from sluice.bundle.python import first_problem

CASES = [
    ("a file without a fault", b"import json, workers, lib.a\nfrom . import b", None),
    ("a name that may be missing", b"try:\n    import numpy\nexcept ImportError: pass", None),
    ("an import for later", b"def f():\n    import numpy", None),
    ("an import that never runs", b"if 0:\n    import numpy", None),
    ("a warning is no fault", b"x = '\\d'", None),
    ("the second name of a line", b"import json, numpy", (1, "imports 'numpy'")),
    ("the first of two faults", b"\nimport numpy\nimport js", (2, "imports 'numpy'")),
    ("Pyodide's", b"from js import Response", (1, "imports 'js', which is Pyodide's")),
    ("a fault of syntax", b"a = 1\ndef f(:\n", (2, "SyntaxError: invalid syntax")),
    ("tabs and blanks", b"if 1:\n\tx = 1\n        y = 1", (3, "TabError")),
    ("bytes that are no text", b"x = '\xff'", (1, "SyntaxError: ")),
    ("a codec that there is not", b"# coding: klingon\n", (1, "SyntaxError: unknown encoding")),
    ("a NUL", b"a = 1\0", (1, "source code string cannot contain null bytes")),
    ("brackets without end", b"(" * 100_000, (1, "")),
    ("a sum without end", b"+".join([b"1"] * 100_000), (1, "not Python: ")),
    ("signs without end", b"-" * 100_000 + b"1", (1, "")),
    ("a number without end", b"x = " + b"9" * 5000, (1, "")),
]


@pytest.mark.parametrize(("why", "source", "problem"), CASES, ids=[case[0] for case in CASES])
def test_the_first_problem_of_a_file(
    why: str, source: bytes, problem: tuple[int, str] | None
) -> None:
    """Faults are found by reading, whatever the file holds; nothing of it runs."""
    found = first_problem(source, {"lib"})
    if problem is None:
        assert found is None
    else:
        assert found is not None
        assert found.line == problem[0]
        assert problem[1] in found.what
