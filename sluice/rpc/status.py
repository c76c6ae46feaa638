"""How a call ended, and the header fields that say so."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import grpc
import grpc.aio

from sluice.http2.failure import Code
from sluice.http2.fields import Fields, encode
from sluice.rpc.metadata import Metadata, to_fields, to_metadata

_CODES: dict[bytes, grpc.StatusCode] = {b"%d" % code.value[0]: code for code in grpc.StatusCode}

_OF_RESET = {
    Code.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    Code.CONNECT_ERROR: grpc.StatusCode.UNAVAILABLE,
    Code.CANCEL: grpc.StatusCode.CANCELLED,
    Code.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}

_OF_HTTP = {
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
    b"429": grpc.StatusCode.UNAVAILABLE,
    b"502": grpc.StatusCode.UNAVAILABLE,
    b"503": grpc.StatusCode.UNAVAILABLE,
    b"504": grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Status:
    """The end of a call."""

    code: grpc.StatusCode
    details: str = ""
    metadata: Metadata = ()

    def block(self, *, alone: bool) -> bytes:
        """The block of the trailers; `alone`: of an answer that is nothing else."""
        if self is OK and not alone:
            return _OK_BLOCK
        fields = [(b"grpc-status", b"%d" % self.code.value[0])]
        if self.details:
            fields.append((b"grpc-message", _percent(self.details)))
        return encode([*(HEAD if alone else ()), *fields, *to_fields(self.metadata)])

    def error(self) -> grpc.aio.AioRpcError:
        """The same as an exception."""
        none = grpc.aio.Metadata()
        return grpc.aio.AioRpcError(
            self.code, none, grpc.aio.Metadata(*self.metadata), self.details
        )


HEAD: Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))
HEAD_BLOCK = encode(HEAD)

OK = Status(grpc.StatusCode.OK)
_OK_BLOCK = encode([(b"grpc-status", b"0")])


class AbortError(Exception):
    """A method ends its call with this status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.details)
        self.status = status


def of_trailers(fields: Fields) -> Status:
    """The status in the trailers of an answer, or in a head that is all there is."""
    said: dict[bytes, bytes] = dict(fields)
    number = said.get(b"grpc-status")
    if number == b"0":
        return OK
    if number is None:
        return of_head(fields)
    details = unquote_to_bytes(said.get(b"grpc-message", b"")).decode("utf-8", "replace")
    return Status(_CODES.get(number, grpc.StatusCode.UNKNOWN), details, to_metadata(fields))


def of_head(fields: Fields) -> Status:
    """The status of an answer that is none of gRPC's, by its status of HTTP."""
    http = dict(fields).get(b":status", b"")
    code = _OF_HTTP.get(http, grpc.StatusCode.UNKNOWN)
    return Status(code, f"no gRPC status; HTTP status {http[:3].decode('latin-1') or 'none'}")


def of_reset(code: Code, text: str) -> Status:
    """The status of a call whose stream, or whose connection, ended before it."""
    return Status(_OF_RESET.get(code, grpc.StatusCode.INTERNAL), text)


def _percent(text: str) -> bytes:
    """`grpc-message`: all but visible ASCII and space is percent-encoded, and the percent sign."""
    data = text.encode("utf-8", "replace")
    if all(0x20 <= byte <= 0x7E and byte != 0x25 for byte in data):
        return data
    return b"".join(
        bytes((byte,)) if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte
        for byte in data
    )
