"""The fields of a form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from workers.blob import Blob, File

FormDataValue = str | Blob
"""What a field holds: text, or a `File`."""


class FormData(MutableMapping[str, FormDataValue]):
    """Fields in order, several of one name where need be.

    A mapping of each name to its first value; iteration repeats a name for each of its values.
    https://developer.mozilla.org/en-US/docs/Web/API/FormData
    """

    def __init__(self, form_data: Any = None) -> None:
        self._fields: list[tuple[str, FormDataValue]] = []
        if form_data is None:
            return
        if not isinstance(form_data, Mapping):
            raise TypeError("Expected form_data to be a dict or an instance of FormData")
        for key, value in form_data.items():
            self.append(key, value)

    def append(self, key: str, value: FormDataValue, filename: str | None = None) -> None:
        """Add a field. A `Blob` becomes a `File` called `filename`, or `blob`."""
        self._fields.append((str(key), _value(value, filename)))

    def delete(self, key: str) -> None:
        """Remove the fields of a name, if any."""
        self._fields = [field for field in self._fields if field[0] != key]

    def get_all(self, key: str) -> list[FormDataValue]:
        """Values of the fields of a name."""
        return [value for name, value in self._fields if name == key]

    def has(self, key: str) -> bool:
        """Whether there is a field of that name."""
        return key in self

    getAll = get_all  # noqa: N815 — JavaScript's name

    def keys(self) -> Iterator[str]:  # type: ignore[override] # as at Cloudflare: names repeat
        """Names, one for each field."""
        return (name for name, _ in self._fields)

    def values(self) -> Iterator[FormDataValue]:  # type: ignore[override]
        """Values of all fields."""
        return (value for _, value in self._fields)

    def items(self) -> Iterator[tuple[str, FormDataValue]]:  # type: ignore[override]
        """Name and value of each field."""
        return iter(list(self._fields))

    def __getitem__(self, key: str) -> FormDataValue:
        for name, value in self._fields:
            if name == key:
                return value
        raise KeyError(key)

    def __setitem__(self, key: str, value: FormDataValue) -> None:
        if isinstance(value, list):
            raise TypeError("Expected single item in arguments to FormData.__setitem__")
        position = next((i for i, field in enumerate(self._fields) if field[0] == key), None)
        self.delete(key)
        field = (str(key), _value(value, None))
        self._fields.insert(len(self._fields) if position is None else position, field)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._fields)

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"


def _value(value: Any, filename: str | None) -> FormDataValue:
    if isinstance(value, File) and filename is None:
        return value
    if isinstance(value, Blob):
        return File(value, filename or "blob")
    return str(value)
