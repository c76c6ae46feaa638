"""Egress policies on the command line: the options that make one, and how one is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click

from sluice.pb import worker_pb2
from sluice.wire.egress import MODES

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMES = {mode: name for name, mode in MODES.items()}


def egress_options(command: Command) -> Command:
    """Add options for an egress policy. The command gets it as its `policy`, or None."""

    @click.option(
        "--allowed-host",
        "allowed",
        multiple=True,
        metavar="PATTERN",
        help="Allow only hosts like this: example.com, *.example.com, 192.0.2.0/24. "
        "May be repeated.",
    )
    @click.option(
        "--denied-host",
        "denied",
        multiple=True,
        metavar="PATTERN",
        help="Refuse hosts like this, allowed or not. May be repeated.",
    )
    @click.option(
        "--egress-mode",
        "mode",
        type=click.Choice(list(MODES)),
        help="Refuse, or only report what would be refused.  [default: enforce]",
    )
    @functools.wraps(command)
    def with_policy(
        allowed: tuple[str, ...], denied: tuple[str, ...], mode: str | None, **arguments: Any
    ) -> Any:
        return command(policy=_policy(allowed, denied, mode), **arguments)

    return with_policy  # type: ignore[return-value]  # click reads the options off the wrapper


def mode_of(policy: worker_pb2.EgressPolicy) -> str:
    """The name of its mode."""
    return _NAMES.get(policy.mode, "enforce")


def described(policy: worker_pb2.EgressPolicy) -> Iterator[tuple[str, str]]:
    """Label and text of each line that shows a policy."""
    yield "egress", mode_of(policy)
    if policy.HasField("allowed_hosts"):
        yield from _labelled("allowed", policy.allowed_hosts.patterns)
    yield from _labelled("denied", policy.denied_hosts)


def _labelled(label: str, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    first, *others = patterns or ["(none)"]
    yield label, first
    yield from (("", pattern) for pattern in others)


def _policy(
    allowed: tuple[str, ...], denied: tuple[str, ...], mode: str | None
) -> worker_pb2.EgressPolicy | None:
    if not allowed and not denied:
        if mode is not None:
            raise click.UsageError("--egress-mode: needs --allowed-host or --denied-host")
        return None
    hosts = worker_pb2.HostList(patterns=allowed) if allowed else None
    return worker_pb2.EgressPolicy(
        mode=MODES[mode or "enforce"], allowed_hosts=hosts, denied_hosts=denied
    )
