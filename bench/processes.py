"""Processes below another one, and what they run. Read from /proc; those that are gone are not."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Children of a process, theirs, and so on; none where it is gone."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    except OSError:
        return found
    return found


def isolates(pid: int) -> list[int]:
    """The workerd processes among them."""
    return [child for child in descendants(pid) if program(child) == "workerd"]


def program(pid: int) -> str:
    """The program that a process runs; empty where it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""
