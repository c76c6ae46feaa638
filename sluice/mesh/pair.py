"""What an HTTP exchange is in the contract: one call in two shapes, a pair of RPCs.

The messages of all pairs have the same fields: `head`, then `body`, `trailers` or `websocket`;
and `opening`, what the platform decided, where there is such. So one caller and one servicer do
for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from sluice.pb import dispatcher_pb2, outbound_pb2, userworker_pb2


class MessageType(Protocol):
    """A class of protobuf messages."""

    def __call__(self, **fields: Any) -> Any:
        """A message with these fields."""

    @property
    def SerializeToString(self) -> Callable[[Any], bytes]:  # noqa: N802  # protobuf's name
        """Makes bytes of a message."""

    def FromString(self, data: bytes, /) -> Any:  # noqa: N802  # protobuf's name
        """The message that `data` is. Raises `DecodeError`."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The whole shape, whose request is one message, and the streamed one."""

    service: str
    """Full name of the service, such as `sluice.v1.OutboundService`."""

    whole: str
    """Name of the method of the whole shape, such as `OutboundFetch`."""

    stream: str
    """Name of the method of the streamed shape."""

    whole_request: MessageType
    stream_request: MessageType
    whole_response: MessageType
    stream_response: MessageType
    opening: str | None
    """Name of the field with what the platform decided."""

    @property
    def openings(self) -> tuple[str, ...]:
        """Fields of a request's first message, and of no other."""
        return (self.opening, "head") if self.opening else ("head",)

    @property
    def name(self) -> str:
        """What spans call it: the full method."""
        return f"{self.service}/{self.whole}"


def _pair(file: FileDescriptor, service: str, whole: str, opening: str | None) -> Pair:
    methods = file.services_by_name[service].methods_by_name
    stream = f"{whole}Stream"
    return Pair(
        service=f"{file.package}.{service}",
        whole=whole,
        stream=stream,
        whole_request=_class(methods[whole].input_type),
        stream_request=_class(methods[stream].input_type),
        whole_response=_class(methods[whole].output_type),
        stream_response=_class(methods[stream].output_type),
        opening=opening,
    )


def _class(message: Descriptor) -> MessageType:
    made: Any = GetMessageClass(message)
    return cast("MessageType", made)


DISPATCH = _pair(dispatcher_pb2.DESCRIPTOR, "DispatcherService", "Dispatch", None)
INVOKE = _pair(userworker_pb2.DESCRIPTOR, "UserWorkerService", "Invoke", "invocation")
OUTBOUND_FETCH = _pair(outbound_pb2.DESCRIPTOR, "OutboundService", "OutboundFetch", "subrequest")
