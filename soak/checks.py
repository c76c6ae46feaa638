"""What must hold at the end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from soak.holdings import Holdings
from soak.ledger import Ledger
from soak.memory import Memory, MiB

SPARE = 16
"""Descriptors more than at the start that are no leak: connections between services, and the
registry's pool of five, which fills as it is needed, with two files each."""

_SHOWN = 5


class Check(NamedTuple):
    """One thing that must hold."""

    what: str
    holds: bool
    figures: str


def of_requests(ledger: Ledger, mismatches: Sequence[str], kinds: Sequence[str]) -> Iterator[Check]:
    """What clients and origin saw."""
    yield Check("params mismatches", not mismatches, _some(mismatches))
    yield Check("errors are documented ones, and explained", not ledger.wrong, _some(ledger.wrong))
    idle = [kind for kind in kinds if not ledger.served[kind]]
    yield Check("every kind of request was served", not idle, ", ".join(idle) or "all")


def of_logs(errors: Sequence[str]) -> Iterator[Check]:
    """What services said of themselves."""
    yield Check("errors in the services' logs", not errors, _some(errors))


def of_memory(memories: Mapping[str, Memory]) -> Iterator[Check]:
    """What each service held after warm-up."""
    for name, memory in memories.items():
        figures = (
            f"{max(memory.sizes, default=0) / MiB:.0f} MiB at most, "
            f"{memory.growth / MiB:+.1f} MiB, {memory.slope * 60 / MiB:+.2f} MiB a minute"
        )
        yield Check(f"memory of {name} is flat", memory.is_flat, figures)


def of_holdings(
    before: Mapping[str, Holdings], after: Mapping[str, Holdings], folders: Sequence[str]
) -> Iterator[Check]:
    """What is held at a quiet moment, compared with an earlier one."""
    for name, then in before.items():
        now = after[name]
        yield Check(
            f"descriptors of {name}",
            now.descriptors <= then.descriptors + SPARE,
            f"{then.descriptors} before, {now.descriptors} after",
        )
        yield Check(
            f"processes of {name}",
            now.processes <= then.processes,
            f"{then.processes} before, {now.processes} after",
        )
    yield Check("folders of isolates", not folders, _some(folders))


def of_end(left_over: Sequence[int], folders: Sequence[str]) -> Iterator[Check]:
    """What is there when the mesh has stopped."""
    yield Check("processes after the end", not left_over, _some([str(pid) for pid in left_over]))
    yield Check("folders after the end", not folders, _some(folders))


def _some(found: Sequence[str]) -> str:
    """How many, and the first of them."""
    return "\n      ".join([str(len(found)), *found[:_SHOWN]])
