"""The dispatch namespace binding, and the Workers that it gives."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sluice_guest import control, rpc
from workers.request import Request
from workers.response import Response
from workers.subrequest import follow, request_of


class DispatchNamespace:
    """A binding to a dispatch namespace."""

    def __init__(self, binding: str) -> None:
        self._binding = binding

    def get(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> DispatchedWorker:
        """Choose a Worker. Whether there is one shows at its `fetch()`.

        `args` is `{"props": {...}}`, `options` `{"outbound": {...}, "limits": {"cpuMs": ...,
        "subRequests": ...}}`.
        """
        return DispatchedWorker(
            {
                "binding": self._binding,
                "name": str(name),
                "props": (args or {}).get("props"),
                "outbound": (options or {}).get("outbound"),
                "limits": (options or {}).get("limits"),
            }
        )


class DispatchedWorker:
    """A user Worker that `get()` chose: its `fetch`, and its other methods by RPC."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self._chosen = chosen

    async def fetch(self, resource: Request | str, **options: Any) -> Response:
        """Send it a request. Raises what it raises, and `RemoteError` where there is none."""
        return await self._send(request_of(resource, options))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Give what calls a method of the Worker."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: rpc.call(self._send, name, arguments)

    async def _send(self, request: Request, method: str | None = None) -> Response:
        chosen = self._chosen if method is None else {**self._chosen, "method": method}
        return await follow(request, _header(chosen))


def _header(chosen: Mapping[str, Any]) -> str:
    """The control header of a choice. Raises `TypeError` that names a key JSON cannot carry."""
    members = {
        where: {key: _json(member, f"{where}.{key}") for key, member in (given or {}).items()}
        for where, given in chosen.items()
        if where in ("props", "outbound", "limits")
    }
    return control.encode({**chosen, **members})


def _json(value: Any, key: str) -> Any:
    """The value as JSON carries it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except RecursionError:
        what = "too many levels"
    except ValueError as error:
        what = "a cycle" if "ircular" in str(error) else "a number that is not finite"
    except TypeError as error:
        what = f"a value that cannot be carried: {error}"
    raise TypeError(f"dispatcher.get(): {key} has {what}, which JSON cannot carry.")
