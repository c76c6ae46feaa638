"""The API that a Python Worker imports: that of Cloudflare's Python Workers.

https://developers.cloudflare.com/workers/languages/python/
"""

from __future__ import annotations

from workers.bindings import env, patch_env
from workers.blob import Blob, BlobEnding, File
from workers.body import Body
from workers.context import Context
from workers.entrypoint import WorkerEntrypoint, handler
from workers.form_data import FormData, FormDataValue
from workers.headers import Headers
from workers.request import Request
from workers.response import Response
from workers.subrequest import fetch

FetchResponse = Response

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
    "WorkerEntrypoint",
    "env",
    "fetch",
    "handler",
    "patch_env",
]
