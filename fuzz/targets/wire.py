"""Protobuf messages of the contract, as any peer may send them: made values, and written on.

The first byte says which message the rest is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import struct_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from wsproto.frame_protocol import FrameProtocol

from fuzz.target import Target
from services.outbound.origin import request_head
from sluice.bundle.digest import digest
from sluice.bundle.validate import validate
from sluice.http1 import outgoing
from sluice.isolate import control, workerd
from sluice.isolate.invocation import Limits
from sluice.isolate.runtime import Runtime
from sluice.isolate.sandbox.posture import Kind, Posture
from sluice.mesh import errors
from sluice.mesh.span import parse_traceparent
from sluice.pb import http_pb2, outbound_pb2, userworker_pb2, worker_pb2
from sluice.wire import params
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import request_from_pb, response_from_pb
from sluice.wire.websocket import Close, message_from_pb, message_to_pb

_RUNTIME = Runtime(Path("workerd"), Path(), Posture(Kind.NONE))


def _read(data: bytes) -> None:
    readers = list(_READERS.values())
    with contextlib.suppress(SluiceError, DecodeError):
        readers[(data[0] if data else 0) % len(readers)](data[1:])


def _invocation(data: bytes) -> None:
    message = userworker_pb2.InvokeStreamRequest.FromString(data)
    chosen = message.invocation
    _params(chosen.outbound.params)
    _params(chosen.props)
    Limits().with_chosen(chosen.limits)
    request = request_from_pb(message.head, Whole(message.body))
    outgoing.request(request, {control.CALL: control.encode({"method": chosen.rpc_method})})


def _subrequest(data: bytes) -> None:
    message = outbound_pb2.OutboundFetchRequest.FromString(data)
    _params(message.subrequest.outbound.params)
    request = request_from_pb(message.head, Whole(message.body))
    location = request_head.locate(request.url)
    framing = request_head.framing(request, message.body, complete=True)
    written = request_head.head(request, location, framing)
    assert written.count(b"\n") == 3 + len(request.headers) - _expects(request) + bool(framing)


def _expects(request: Any) -> int:
    return sum(name == "expect" for name, _ in request.headers)


def _response(data: bytes) -> None:
    message = userworker_pb2.InvokeResponse.FromString(data)
    response = response_from_pb(message.head, Whole(message.body))
    written = outgoing.response(response, "GET", chunks=True, close=False)
    assert written.head.count(b"\r\n\r\n") == 1


def _message(data: bytes) -> None:
    message = message_from_pb(http_pb2.WebSocketMessage.FromString(data))
    assert message_from_pb(message_to_pb(message)) == message
    frames = FrameProtocol(client=True, extensions=[])
    if isinstance(message, Close):
        frames.close(message.code, message.reason)
    else:
        frames.send_data(message.data)


def _bundle(data: bytes) -> None:
    bundle = worker_pb2.Bundle.FromString(data)
    validate(bundle)
    assert digest(bundle) == digest(worker_pb2.Bundle.FromString(bundle.SerializeToString()))
    for config_of in (workerd.user_config, workerd.direct_config):
        try:
            config_of(bundle, _RUNTIME)
        except SluiceError:
            continue  # a Python Worker


def _params(struct: struct_pb2.Struct) -> None:
    params.check(struct)
    value = params.from_struct(struct)
    header = control.encode(params.as_env(value, {"reserved"}))
    json.loads(header, parse_constant=_no_json)
    assert params.from_struct(params.to_struct(value)) == value


def _no_json(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


def _struct(data: bytes) -> None:
    _params(struct_pb2.Struct.FromString(data))


def _error(data: bytes) -> None:
    status = status_pb2.Status.FromString(data)
    trailers = grpc.aio.Metadata((errors.DETAILS_KEY, data))
    ended = grpc.aio.AioRpcError(
        grpc.StatusCode.UNKNOWN, grpc.aio.Metadata(), trailers, status.message
    )
    errors.to_status(errors.from_rpc(ended, "peer"))


def _traceparent(data: bytes) -> None:
    parse_traceparent(data.decode("latin-1"))


_READERS: dict[str, Callable[[bytes], None]] = {
    "invocation": _invocation,
    "subrequest": _subrequest,
    "response": _response,
    "message": _message,
    "bundle": _bundle,
    "struct": _struct,
    "error": _error,
    "traceparent": _traceparent,
}


def _struct_of(value: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


def _error_of() -> SluiceError:
    return SluiceError(Reason.WORKER_EXCEPTION, "Error: m", name="Error", message="m")


_HEAD = http_pb2.HttpRequestHead(
    method="POST",
    url="https://a.example:8443/p?q",
    headers=[http_pb2.HttpHeader(name="x-a", value=b"\xe9")],
    content_length=2,
)
_PARAMS = _struct_of({"params_object": {"customer": "acme", "n": [1, 2.5, None, True]}})
_OUTBOUND = worker_pb2.OutboundBinding(service="outbound", digest="0" * 64, params=_PARAMS)
_WORKER = worker_pb2.Worker(dispatch_namespace="production", name="api", digest="0" * 64)
_MODULE = worker_pb2.Module(
    name="index.js", kind=worker_pb2.Module.KIND_ES_MODULE, content=b"export default {}"
)
_NAMESPACE = worker_pb2.DispatchNamespaceBinding(
    binding="DISPATCH",
    dispatch_namespace="production",
    outbound_service="outbound",
    outbound_parameters=["params_object"],
)
_MESSAGES: dict[str, Any] = {
    "invocation": userworker_pb2.InvokeStreamRequest(
        invocation=userworker_pb2.Invocation(
            worker=_WORKER,
            outbound=_OUTBOUND,
            props=_struct_of({"plan": "free"}),
            limits=worker_pb2.Limits(cpu_ms=50),
            rpc_method="add",
        ),
        head=_HEAD,
        body=b"hi",
    ),
    "subrequest": outbound_pb2.OutboundFetchRequest(
        subrequest=outbound_pb2.Subrequest(worker=_WORKER, outbound=_OUTBOUND, hops=1),
        head=_HEAD,
        body=b"hi",
    ),
    "response": userworker_pb2.InvokeResponse(
        head=http_pb2.HttpResponseHead(status=201, headers=_HEAD.headers, status_text="It is"),
        body=b"hi",
    ),
    "message": http_pb2.WebSocketMessage(close=http_pb2.WebSocketClose(code=1000, reason="bye")),
    "bundle": worker_pb2.Bundle(
        main_module="index.js",
        modules=[_MODULE],
        compatibility_date="2026-01-01",
        compatibility_flags=["nodejs_compat"],
        vars=_struct_of({"A": {"b": [1]}}),
        secrets={"KEY": "secret"},
        dispatch_namespaces=[_NAMESPACE],
    ),
    "struct": _PARAMS,
    "error": status_pb2.Status.FromString(errors.to_status(_error_of()).metadata[0][1]),
}


def _seeds() -> dict[str, bytes]:
    messages = {
        name: bytes([list(_READERS).index(name)]) + message.SerializeToString()
        for name, message in _MESSAGES.items()
    }
    return {**messages, "traceparent": b"\x0700-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"}


TARGET = Target("wire", _read, _seeds())
