"""What an isolate runs: one version of one Worker."""

from __future__ import annotations

from typing import NamedTuple

from sluice.pb import worker_pb2


class Version(NamedTuple):
    """Names it. Two Workers with the same bundle have its digest in common, and no isolate."""

    dispatch_namespace: str
    name: str
    digest: str
    invocation: str = ""
    """The one invocation that the isolate is for, where it is for one."""


def version_of(worker: worker_pb2.Worker) -> Version:
    """The version that a message names."""
    return Version(worker.dispatch_namespace, worker.name, worker.digest)
