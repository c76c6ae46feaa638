"""The files that an executable needs to start: its loader and its shared libraries."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

_PT_INTERP = 3
_PATHS = re.compile(r"(?:=> )?(/\S+) \(0x")
_DEADLINE = 10


def libraries(executable: Path, *modules: str) -> tuple[str, ...]:
    """Paths of the loader and the libraries of an ELF executable, and of `modules` that it loads.

    None for a static one. Asks the loader itself (ld.so(8), `--list`). Raises `OSError` where that
    does not answer.
    """
    loader = _loader(executable)
    if loader is None:
        return ()
    found = [loader]
    for file in (str(executable), *modules):
        listed = subprocess.run(  # noqa: S603 # the loader that the executable names
            [loader, "--list", file],
            capture_output=True,
            text=True,
            env={},
            timeout=_DEADLINE,
            check=False,
        )
        if listed.returncode:
            raise OSError(f"{loader} cannot load {file}: {listed.stderr.strip()}")
        found += _PATHS.findall(listed.stdout)
    return tuple(dict.fromkeys(found))


def _loader(executable: Path) -> str | None:
    """What the ELF header names as interpreter: elf(5)."""
    with executable.open("rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            raise OSError(f"{executable} is not a 64-bit ELF executable")
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        for index in range(count):
            file.seek(offset + index * size)
            kind, _, start, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == _PT_INTERP:
                file.seek(start)
                return file.read(length).rstrip(b"\0").decode()
    return None
