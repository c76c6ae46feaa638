from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf import struct_pb2

from sluice.bundle import validate as limits
from sluice.bundle.validate import check_name, check_namespace, is_date, validate
from sluice.pb.worker_pb2 import Bundle, DispatchNamespaceBinding, Module
from sluice.wire.errors import Reason, SluiceError


def _bundle() -> Bundle:
    return Bundle(
        main_module="index.js",
        modules=[Module(name="index.js", kind=Module.KIND_ES_MODULE, content=b"export default {}")],
        compatibility_date="2026-01-01",
    )


def _module(name: str, kind: Module.Kind = Module.KIND_TEXT, content: bytes = b"") -> Module:
    return Module(name=name, kind=kind, content=content)


def _nested(levels: int) -> struct_pb2.Value:
    value = struct_pb2.Value(number_value=1)
    for _ in range(levels):
        value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[value]))
    return value


def _add(*modules: Module) -> Callable[[Bundle], None]:
    return lambda bundle: bundle.modules.extend(modules)


def _bind(**fields: object) -> Callable[[Bundle], None]:
    binding = {"binding": "d", "dispatch_namespace": "n", **fields}
    return lambda bundle: bundle.dispatch_namespaces.append(DispatchNamespaceBinding(**binding))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        lambda b: None,
        _add(_module("lib/a b.txt"), _module("lib/ü.txt"), _module("...txt")),
        _add(_module("a.wasm", Module.KIND_WASM, b"\0asm\1\0\0\0")),
        _add(_module("a.json", Module.KIND_JSON, b'{"a": [1]}')),
        _add(_module("a.bin", Module.KIND_DATA, b"\xff\0")),
        lambda b: b.vars.update({"A": None, "$b": {"any key": 1}, "_c9": "x"}),
        lambda b: b.vars.fields["A"].CopyFrom(_nested(31)),
        lambda b: b.compatibility_flags.append("nodejs_compat"),
        _bind(outbound_service="o", outbound_parameters=["params_object", "any-name"]),
        _bind(dispatch_namespace="0-n_1"),
        _bind(egress={"allowed_hosts": {}, "denied_hosts": ["*.example.com", "192.0.2.0/24"]}),
        lambda b: setattr(b.limits, "cpu_ms", 1),
    ],
)
def test_what_may_be_a_worker_is_let_through(change: Callable[[Bundle], object]) -> None:
    """A valid bundle is valid."""
    bundle = _bundle()
    change(bundle)
    validate(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.Clear(), "modules: there are none"),
        (lambda b: setattr(b, "main_module", "x.js"), "main_module: there is no module 'x.js'"),
        (
            lambda b: setattr(b.modules[0], "kind", Module.KIND_COMMON_JS),
            "main_module: 'index.js' is KIND_COMMON_JS; expected an ES module",
        ),
        (
            lambda b: setattr(b.modules[0], "kind", Module.KIND_UNSPECIFIED),
            "modules['index.js']: kind is not set",
        ),
        (_add(_module("a", Module.KIND_UNSPECIFIED)), "modules['a']: kind is not set"),
        (_add(_module("a", 99)), "modules['a']: kind 99 is unknown"),  # type: ignore[arg-type]
        (
            _add(_module("a.js", Module.KIND_SERVICE_WORKER)),
            "modules['a.js']: only the main module may be in service-worker syntax",
        ),
        (
            _add(_module("a.py", Module.KIND_PYTHON)),
            "modules['a.py']: KIND_PYTHON in a Worker whose main module is KIND_ES_MODULE",
        ),
        (_add(_module("index.js")), "modules['index.js']: there are two of that name"),
        (_add(_module("a"), _module("a/b")), "modules['a']: another module has this name as its"),
        (_add(_module("")), "modules['']: expected a path relative to"),
        (_add(_module("/etc/passwd")), "modules['/etc/passwd']: expected a path relative to"),
        (_add(_module("../a")), "modules['../a']: the name has an empty, '.' or '..' part"),
        (_add(_module("a/../../b")), "the name has an empty, '.' or '..' part"),
        (_add(_module("a//b")), "the name has an empty, '.' or '..' part"),
        (_add(_module("./a")), "the name has an empty, '.' or '..' part"),
        (_add(_module("a/")), "the name has an empty, '.' or '..' part"),
        (_add(_module("a\\b")), "the name has a backslash or a control character"),
        (_add(_module("a\0b")), "the name has a backslash or a control character"),
        (_add(_module("a\nb")), "the name has a backslash or a control character"),
        (_add(_module("a" * 256)), "the name is too long"),
        (_add(_module("ü" * 128)), "the name is too long"),  # 256 bytes: a file name's limit
        (_add(_module("__sluice_gate.js")), "names that begin with __sluice are reserved"),
        (_add(_module("__sluice/gate.js")), "names that begin with __sluice are reserved"),
        (_add(_module("a.txt", content=b"ab\xff")), "modules['a.txt']: not UTF-8 at byte 2"),
        (_add(_module("a.wasm", Module.KIND_WASM, b"x")), "modules['a.wasm']: not WebAssembly"),
        (_add(_module("a.json", Module.KIND_JSON, b"{a}")), "modules['a.json']: not JSON: "),
        (_add(_module("a.json", Module.KIND_JSON, b"[" * 100_000)), "not JSON: "),
        (lambda b: setattr(b, "compatibility_date", ""), "compatibility_date: expected a date"),
        (lambda b: setattr(b, "compatibility_date", "20260101"), "compatibility_date: expected"),
        (
            lambda b: b.compatibility_flags.append('x"], modules = ['),
            "compatibility_flags: 'x\"], modules = [' is no flag",
        ),
        (lambda b: setattr(b.limits, "cpu_ms", 0), "limits.cpu_ms: expected a number from 1"),
        (lambda b: b.vars.update({"a-b": 1}), "vars: 'a-b' is no binding name"),
        (lambda b: b.vars.update({"": 1}), "vars: '' is no binding name"),
        (lambda b: b.vars.update({"1a": 1}), "vars: '1a' is no binding name"),
        (lambda b: b.secrets.update({"a b": "1"}), "secrets: 'a b' is no binding name"),
        (_bind(binding="a.b"), "dispatch_namespaces: 'a.b' is no binding name"),
        (lambda b: b.vars.update({"__sluice": 1}), "vars: '__sluice' is reserved"),
        (lambda b: b.vars.update({"__proto__": 1}), "vars: '__proto__' is reserved"),
        (
            lambda b: (b.vars.update({"A": 1}), b.secrets.update({"A": "1"})),
            "secrets: 'A' is also the name of a binding in vars",
        ),
        (
            lambda b: (b.secrets.update({"d": "1"}), _bind()(b)),
            "dispatch_namespaces: 'd' is also the name of a binding in secrets",
        ),
        (lambda b: (_bind()(b), _bind()(b)), "'d' is also the name of a binding in dispatch"),
        (lambda b: b.vars.fields["A"].CopyFrom(_nested(32)), "vars.A: nested more than 32 levels"),
        (lambda b: b.vars.update({"A": [1, float("nan")]}), "vars.A: nan is no JSON number"),
        (lambda b: b.vars.update({"A": {"b": float("inf")}}), "vars.A: inf is no JSON number"),
        (
            _bind(dispatch_namespace="A b"),
            "dispatch_namespaces['d'].dispatch_namespace: 'A b' is no namespace name",
        ),
        (
            _bind(outbound_service="a b"),
            "dispatch_namespaces['d'].outbound_service: 'a b' is no Worker name",
        ),
        (
            _bind(outbound_parameters=["p"]),
            "dispatch_namespaces['d'].outbound_parameters: there is no outbound_service",
        ),
        (
            _bind(outbound_service="o", outbound_parameters=["p", "p"]),
            "dispatch_namespaces['d'].outbound_parameters: 'p' is named twice",
        ),
        (
            _bind(egress={"denied_hosts": ["a.test", "a.test:80"]}),
            "dispatch_namespaces['d'].egress.denied_hosts[1]: 'a.test:80': neither",
        ),
        (
            _bind(egress={"denied_hosts": ["x" * 200] * 100}),
            "dispatch_namespaces['d'].egress: 20300 bytes, over the limit of 16384",
        ),
        (_bind(outbound_service="o", outbound_parameters=[""]), "'' is no parameter name"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[Bundle], object], message: str) -> None:
    """A bundle that cannot be a Worker is `INVALID_BUNDLE`, with what and where."""
    bundle = _bundle()
    change(bundle)
    with pytest.raises(SluiceError) as raised:
        validate(bundle)
    assert raised.value.reason is Reason.INVALID_BUNDLE
    assert message in raised.value.message


