"""One table of a config, read key by key: types checked, keys nobody asked for noticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sluice.bundle.document import ConfigError, type_name

T = TypeVar("T")


class Section:
    """A table at `place` in a file.

    `places` has the keys that stand elsewhere: those of the chosen `[env.<name>]`. A value of the
    wrong type raises `ConfigError` that names file and key.
    """

    def __init__(
        self,
        file: str,
        values: Mapping[str, Any],
        warnings: list[str],
        place: str = "",
        places: Mapping[str, str] | None = None,
    ) -> None:
        self._file = file
        self._values = values
        self._warnings = warnings
        self._place = place
        self._places = places or {}
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the key is there, whatever its value."""
        self._read.add(key)
        return key in self._values

    def string(self, key: str) -> str | None:
        """A string, or None where it is absent."""
        return self._typed(key, str, "a string")

    def name(self, key: str) -> str | None:
        """A string that is not empty, or None."""
        value = self.string(key)
        if value == "":
            raise self.error(key, "expected a string that is not empty")
        return value

    def required(self, key: str) -> str:
        """A string that is there and not empty."""
        value = self.name(key)
        if value is None:
            raise self.error(key, "missing")
        return value

    def boolean(self, key: str) -> bool | None:
        """A boolean, or None."""
        return self._typed(key, bool, "a boolean")

    def count(self, key: str) -> int | None:
        """A whole number from 1 that fits an `uint32`, or None."""
        value = self._typed(key, int, "a whole number")
        if value is not None and not 0 < value < 2**32:
            raise self.error(key, f"expected a whole number from 1, got {value}")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty where it is absent."""
        return tuple(self._list(key, str, "strings"))

    def table(self, key: str) -> Section | None:
        """A table, or None."""
        value = self._typed(key, dict, "a table")
        return None if value is None else self._under(value, self._name(key))

    def tables(self, key: str) -> list[Section]:
        """A list of tables; empty where it is absent."""
        values = self._list(key, dict, "tables")
        return [self._under(value, f"{self._name(key)}[{at}]") for at, value in enumerate(values)]

    def json(self, key: str) -> dict[str, Any]:
        """A table of JSON values; empty where it is absent."""
        value = self._typed(key, dict, "a table") or {}
        for name, member in value.items():
            self._check_json(member, f"{self._name(key)}.{name}")
        return value

    def ignore(self, keys: frozenset[str], why: str) -> None:
        """Warn of each of `keys` that is here."""
        for key in self._values:
            if key in keys:
                self._read.add(key)
                self.warn(key, why)

    def finish(self, *, strict: bool = False) -> None:
        """Warn of each key that was not asked for, or with `strict` raise for it."""
        for key in self._values:
            if key not in self._read:
                if strict:
                    known = ", ".join(sorted(self._read))
                    raise self.error(key, f"unknown key; expected {known}")
                self.warn(key, "unknown key, ignored")

    def warn(self, key: str, what: str) -> None:
        """Note something about a key that is no error."""
        self._warnings.append(f"{self._file}: {self._name(key)}: {what}")

    def error(self, key: str, what: str) -> ConfigError:
        """What is wrong with a key, to be raised."""
        return ConfigError(f"{self._file}: {self._name(key)}: {what}")

    def _name(self, key: str) -> str:
        return self._places.get(key) or (f"{self._place}.{key}" if self._place else key)

    def _under(self, values: dict[str, Any], place: str) -> Section:
        return Section(self._file, values, self._warnings, place)

    def _typed(self, key: str, kind: type[T], expected: str) -> T | None:
        self._read.add(key)
        if key not in self._values:
            return None
        value = self._values[key]
        if type(value) is not kind:
            raise self.error(key, f"expected {expected}, got {type_name(value)}")
        return value

    def _list(self, key: str, kind: type[T], members: str) -> list[T]:
        self._read.add(key)
        values = self._values.get(key, [])
        if not isinstance(values, list):
            raise self.error(key, f"expected a list of {members}, got {type_name(values)}")
        for at, value in enumerate(values):
            if type(value) is not kind:
                got = type_name(value)
                raise self.error(key, f"expected a list of {members}, got {got} at [{at}]")
        return values

    def _check_json(self, value: Any, place: str) -> None:
        match value:
            case dict():
                for key, member in value.items():
                    self._check_json(member, f"{place}.{key}")
            case list():
                for at, member in enumerate(value):
                    self._check_json(member, f"{place}[{at}]")
            case None | str() | bool():
                pass
            case int() | float() if abs(value) <= 2**53:  # false for NaN
                pass
            case int() | float():
                raise ConfigError(
                    f"{self._file}: {place}: {value} is no number that JavaScript holds exactly; "
                    "write it as a string"
                )
            case _:
                raise ConfigError(
                    f"{self._file}: {place}: expected a JSON value, got {type_name(value)}; "
                    "write it as a string"
                )
