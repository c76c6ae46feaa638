from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Worker(_message.Message):
    __slots__ = ("dispatch_namespace", "name", "digest")
    DISPATCH_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    dispatch_namespace: str
    name: str
    digest: str
    def __init__(self, dispatch_namespace: _Optional[str] = ..., name: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("cpu_ms", "subrequests")
    CPU_MS_FIELD_NUMBER: _ClassVar[int]
    SUBREQUESTS_FIELD_NUMBER: _ClassVar[int]
    cpu_ms: int
    subrequests: int
    def __init__(self, cpu_ms: _Optional[int] = ..., subrequests: _Optional[int] = ...) -> None: ...

class EgressPolicy(_message.Message):
    __slots__ = ("mode", "allowed_hosts", "denied_hosts")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[EgressPolicy.Mode]
        MODE_ENFORCE: _ClassVar[EgressPolicy.Mode]
        MODE_REPORT: _ClassVar[EgressPolicy.Mode]
    MODE_UNSPECIFIED: EgressPolicy.Mode
    MODE_ENFORCE: EgressPolicy.Mode
    MODE_REPORT: EgressPolicy.Mode
    MODE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_HOSTS_FIELD_NUMBER: _ClassVar[int]
    DENIED_HOSTS_FIELD_NUMBER: _ClassVar[int]
    mode: EgressPolicy.Mode
    allowed_hosts: HostList
    denied_hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, mode: _Optional[_Union[EgressPolicy.Mode, str]] = ..., allowed_hosts: _Optional[_Union[HostList, _Mapping]] = ..., denied_hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class HostList(_message.Message):
    __slots__ = ("patterns",)
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    patterns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, patterns: _Optional[_Iterable[str]] = ...) -> None: ...

class OutboundBinding(_message.Message):
    __slots__ = ("service", "digest", "params", "namespace_egress", "binding_egress")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_EGRESS_FIELD_NUMBER: _ClassVar[int]
    BINDING_EGRESS_FIELD_NUMBER: _ClassVar[int]
    service: str
    digest: str
    params: _struct_pb2.Struct
    namespace_egress: EgressPolicy
    binding_egress: EgressPolicy
    def __init__(self, service: _Optional[str] = ..., digest: _Optional[str] = ..., params: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., namespace_egress: _Optional[_Union[EgressPolicy, _Mapping]] = ..., binding_egress: _Optional[_Union[EgressPolicy, _Mapping]] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("main_module", "modules", "compatibility_date", "compatibility_flags", "vars", "secrets", "dispatch_namespaces", "limits")
    class SecretsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MAIN_MODULE_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    COMPATIBILITY_DATE_FIELD_NUMBER: _ClassVar[int]
    COMPATIBILITY_FLAGS_FIELD_NUMBER: _ClassVar[int]
    VARS_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    main_module: str
    modules: _containers.RepeatedCompositeFieldContainer[Module]
    compatibility_date: str
    compatibility_flags: _containers.RepeatedScalarFieldContainer[str]
    vars: _struct_pb2.Struct
    secrets: _containers.ScalarMap[str, str]
    dispatch_namespaces: _containers.RepeatedCompositeFieldContainer[DispatchNamespaceBinding]
    limits: Limits
    def __init__(self, main_module: _Optional[str] = ..., modules: _Optional[_Iterable[_Union[Module, _Mapping]]] = ..., compatibility_date: _Optional[str] = ..., compatibility_flags: _Optional[_Iterable[str]] = ..., vars: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., secrets: _Optional[_Mapping[str, str]] = ..., dispatch_namespaces: _Optional[_Iterable[_Union[DispatchNamespaceBinding, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class Module(_message.Message):
    __slots__ = ("name", "kind", "content")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Module.Kind]
        KIND_ES_MODULE: _ClassVar[Module.Kind]
        KIND_SERVICE_WORKER: _ClassVar[Module.Kind]
        KIND_COMMON_JS: _ClassVar[Module.Kind]
        KIND_TEXT: _ClassVar[Module.Kind]
        KIND_DATA: _ClassVar[Module.Kind]
        KIND_JSON: _ClassVar[Module.Kind]
        KIND_WASM: _ClassVar[Module.Kind]
        KIND_PYTHON: _ClassVar[Module.Kind]
    KIND_UNSPECIFIED: Module.Kind
    KIND_ES_MODULE: Module.Kind
    KIND_SERVICE_WORKER: Module.Kind
    KIND_COMMON_JS: Module.Kind
    KIND_TEXT: Module.Kind
    KIND_DATA: Module.Kind
    KIND_JSON: Module.Kind
    KIND_WASM: Module.Kind
    KIND_PYTHON: Module.Kind
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: Module.Kind
    content: bytes
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[Module.Kind, str]] = ..., content: _Optional[bytes] = ...) -> None: ...

class DispatchNamespaceBinding(_message.Message):
    __slots__ = ("binding", "dispatch_namespace", "outbound_service", "outbound_parameters", "egress")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_SERVICE_FIELD_NUMBER: _ClassVar[int]
    OUTBOUND_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    EGRESS_FIELD_NUMBER: _ClassVar[int]
    binding: str
    dispatch_namespace: str
    outbound_service: str
    outbound_parameters: _containers.RepeatedScalarFieldContainer[str]
    egress: EgressPolicy
    def __init__(self, binding: _Optional[str] = ..., dispatch_namespace: _Optional[str] = ..., outbound_service: _Optional[str] = ..., outbound_parameters: _Optional[_Iterable[str]] = ..., egress: _Optional[_Union[EgressPolicy, _Mapping]] = ...) -> None: ...
