"""Changing what libraries do, in this process."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def replace(owner: type | ModuleType, **attributes: Any) -> None:
    """Give a class or a module other attributes. Raises `AttributeError` for one that it lacks."""
    for name, value in attributes.items():
        getattr(owner, name)
        setattr(owner, name, value)
