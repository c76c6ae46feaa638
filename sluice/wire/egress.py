"""Egress policies: which hosts a subrequest may go to, as rules that are ready to be applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sluice.pb import worker_pb2
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.hosts import Pattern

MAX_BYTES = 16 * 1024
"""Most bytes of one policy, as protobuf. Each subrequest carries it, as it carries its params."""

MODES = {
    "enforce": worker_pb2.EgressPolicy.MODE_ENFORCE,
    "report": worker_pb2.EgressPolicy.MODE_REPORT,
}
"""Modes by the names that configs and people have for them."""


class Rules(NamedTuple):
    """A policy that was read."""

    reports: bool
    """Whether it lets through, and only reports, what its lists refuse."""
    allowed: tuple[Pattern, ...] | None
    """None: every host that is not denied."""
    denied: tuple[Pattern, ...]


def read(policy: worker_pb2.EgressPolicy, name: str = "egress") -> Rules:
    """The rules of a policy. `name` is the field it came in.

    Raises `INVALID_REQUEST` that names the entry at fault.
    """
    if policy.ByteSize() > MAX_BYTES:
        raise _invalid(name, f"{policy.ByteSize()} bytes, over the limit of {MAX_BYTES}")
    if policy.mode not in worker_pb2.EgressPolicy.Mode.values():
        raise _invalid(f"{name}.mode", f"there is no mode {policy.mode}")
    allowed = None
    if policy.HasField("allowed_hosts"):
        allowed = _patterns(policy.allowed_hosts.patterns, f"{name}.allowed_hosts.patterns")
    denied = _patterns(policy.denied_hosts, f"{name}.denied_hosts")
    return Rules(policy.mode == worker_pb2.EgressPolicy.MODE_REPORT, allowed, denied)


def check(policy: worker_pb2.EgressPolicy, name: str = "egress") -> None:
    """Raise what `read` raises."""
    read(policy, name)


def _patterns(written: Iterable[str], name: str) -> tuple[Pattern, ...]:
    patterns = []
    for at, text in enumerate(written):
        try:
            patterns.append(Pattern.parse(text))
        except ValueError as error:
            raise _invalid(f"{name}[{at}]", f"{text[:80]!r}: {error}") from error
    return tuple(patterns)


def _invalid(where: str, what: str) -> SluiceError:
    return SluiceError(Reason.INVALID_REQUEST, f"{where}: {what}")
