"""Settings from environment variables: the one way a service reads its configuration.

A setting is asked for by its name without the prefix `SLUICE_`. Every error names the variable in
full and shows the value, so that a wrong one stops the start with a line that says what to fix.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from sluice.mesh.known import ELSEWHERE

PREFIX = "SLUICE_"

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+)):([0-9]{1,5})")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_FLAGS = {"": False, "0": False, "1": True}


class SettingError(Exception):
    """A setting that cannot be used. The message names it, and what would do."""


class Address(NamedTuple):
    """Where a service listens, or is found: a host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Environment:
    """Reads settings from `variables`, and remembers which were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._asked: set[str] = set()

    def text(self, name: str, default: str | None) -> str:
        """The value as it is. Without a default (None) it must be set, and not be empty."""
        value = self._get(name) or default
        if value is None:
            raise SettingError(f"{PREFIX}{name}: must be set")
        return value

    def address(self, name: str, default: str | None) -> Address:
        """`host:port` or `[::1]:port`. Port 0 lets the system choose one."""
        value = self.text(name, default)
        match = _HOST_PORT.fullmatch(value)
        if not match or int(match[3]) > 65535 or (match[1] and not _is_ipv6(match[1])):
            raise _not(name, value, "an address (like 127.0.0.1:50051 or [::1]:50051)")
        return Address(match[1] or match[2], int(match[3]))

    def duration(self, name: str, default: str) -> float:
        """A length of time, in seconds."""
        value = self.text(name, default)
        match = _DURATION.fullmatch(value)
        if not match:
            raise _not(name, value, "a duration (like 250ms, 30s or 5m)")
        return float(match[1]) * _SECONDS[match[2]]

    def size(self, name: str, default: str) -> int:
        """A number of bytes."""
        value = self.text(name, default)
        match = _SIZE.fullmatch(value)
        if not match:
            raise _not(name, value, "a size (like 512B, 64KiB or 128MiB)")
        return int(match[1]) * _BYTES[match[2]]

    def integer(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number, `least` to `most`."""
        value = self.text(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise _not(name, value, "a whole number")
        number = int(value)
        if number < least or (most is not None and number > most):
            bounds = f"at least {least}" if most is None else f"{least} to {most}"
            raise SettingError(f"{PREFIX}{name}: {value} is out of range ({bounds})")
        return number

    def flag(self, name: str) -> bool:
        """Whether a switch is on: `1` is on; `0`, empty and unset are off."""
        value = self._get(name)
        if value not in _FLAGS:
            raise _not(name, value, "a switch (1 or 0)")
        return _FLAGS[value]

    def words(self, name: str) -> tuple[str, ...]:
        """The items of a comma-separated list, none empty."""
        return tuple(word for item in self._get(name).split(",") if (word := item.strip()))

    def unknown(self) -> list[str]:
        """A warning for each `SLUICE_*` variable that no service reads, once all were read here.

        Warnings, not errors: an older service may share an environment with a newer one.
        """
        names = sorted(key for key in self._variables if key.startswith(PREFIX))
        return [self._guess(name) for name in names if name not in self._asked | ELSEWHERE]

    def _get(self, name: str) -> str:
        self._asked.add(PREFIX + name)
        return self._variables.get(PREFIX + name, "").strip()

    def _guess(self, name: str) -> str:
        close = get_close_matches(name, self._asked | ELSEWHERE, n=1, cutoff=0.8)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{name}: not a setting of Sluice{hint}"


def _not(name: str, value: str, kind: str) -> SettingError:
    return SettingError(f"{PREFIX}{name}: {value!r} is not {kind}")


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
