"""One run of a Worker: who it is, what it may do, what it has used."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sluice.mesh.tracing import Span
from sluice.pb import worker_pb2
from sluice.wire.body import Watched
from sluice.wire.customer import Customer
from sluice.wire.errors import SluiceError
from sluice.wire.websocket import WatchedSocket

Detail = TypeVar("Detail")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one invocation may use."""

    cpu: float = 30.0
    """Seconds of CPU time."""

    subrequests: int = 10_000
    """Subrequests, each redirect hop being one."""

    def with_chosen(self, *choices: worker_pb2.Limits) -> Limits:
        """These limits, except where `choices` name one; the last that names it holds."""
        cpu, subrequests = self.cpu, self.subrequests
        for chosen in choices:
            if chosen.HasField("cpu_ms"):
                cpu = chosen.cpu_ms / 1000
            if chosen.HasField("subrequests"):
                subrequests = chosen.subrequests
        return Limits(cpu, subrequests)


@dataclass(slots=True, eq=False)
class Invocation(Generic[Detail]):
    """One run of a Worker. `detail` is what the service that runs it wants back at a subrequest."""

    worker: worker_pb2.Worker
    detail: Detail
    span: Span
    limits: Limits
    hops: int = 0
    customer: Customer | None = None
    """In whose share of the service it runs; none for a dispatch Worker, which serves all."""

    id: str = field(init=False)
    """Names the invocation in logs."""

    _seen: int = field(init=False, default=0)

    token: str = field(init=False)
    """The capability that a subrequest carries. Never logged."""

    subrequests: int = 0
    open_subrequests: int = 0
    cpu_used: float = 0.0
    shown: int = 0
    """How often something came out of it: a subrequest, the head of its response."""

    flow: Watched | WatchedSocket | None = None
    """What its response goes on with, once there is one."""

    fate: SluiceError | None = None
    """Why the host ended it, where it did."""

    def __post_init__(self) -> None:
        drawn = secrets.token_hex(32)
        self.id, self.token = drawn[:16], drawn[16:]

    def has_shown(self) -> bool:
        """Whether anything came out of it since the last call: so it has run."""
        before = self._seen
        self._seen = self.shown if self.flow is None else self.shown + self.flow.count
        return self._seen != before
