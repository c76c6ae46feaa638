"""What grpcurl does, by the reflection service and nothing else: list, describe, call with JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from sluice.mesh.env import Address
from sluice.mesh.roles import Role
from sluice.mesh.tls import Credentials


class Grpcurl:
    """`grpcurl -plaintext ADDRESS ...`, or `grpcurl -authority ROLE -cacert ... ADDRESS ...`.

    Blocking: call it in a thread.
    """

    def __init__(self, address: Address, role: Role, own: Credentials | None) -> None:
        if own is None:
            self._channel = grpc.insecure_channel(str(address))
        else:
            authority = [("grpc.ssl_target_name_override", role.dns_name)]
            self._channel = grpc.secure_channel(str(address), own.for_channel(), authority)
        self._reflected = ProtoReflectionDescriptorDatabase(self._channel)
        self._pool = DescriptorPool(self._reflected)

    def __enter__(self) -> Grpcurl:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def services(self) -> list[str]:
        """`grpcurl ADDRESS list`."""
        return list(self._reflected.get_services())

    def describe(self, service: str) -> dict[str, tuple[str, str]]:
        """`grpcurl ADDRESS describe SERVICE`: methods with the names of their messages."""
        found = self._pool.FindServiceByName(service)
        return {m.name: (m.input_type.name, m.output_type.name) for m in found.methods}

    def call(self, method: str, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """`grpcurl -d REQUESTS ADDRESS METHOD`: the responses, as JSON."""
        service, _, name = method.rpartition("/")
        found = self._pool.FindServiceByName(service).methods_by_name[name]
        request_class, response_class = (
            GetMessageClass(found.input_type),
            GetMessageClass(found.output_type),
        )
        messages = [json_format.Parse(json.dumps(r), request_class()) for r in requests]

        def sent() -> Iterator[Any]:
            yield from messages

        shape = (found.client_streaming, found.server_streaming)
        arguments = {
            "request_serializer": request_class.SerializeToString,
            "response_deserializer": response_class.FromString,
        }
        path = f"/{method}"
        if shape == (False, False):
            answers = [self._channel.unary_unary(path, **arguments)(messages[0], timeout=10)]
        elif shape == (False, True):
            answers = list(self._channel.unary_stream(path, **arguments)(messages[0], timeout=10))
        else:
            answers = list(self._channel.stream_stream(path, **arguments)(sent(), timeout=10))
        return [json_format.MessageToDict(answer) for answer in answers]
