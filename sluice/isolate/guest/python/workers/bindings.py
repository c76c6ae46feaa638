"""Bindings, of the Worker and of the request that is being served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sluice_guest import invocation

_patch: ContextVar[Mapping[str, Any]] = ContextVar("env_patch", default={})  # noqa: B039 — never written


class Env:
    """Bindings by name, as attributes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__values = values

    def __getattr__(self, name: str) -> Any:
        try:
            return {**self.__values, **_patch.get()}[name]
        except KeyError:
            raise AttributeError(f"env has no binding {name!r}") from None

    def __dir__(self) -> list[str]:
        return sorted({*self.__values, *_patch.get()})

    def __repr__(self) -> str:
        # Not their values: a secret is easily printed.
        return f"Env({', '.join(dir(self))})"


class CurrentEnv(Env):
    """The bindings of the request that is being served; outside of one, those of the Worker."""

    def __init__(self) -> None:
        super().__init__(_Current())


class _Current(Mapping[str, Any]):
    static: Mapping[str, Any] = {}

    def _values(self) -> Mapping[str, Any]:
        live = invocation.current()
        return self.static if live is None else live.env

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())


def set_static(values: Mapping[str, Any]) -> None:
    """Set what `env` has outside of requests."""
    _Current.static = values


env = CurrentEnv()


@contextmanager
def patch_env(
    values: Mapping[str, Any] | list[tuple[str, Any]] | None = None, **more: Any
) -> Iterator[None]:
    """Give bindings other values for a while, to what runs in this block."""
    token = _patch.set({**_patch.get(), **dict(values or {}), **more})
    try:
        yield
    finally:
        _patch.reset(token)
