"""`SluiceError` to a gRPC status and back.

On the wire it is a `google.rpc.Status` with one `ErrorInfo` (AIP-193), in the trailer that the
gRPC libraries of all languages read it from. Reading it is also where the errors of gRPC itself
(no connection, a deadline, a message too large) get their reason.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from sluice.rpc.method import UnreadableError
from sluice.rpc.status import Status
from sluice.wire.errors import Reason, SluiceError

_log = logging.getLogger(__name__)

DOMAIN = "sluice"
"""`ErrorInfo.domain` of every error of Sluice's."""

DETAILS_KEY = "grpc-status-details-bin"

MAX_TEXT = 2 * 1024
"""Most bytes of the message, and of one value of the metadata."""

MAX_METADATA = 8 * 1024
"""Most bytes of the metadata of one error, keys and values. An entry too many is left out."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}

_WITHOUT_DETAILS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.EXCEEDED_WALL_TIME,
    grpc.StatusCode.CANCELLED: Reason.BODY_CUT_SHORT,
    grpc.StatusCode.ABORTED: Reason.BODY_CUT_SHORT,
    grpc.StatusCode.UNAVAILABLE: Reason.SERVICE_UNAVAILABLE,
}

_TOO_LARGE = "message larger than max"


def to_status(error: SluiceError) -> Status:
    """Code, details and trailing metadata that say `error`."""
    message = _capped(error.message)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason.name, domain=DOMAIN, metadata=_capped_all(error.metadata)
    )
    status = status_pb2.Status(code=error.reason.code.value, message=message)
    status.details.add().Pack(info)
    return Status(_CODES[status.code], message, ((DETAILS_KEY, status.SerializeToString()),))


def explain(method: str, error: Exception) -> Status:
    """The status of a call whose method raised this. What no method should raise is logged."""
    if isinstance(error, UnreadableError):
        error = SluiceError(Reason.INVALID_REQUEST, str(error))
    elif not isinstance(error, SluiceError):
        _log.error("%s failed", method, exc_info=error)
        error = SluiceError(Reason.INTERNAL, "internal error")
    return to_status(error)


def from_rpc(error: grpc.aio.AioRpcError, service: str) -> SluiceError:
    """Why a call of `service` (its name for people) ended without a response."""
    info = _error_info(error)
    message = error.details() or ""
    if info is None:
        return SluiceError(_reason_of(error.code(), message), f"{service}: {message}")
    if info.reason not in Reason.__members__:  # the peer is newer than this code
        return SluiceError(Reason.INTERNAL, message, **info.metadata)
    return SluiceError(Reason[info.reason], message, **info.metadata)


def invalid_response(service: str, text: str) -> SluiceError:
    """What a call of `service` brought is no response, and `text` says why."""
    return SluiceError(Reason.INVALID_RESPONSE, f"{service}: {text}")


def _reason_of(code: grpc.StatusCode, message: str) -> Reason:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        return Reason.BODY_TOO_LARGE
    return _WITHOUT_DETAILS.get(code, Reason.INTERNAL)


def _error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """Sluice's `ErrorInfo` in the trailers. None where the error is not one of Sluice's."""
    trailers = error.trailing_metadata() or ()
    data = next((value for key, value in trailers if key == DETAILS_KEY), b"")
    info = error_details_pb2.ErrorInfo()
    try:
        for detail in status_pb2.Status.FromString(data).details:
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    except DecodeError:  # what a peer that is not Sluice put there
        return None
    return None


def _capped_all(metadata: Mapping[str, str]) -> dict[str, str]:
    """As many of the entries as there is room for in the trailers, each of them capped."""
    kept, room = {}, MAX_METADATA
    for key, value in metadata.items():
        capped = _capped(value)
        size = len(key.encode()) + len(capped.encode())
        if size <= room:
            kept[key] = capped
            room -= size
    return kept


def _capped(text: str) -> str:
    """`text` with at most `MAX_TEXT` bytes of UTF-8. A lone surrogate becomes `?`."""
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore")
