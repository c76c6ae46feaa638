"""Header fields of a request or a response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from multidict import CIMultiDict

from workers import fields

_COOKIE = "set-cookie"


class Headers:
    """Fields by name, in any case: JavaScript's `Headers` with Python's protocols.

    Reading is as of the `http.client.HTTPMessage` that Cloudflare's Workers see: an absent field is
    `None`, fields of one name are joined by `", "`, except `set-cookie`. Writing is as in
    JavaScript: an assignment replaces.
    https://developers.cloudflare.com/workers/runtime-apis/headers/
    """

    def __init__(self, init: Any = None) -> None:
        self._fields: CIMultiDict[str] = CIMultiDict()
        for name, value in _pairs(init):
            self.append(name, value)

    def append(self, name: str, value: Any) -> None:
        """Add a field, beside those of its name. Raises `TypeError` for what HTTP cannot carry."""
        self._fields.add(fields.name(name), fields.value(name, value))

    def set(self, name: str, value: Any) -> None:
        """Put a field in place of all of its name."""
        self._fields[fields.name(name)] = fields.value(name, value)

    def delete(self, name: str) -> None:
        """Remove the fields of a name, if any."""
        self._fields.popall(name, None)

    def has(self, name: str) -> bool:
        """Whether there is a field of that name."""
        return name in self._fields

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the field's value, or `default`. Several are joined."""
        values = self._fields.getall(name, None)
        return default if values is None else ", ".join(values)

    def get_all(self, name: str, failobj: Any = None) -> Any:
        """List the values of the fields of a name; one text of all of them, except cookies."""
        if name.lower() == _COOKIE:
            return self.get_set_cookie() or failobj
        value = self.get(name)
        return failobj if value is None else [value]

    def get_set_cookie(self) -> list[str]:
        """List the values of `set-cookie`."""
        return list(self._fields.getall(_COOKIE, []))

    def keys(self) -> list[str]:
        """Names in lower case, in the order they came in; that of each cookie is repeated."""
        return [name for name, _ in self.items()]

    def values(self) -> list[str]:
        """Values, in the order of `keys()`."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[str, str]]:
        """Name and value of each field, those of one name joined, except cookies."""
        found: dict[str, str] = {}
        cookies: list[tuple[str, str]] = []
        for name, value in self.raw():
            if name == _COOKIE:
                cookies.append((name, value))
            else:
                found[name] = f"{found[name]}, {value}" if name in found else value
        return [*found.items(), *cookies]

    def raw(self) -> Iterator[tuple[str, str]]:
        """Each field as it was added; names in lower case."""
        return ((name.lower(), value) for name, value in self._fields.items())

    # The names that JavaScript and email.message.Message have for the same.
    getAll = get_all  # noqa: N815
    getSetCookie = get_set_cookie  # noqa: N815
    entries = items
    add_header = append

    def __getitem__(self, name: str) -> str | None:
        return self.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


def _pairs(init: Any) -> Iterable[tuple[str, Any]]:
    if init is None:
        return ()
    if isinstance(init, Headers):
        return init.raw()
    if isinstance(init, Mapping) or hasattr(init, "items"):
        return list(init.items())
    if isinstance(init, str | bytes) or not isinstance(init, Iterable):
        raise TypeError(
            "headers must be Headers, a mapping or a list of (name, value) pairs, "
            f"not {type(init).__name__}"
        )
    return [_pair(each) for each in init]


def _pair(each: Any) -> tuple[str, Any]:
    if isinstance(each, str | bytes) or len(each) != 2:
        raise TypeError(f"headers: {each!r} is no (name, value) pair")
    return each[0], each[1]
