"""Conversions of values between JavaScript and Python, of which there is no need here."""

from __future__ import annotations

from typing import Any


def python_from_rpc(value: Any) -> Any:
    """Return the value: what a binding gives here is Python's already."""
    return value


def python_to_rpc(value: Any) -> Any:
    """Return the value: what a binding takes here is Python's."""
    return value
