"""Objects as JSON has them, with JavaScript's way to read a member."""

from __future__ import annotations

from typing import Any


class Record(dict[str, Any]):
    """A `dict` whose items can also be read and set as attributes.

    `env.params_object["customer_name"]` and `env.params_object.customer_name` are the same. An item
    that is called as a method of `dict` is read as an item only.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def recorded(value: Any) -> Any:
    """The value, its dicts on every level being `Record`s."""
    if isinstance(value, dict):
        return Record({key: recorded(member) for key, member in value.items()})
    if isinstance(value, list):
        return [recorded(member) for member in value]
    return value
