"""The headers between the host and an isolate's guest code (`guest/*.js`, `guest/python`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

TOKEN = "x-sluice-token"  # noqa: S105 — the name of a header
"""Both ways: the invocation that a request is, or a subrequest is of."""

CALL = "x-sluice-call"
"""In: JSON of what a call is besides its request: `props`, and `method` where it is JS RPC."""

ENV = "x-sluice-env"
"""In: JSON of what this request finds in `env` besides the bindings."""

GET = "x-sluice-get"
"""Out: JSON of a `get()` on a dispatch namespace binding, whose `fetch()` the request is."""

ERROR = "x-sluice-error"
"""Both ways, in place of a response: JSON of what was thrown."""

# What V8 and workerd throw where there is no memory for a buffer, for one of WebAssembly's, or for
# a clone.
_NO_MEMORY = re.compile(
    r"Array buffer allocation failed|could not allocate memory"
    r"|Unable to grow instance memory|Cannot allocate Wasm memory"
    r"|Failed to allocate memory|[Oo]ut of memory"
)
_OF_MEMORY = ("RangeError", "DataCloneError")


def encode(value: Mapping[str, Any]) -> str:
    """JSON that a header can carry: ASCII, on one line."""
    return json.dumps(value, separators=(",", ":"))


def thrown(error: SluiceError) -> Response:
    """The answer that makes a Worker's `fetch()` throw."""
    name, message = error.as_thrown()
    value = encode({"name": name, "message": message[:2048]}).encode()
    return Response(error.reason.http_status, [(ERROR, value)])


def raise_thrown(header: str) -> None:
    """Raise what a Worker threw, or what its guest code says of loading it."""
    try:
        said = json.loads(header)
        kind, name, message = said["kind"], str(said["name"]), str(said["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        kind, name, message = "exception", "Error", "The Worker's answer could not be read."
    if kind == "load":
        raise SluiceError(Reason.WORKER_LOAD_FAILED, message)
    if kind == "memory" or (name in _OF_MEMORY and _NO_MEMORY.search(message)):
        raise SluiceError(Reason.EXCEEDED_MEMORY, "the Worker ran out of memory")
    raise SluiceError(Reason.WORKER_EXCEPTION, f"{name}: {message}", name=name, message=message)
