"""What an isolate's process is made of: the one place that knows both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sluice.isolate import cpython, workerd
from sluice.isolate.runtime import Runtime
from sluice.pb import worker_pb2


class Language(StrEnum):
    """What runs a Worker: workerd or CPython."""

    JAVASCRIPT = "javascript"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Program:
    """Files for a process's folder, and how it is started there."""

    language: Language
    files: Mapping[str, bytes]
    is_shared: bool
    """Whether all customers' requests are in one such process."""

    arguments: tuple[str, ...] = ()
    """The command line. None for a process that the zygote's fork becomes."""

    @property
    def asks(self) -> bool:
        """Whether its sandbox lets the process connect to nothing, so that it asks a broker."""
        return self.language is Language.PYTHON


def language_of(bundle: worker_pb2.Bundle) -> Language:
    """The language of the main module."""
    kinds = {module.name: module.kind for module in bundle.modules}
    is_python = kinds.get(bundle.main_module) == worker_pb2.Module.KIND_PYTHON
    return Language.PYTHON if is_python else Language.JAVASCRIPT


def user_program(bundle: worker_pb2.Bundle, runtime: Runtime) -> Program:
    """A user Worker's."""
    if language_of(bundle) is Language.PYTHON:
        return _python(bundle, runtime, "user")
    return _javascript(workerd.user_config(bundle, runtime), runtime, is_shared=False)


def direct_program(bundle: worker_pb2.Bundle, runtime: Runtime) -> Program:
    """That of a dispatch Worker or an Outbound Worker."""
    if language_of(bundle) is Language.PYTHON:
        return _python(bundle, runtime, "direct")
    return _javascript(workerd.direct_config(bundle, runtime), runtime, is_shared=True)


def _python(bundle: worker_pb2.Bundle, runtime: Runtime, role: cpython.Role) -> Program:
    files = cpython.files_of(bundle, role, once=runtime.python_once)
    return Program(Language.PYTHON, files, is_shared=role == "direct")


def _javascript(files: Mapping[str, bytes], runtime: Runtime, *, is_shared: bool) -> Program:
    return Program(Language.JAVASCRIPT, files, is_shared, tuple(workerd.arguments(runtime)))
