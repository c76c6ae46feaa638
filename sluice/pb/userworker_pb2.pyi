import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from sluice.pb import http_pb2 as _http_pb2
from sluice.pb import worker_pb2 as _worker_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Invocation(_message.Message):
    __slots__ = ("worker", "outbound", "limits", "props", "hops", "rpc_method")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    PROPS_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    RPC_METHOD_FIELD_NUMBER: _ClassVar[int]
    worker: _worker_pb2.Worker
    outbound: _worker_pb2.OutboundBinding
    limits: _worker_pb2.Limits
    props: _struct_pb2.Struct
    hops: int
    rpc_method: str
    def __init__(self, worker: _Optional[_Union[_worker_pb2.Worker, _Mapping]] = ..., outbound: _Optional[_Union[_worker_pb2.OutboundBinding, _Mapping]] = ..., limits: _Optional[_Union[_worker_pb2.Limits, _Mapping]] = ..., props: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., hops: _Optional[int] = ..., rpc_method: _Optional[str] = ...) -> None: ...

class InvokeRequest(_message.Message):
    __slots__ = ("invocation", "head", "body")
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    invocation: Invocation
    head: _http_pb2.HttpRequestHead
    body: bytes
    def __init__(self, invocation: _Optional[_Union[Invocation, _Mapping]] = ..., head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ...) -> None: ...

class InvokeResponse(_message.Message):
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

class InvokeStreamRequest(_message.Message):
    __slots__ = ("invocation", "head", "body", "trailers", "websocket")
    INVOCATION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKET_FIELD_NUMBER: _ClassVar[int]
    invocation: Invocation
    head: _http_pb2.HttpRequestHead
    body: bytes
    trailers: _http_pb2.HttpTrailers
    websocket: _http_pb2.WebSocketMessage
    def __init__(self, invocation: _Optional[_Union[Invocation, _Mapping]] = ..., head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ..., trailers: _Optional[_Union[_http_pb2.HttpTrailers, _Mapping]] = ..., websocket: _Optional[_Union[_http_pb2.WebSocketMessage, _Mapping]] = ...) -> None: ...

class InvokeStreamResponse(_message.Message):
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

class TailWorkerRequest(_message.Message):
    __slots__ = ("worker", "no_follow")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    NO_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    worker: _worker_pb2.Worker
    no_follow: bool
    def __init__(self, worker: _Optional[_Union[_worker_pb2.Worker, _Mapping]] = ..., no_follow: _Optional[bool] = ...) -> None: ...

class TailWorkerResponse(_message.Message):
    __slots__ = ("time", "digest", "line")
    TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    digest: str
    line: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[str] = ..., line: _Optional[str] = ...) -> None: ...
