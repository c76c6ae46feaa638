"""What an HTTP exchange is in the contract: one call in two shapes, a pair of RPCs.

The messages of all pairs have the same fields: `head`, then `body`, `trailers` or `websocket`;
and `opening`, what the platform decided, where there is such. So one caller and one servicer do
for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from sluice.pb import dispatcher_pb2, outbound_pb2, userworker_pb2


@dataclass(frozen=True, slots=True)
class Pair:
    """The whole shape, whose request is one message, and the streamed one."""

    service: str
    """Full name of the service, such as `sluice.v1.OutboundService`."""

    whole: str
    """Name of the method of the whole shape, such as `OutboundFetch`."""

    stream: str
    """Name of the method of the streamed shape."""

    whole_request: Callable[..., Any]
    stream_request: Callable[..., Any]
    whole_response: Callable[..., Any]
    stream_response: Callable[..., Any]
    opening: str | None
    """Name of the field with what the platform decided."""

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
        whole_request=GetMessageClass(methods[whole].input_type),
        stream_request=GetMessageClass(methods[stream].input_type),
        whole_response=GetMessageClass(methods[whole].output_type),
        stream_response=GetMessageClass(methods[stream].output_type),
        opening=opening,
    )


DISPATCH = _pair(dispatcher_pb2.DESCRIPTOR, "DispatcherService", "Dispatch", None)
INVOKE = _pair(userworker_pb2.DESCRIPTOR, "UserWorkerService", "Invoke", "invocation")
OUTBOUND_FETCH = _pair(outbound_pb2.DESCRIPTOR, "OutboundService", "OutboundFetch", "subrequest")
