from sluice.pb import http_pb2 as _http_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DispatchRequest(_message.Message):
    __slots__ = ("head", "body")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    head: _http_pb2.HttpRequestHead
    body: bytes
    def __init__(self, head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ...) -> None: ...

class DispatchResponse(_message.Message):
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

class DispatchStreamRequest(_message.Message):
    __slots__ = ("head", "body", "trailers", "websocket")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRAILERS_FIELD_NUMBER: _ClassVar[int]
    WEBSOCKET_FIELD_NUMBER: _ClassVar[int]
    head: _http_pb2.HttpRequestHead
    body: bytes
    trailers: _http_pb2.HttpTrailers
    websocket: _http_pb2.WebSocketMessage
    def __init__(self, head: _Optional[_Union[_http_pb2.HttpRequestHead, _Mapping]] = ..., body: _Optional[bytes] = ..., trailers: _Optional[_Union[_http_pb2.HttpTrailers, _Mapping]] = ..., websocket: _Optional[_Union[_http_pb2.WebSocketMessage, _Mapping]] = ...) -> None: ...

class DispatchStreamResponse(_message.Message):
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
