"""The error table: one row a reason, and the one exception that carries it.

`protos/sluice/v1/error_reason.proto` is the same table for people; a test holds the two together.
A response from the far side is never an error, whatever its status. No response is.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class GrpcCode(Enum):
    """The gRPC status codes that the table uses, by number, so that `wire` needs no gRPC."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Reason(Enum):
    """Why there is no response. The name is what `ErrorInfo.reason` says on the wire."""

    WORKER_NOT_FOUND = auto()
    NAMESPACE_NOT_FOUND = auto()
    WORKER_EXCEPTION = auto()
    WORKER_LOAD_FAILED = auto()
    EXCEEDED_CPU = auto()
    EXCEEDED_MEMORY = auto()
    EXCEEDED_WALL_TIME = auto()
    EXCEEDED_SUBREQUESTS = auto()
    LOAD_SHED = auto()
    ISOLATE_DIED = auto()
    SERVICE_UNAVAILABLE = auto()
    DESTINATION_PROHIBITED = auto()
    DNS_ERROR = auto()
    CONNECTION_REFUSED = auto()
    TLS_ERROR = auto()
    RESPONSE_TIMEOUT = auto()
    INVALID_RESPONSE = auto()
    LOOP_DETECTED = auto()
    INVALID_PARAMS = auto()
    INVALID_REQUEST = auto()
    BODY_TOO_LARGE = auto()
    BODY_CUT_SHORT = auto()
    INVALID_BUNDLE = auto()
    ALREADY_EXISTS = auto()
    UNAUTHENTICATED = auto()
    NOT_SUPPORTED = auto()
    INTERNAL = auto()
    PEER_NOT_ALLOWED = auto()
    EXCEEDED_CONNECTIONS = auto()
    REQUEST_TIMEOUT = auto()

    @property
    def code(self) -> GrpcCode:
        """The gRPC status code that goes with it."""
        return _TABLE[self].code

    @property
    def http_status(self) -> int:
        """The HTTP status that a client at the public listener gets."""
        return _TABLE[self].http_status


class _Row(NamedTuple):
    code: GrpcCode
    http_status: int
    thrown: tuple[str, str | None] = ("Error", None)
    """Name and message of what the calling Worker sees thrown. None: the error's own message."""


_NETWORK = ("Error", "Network connection lost.")

_TABLE = {
    Reason.WORKER_NOT_FOUND: _Row(GrpcCode.NOT_FOUND, 404, ("Error", "Worker not found.")),
    Reason.NAMESPACE_NOT_FOUND: _Row(GrpcCode.NOT_FOUND, 404),
    Reason.WORKER_EXCEPTION: _Row(GrpcCode.UNKNOWN, 500),
    Reason.WORKER_LOAD_FAILED: _Row(GrpcCode.FAILED_PRECONDITION, 500),
    Reason.EXCEEDED_CPU: _Row(
        GrpcCode.RESOURCE_EXHAUSTED, 503, ("Error", "Worker exceeded CPU time limit.")
    ),
    Reason.EXCEEDED_MEMORY: _Row(
        GrpcCode.RESOURCE_EXHAUSTED, 503, ("Error", "Worker exceeded memory limit.")
    ),
    Reason.EXCEEDED_WALL_TIME: _Row(
        GrpcCode.DEADLINE_EXCEEDED, 504, ("Error", "Worker exceeded wall time limit.")
    ),
    Reason.EXCEEDED_SUBREQUESTS: _Row(
        GrpcCode.RESOURCE_EXHAUSTED,
        503,
        ("Error", "Too many subrequests by single Worker invocation."),
    ),
    Reason.EXCEEDED_CONNECTIONS: _Row(
        GrpcCode.RESOURCE_EXHAUSTED,
        503,
        ("Error", "Too many open connections by single Worker invocation."),
    ),
    Reason.LOAD_SHED: _Row(
        GrpcCode.RESOURCE_EXHAUSTED,
        503,
        ("Error", "The service is at capacity. Please try again."),
    ),
    Reason.ISOLATE_DIED: _Row(GrpcCode.UNAVAILABLE, 502, _NETWORK),
    Reason.SERVICE_UNAVAILABLE: _Row(GrpcCode.UNAVAILABLE, 503, _NETWORK),
    Reason.DESTINATION_PROHIBITED: _Row(GrpcCode.PERMISSION_DENIED, 403),
    Reason.DNS_ERROR: _Row(GrpcCode.UNAVAILABLE, 502),
    Reason.CONNECTION_REFUSED: _Row(GrpcCode.UNAVAILABLE, 502, _NETWORK),
    Reason.TLS_ERROR: _Row(GrpcCode.UNAVAILABLE, 502),
    Reason.REQUEST_TIMEOUT: _Row(GrpcCode.DEADLINE_EXCEEDED, 408, _NETWORK),
    Reason.RESPONSE_TIMEOUT: _Row(GrpcCode.DEADLINE_EXCEEDED, 504),
    Reason.INVALID_RESPONSE: _Row(GrpcCode.UNAVAILABLE, 502),
    Reason.LOOP_DETECTED: _Row(GrpcCode.FAILED_PRECONDITION, 508),
    Reason.INVALID_PARAMS: _Row(GrpcCode.INVALID_ARGUMENT, 400, ("TypeError", None)),
    Reason.INVALID_REQUEST: _Row(GrpcCode.INVALID_ARGUMENT, 400, ("TypeError", None)),
    Reason.BODY_TOO_LARGE: _Row(GrpcCode.RESOURCE_EXHAUSTED, 413),
    Reason.BODY_CUT_SHORT: _Row(GrpcCode.ABORTED, 502, _NETWORK),
    Reason.INVALID_BUNDLE: _Row(GrpcCode.INVALID_ARGUMENT, 400),
    Reason.ALREADY_EXISTS: _Row(GrpcCode.ALREADY_EXISTS, 409),
    Reason.UNAUTHENTICATED: _Row(GrpcCode.UNAUTHENTICATED, 401),
    Reason.NOT_SUPPORTED: _Row(GrpcCode.UNIMPLEMENTED, 501),
    Reason.INTERNAL: _Row(GrpcCode.INTERNAL, 500, ("Error", "internal error")),
    Reason.PEER_NOT_ALLOWED: _Row(GrpcCode.PERMISSION_DENIED, 500, ("Error", "internal error")),
}


class SluiceError(Exception):
    """There is no response, and this is why.

    `message` is for people and names what is wrong and where. `metadata` has whatever in it varies,
    for programs; `name` and `message` there are those of an exception that a Worker threw.
    """

    def __init__(self, reason: Reason, message: str, /, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata

    def as_thrown(self) -> tuple[str, str]:
        """Name and message of the exception that the calling Worker sees."""
        if self.reason is Reason.WORKER_EXCEPTION:
            return self.metadata.get("name", "Error"), self.metadata.get("message", self.message)
        name, message = _TABLE[self.reason].thrown
        return name, message or self.message
