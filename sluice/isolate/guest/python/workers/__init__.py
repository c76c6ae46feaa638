"""The API that a Python Worker imports: that of Cloudflare's Python Workers.

https://developers.cloudflare.com/workers/languages/python/
"""

from __future__ import annotations

from typing import NoReturn

from workers.bindings import env, patch_env
from workers.blob import Blob, BlobEnding, File
from workers.body import Body
from workers.context import Context, wait_until
from workers.conversion import python_from_rpc, python_to_rpc
from workers.entrypoint import WorkerEntrypoint, handler
from workers.form_data import FormData, FormDataValue
from workers.headers import Headers
from workers.request import Request
from workers.response import Response
from workers.subrequest import fetch
from workers.websocket import WebSocket, WebSocketPair

FetchResponse = Response
waitUntil = wait_until  # noqa: N816 — JavaScript's name

_ABSENT = {
    "DurableObject": "there are no Durable Objects. Keep state behind an HTTP API of the platform",
    "WorkflowEntrypoint": "there are no Workflows. Do the work in `fetch` and `ctx.wait_until`",
    "import_from_javascript": "there is no JavaScript in this isolate. `env`, `wait_until` and "
    "`fetch` are names of this module",
    "handle_exceptions": "an exception that a handler raises is told to its caller as it is",
}


def __getattr__(name: str) -> NoReturn:
    if words := _ABSENT.get(name):
        raise ImportError(f"workers.{name} is not available in Sluice: {words}.", name=__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Blob",
    "BlobEnding",
    "Body",
    "Context",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "Request",
    "Response",
    "WebSocket",
    "WebSocketPair",
    "WorkerEntrypoint",
    "env",
    "fetch",
    "handler",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]