def test_a_python_worker_has_no_scripts() -> None:
    """The two languages do not mix in one Worker, whichever is the main one."""
    bundle = Bundle(
        main_module="main.py",
        modules=[_module("main.py", Module.KIND_PYTHON), _module("a.js", Module.KIND_ES_MODULE)],
        compatibility_date="2026-01-01",
    )
    with pytest.raises(SluiceError, match="KIND_ES_MODULE in a Worker whose main module is KIND_P"):
        validate(bundle)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules, their bytes and the settings each have a limit, which the message names."""
    bundle = _bundle()
    bundle.modules.append(_module("big.txt", content=b"x" * 100))
    bundle.secrets["A"] = "x" * 200
    for name, limit, message in [
        ("MAX_MODULES", 1, "modules: 2 of them, over the limit of 1"),
        ("MAX_MODULE_BYTES", 100, "modules: 117 bytes, over the limit of 100; .* is 'big.txt'"),
        ("MAX_SETTING_BYTES", 200, "vars, secrets and names: 2.. bytes, over the limit of 200"),
    ]:
        with monkeypatch.context() as patched:
            patched.setattr(limits, name, limit)
            with pytest.raises(SluiceError, match=message):
                validate(bundle)
    validate(bundle)


@pytest.mark.parametrize(
    ("name", "worker", "namespace"),
    [
        ("acme", True, True),
        ("acme-1_b", True, True),
        ("0", True, True),
        ("a" * 64, True, True),
        ("Acme", True, False),  # namespace names are lowercase
        ("_acme", True, False),
        ("acme.example.com", True, False),
        ("a" * 65, False, False),
        ("", False, False),
        ("-a", False, False),
        (".", False, False),
        ("..", False, False),
        ("a/b", False, False),
        ("a b", False, False),
        ("ü", False, False),
        ("a\n", False, False),
        ("a\0", False, False),
    ],
)
def test_names_are_checked(name: str, worker: bool, namespace: bool) -> None:
    """A name is safe in a path, a log line and a URL, and an error names the field."""
    for check, allowed in ((check_name, worker), (check_namespace, namespace)):
        if allowed:
            check(name, "worker.name")
            continue
        with pytest.raises(SluiceError, match=r"^worker\.name: ") as raised:
            check(name, "worker.name")
        assert raised.value.reason is Reason.INVALID_REQUEST


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2026-01-31", True),
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("2026-13-01", False),
        ("2026-1-1", False),
        ("2026-01-01T00:00:00", False),
        ("20260101", False),
        ("2026-W01-1", False),  # ISO 8601, and read by fromisoformat
        ("٢٠٢٦-01-01", False),  # digits elsewhere
    ],
)
def test_dates_are_dates_of_the_calendar(text: str, valid: bool) -> None:
    """Only `YYYY-MM-DD` in ASCII digits, of a day that there is."""
    assert is_date(text) is valid
