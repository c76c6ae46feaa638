from sluice.pb import http_pb2 as _http_pb2
from sluice.pb import worker_pb2 as _worker_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Subrequest(_message.Message):
    __slots__ = ("worker", "outbound", "invocation_id", "hops")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ID_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    worker: _worker_pb2.Worker
    outbound: _worker_pb2.OutboundBinding
    invocation_id: str
    hops: int
    def __init__(self, worker: _Optional[_Union[_worker_pb2.Worker, _Mapping]] = ..., outbound: _Optional[_Union[_worker_pb2.OutboundBinding, _Mapping]] = ..., invocation_id: _Optional[str] = ..., hops: _Optional[int] = ...) -> None: ...

class OutboundFetchRequest(_message.Message):
    __slots__ = ("subrequest", "head", "body")
    SUBREQUEST_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    subrequest: Subrequest
    head: _http_pb2.HttpRequestHead
    body: bytes
    def __init__(self, subrequest: _Optional[_Union[Subrequest, _Mapping]] = ..., head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ...) -> None: ...

class OutboundFetchResponse(_message.Message):
    __slots__ = ("head", "body", "trailers", "websocket")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKET_FIELD_NUMBER: _ClassVar[int]
    head: _http_pb2.HttpResponseHead
    body: bytes
    trailers: _http_pb2.HttpTrailers
    websocket: _http_pb2.WebSocketMessage
    def __init__(self, head: _Optional[_Union[_http_pb2.HttpResponseHead, _Mapping]] = ..., body: _Optional[bytes] = ..., trailers: _Optional[_Union[_http_pb2.HttpTrailers, _Mapping]] = ..., websocket: _Optional[_Union[_http_pb2.WebSocketMessage, _Mapping]] = ...) -> None: ...

class OutboundFetchStreamRequest(_message.Message):
    __slots__ = ("subrequest", "head", "body", "trailers", "websocket")
    SUBREQUEST_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKET_FIELD_NUMBER: _ClassVar[int]
    subrequest: Subrequest
    head: _http_pb2.HttpRequestHead
    body: bytes
    trailers: _http_pb2.HttpTrailers
    websocket: _http_pb2.WebSocketMessage
    def __init__(self, subrequest: _Optional[_Union[Subrequest, _Mapping]] = ..., head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ..., trailers: _Optional[_Union[_http_pb2.HttpTrailers, _Mapping]] = ..., websocket: _Optional[_Union[_http_pb2.WebSocketMessage, _Mapping]] = ...) -> None: ...

class OutboundFetchStreamResponse(_message.Message):
    __slots__ = ("head", "body", "trailers", "websocket")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKET_FIELD_NUMBER: _ClassVar[int]
    head: _http_pb2.HttpResponseHead
    body: bytes
    trailers: _http_pb2.HttpTrailers
    websocket: _http_pb2.WebSocketMessage
    def __init__(self, head: _Optional[_Union[_http_pb2.HttpResponseHead, _Mapping]] = ..., body: _Optional[bytes] = ..., trailers: _Optional[_Union[_http_pb2.HttpTrailers, _Mapping]] = ..., websocket: _Optional[_Union[_http_pb2.WebSocketMessage, _Mapping]] = ...) -> None: ...
