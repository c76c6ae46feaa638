"""Whose work something is: what a service's shares are counted by."""

from __future__ import annotations

from typing import NamedTuple

from sluice.pb import worker_pb2


class Customer(NamedTuple):
    """A user Worker, whatever its version. Invocations, connections and so on are counted by it."""

    dispatch_namespace: str
    worker: str

    @classmethod
    def of(cls, worker: worker_pb2.Worker) -> Customer:
        """The customer whose Worker a message names."""
        return cls(worker.dispatch_namespace, worker.name)
