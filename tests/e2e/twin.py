"""The Workers under `twins/`: each twice, in JavaScript and in Python, to do the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sluice.pb import worker_pb2
from tests.e2e.languages import Language

FOLDER = Path(__file__).parent / "twins"

_KINDS = {
    Language.JAVASCRIPT: worker_pb2.Module.KIND_ES_MODULE,
    Language.PYTHON: worker_pb2.Module.KIND_PYTHON,
}


def twin(name: str, language: Language, **variables: Any) -> worker_pb2.Bundle:
    """The bundle of `twins/<name>` in a language, with `variables` in its env."""
    main = f"worker.{language}"
    bundle = worker_pb2.Bundle(main_module=main, compatibility_date="2026-01-01")
    content = (FOLDER / name / main).read_bytes()
    bundle.modules.add(name=main, kind=_KINDS[language], content=content)
    bundle.vars.update(variables)
    return bundle


def dispatching(bundle: worker_pb2.Bundle, **binding: Any) -> worker_pb2.Bundle:
    """Give a dispatch Worker a binding `dispatcher` to `production`, behind `outbound`."""
    bundle.dispatch_namespaces.add(
        **{
            "binding": "dispatcher",
            "dispatch_namespace": "production",
            "outbound_service": "outbound",
            "outbound_parameters": ["params_object"],
            **binding,
        }
    )
    return bundle
