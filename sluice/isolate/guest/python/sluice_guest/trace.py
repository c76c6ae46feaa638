"""Tracebacks as a Worker's author wants them: without the frames that are not theirs."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

MODULES = "modules"
"""The folder of the bundle's files, in the process's working directory."""

_LIBRARY = str(Path(traceback.__file__).parent) + "/"


def show(error: BaseException) -> None:
    """Print an exception with its traceback to standard error."""
    report = traceback.TracebackException.from_exception(error, compact=True)
    _clean(report)
    sys.stderr.write("".join(report.format()))
    sys.stderr.flush()


def place(error: BaseException) -> str:
    """File and line in the bundle where an exception comes from, as `main.py:3: `; else nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename)}:{error.lineno}: "
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f"{_relative(own[-1].filename)}:{own[-1].lineno}: " if own else ""


def _clean(report: traceback.TracebackException) -> None:
    """Keep the frames of the bundle, and those of the standard library that it called."""
    frames = [(frame, _known(frame.filename)) for frame in report.stack]
    first = next((i for i, (frame, name) in enumerate(frames) if _is_own(frame.filename)), None)
    report.stack = traceback.StackSummary.from_list(
        [
            traceback.FrameSummary(name, frame.lineno, frame.name, line=frame.line)
            for frame, name in ([] if first is None else frames[first:])
            if name is not None
        ]
    )
    if issubclass(report.exc_type or Exception, SyntaxError) and report.filename:
        report.filename = _relative(report.filename)
    for part in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if part is not None:
            _clean(part)


def _is_own(filename: str) -> bool:
    return _relative(filename) != filename


def _known(filename: str) -> str | None:
    """A file's path within the bundle or the standard library; `None` for any other."""
    if _is_own(filename):
        return _relative(filename)
    within = filename.removeprefix(_LIBRARY)
    is_library = within != filename and not within.startswith("site-packages")
    return within if is_library else None


def _relative(filename: str) -> str:
    """The path within the bundle; of another file its whole path."""
    root = str(Path(MODULES).absolute()) + "/"
    return filename.removeprefix(root)
