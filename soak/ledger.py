"""What was asked, what came of it, and whether it may be so. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from sluice.wire.errors import Reason, SluiceError

_AT_THE_LISTENER = re.compile(r"([A-Z_]+)(?: \(trace [0-9a-f]{32}\))?\n?")
_SHOWN = 300


class UnexpectedError(Exception):
    """What a client got is not what it asked for. The text is what it got."""


@dataclass(slots=True)
class Disturbance:
    """Something was killed, or broke: requests that were under way may fail."""

    what: str
    began: float
    ended: float = math.inf


@dataclass(slots=True)
class Ledger:
    """Every request of the soak. Times are those of one clock, in seconds."""

    served: Counter[str] = field(default_factory=Counter)
    """By kind: as asked for, refusals that were asked for among them."""
    disturbed: Counter[str] = field(default_factory=Counter)
    """By kind: failed with a documented error, while something was killed."""
    wrong: list[str] = field(default_factory=list)
    """Failed with no reason, or with an error that is not documented."""
    disturbances: list[Disturbance] = field(default_factory=list)

    def disturb(self, what: str, now: float) -> Disturbance:
        """Note that something was killed. The caller says when it is over."""
        disturbance = Disturbance(what, now)
        self.disturbances.append(disturbance)
        return disturbance

    def failed(self, kind: str, got: str, began: float, ended: float) -> None:
        """Note what came in place of what was asked for."""
        near = [d for d in self.disturbances if d.began <= ended and began <= d.ended]
        if near and is_documented(got):
            self.disturbed[kind] += 1
        else:
            why = "not documented" if near else "nothing was killed"
            self.wrong.append(f"{kind}: {why}: {got[:_SHOWN]!r}")


def is_documented(got: str) -> bool:
    """Whether a client may be told so where something was killed: docs/architecture.md, Errors."""
    listener = _AT_THE_LISTENER.fullmatch(got)
    if listener:
        return listener[1] in Reason.__members__ and listener[1] != Reason.INTERNAL.name
    return got in _THROWN or got.startswith(BROKEN_OFF)


BROKEN_OFF = "connection: "
"""How what a client's own connection says begins."""


def _thrown() -> frozenset[str]:
    """What the dispatch Worker sees thrown, by the error table, where the words are fixed."""
    bug = SluiceError(Reason.INTERNAL, "").as_thrown()
    thrown = {SluiceError(reason, "").as_thrown() for reason in Reason} - {bug}
    return frozenset(f"{name}: {message}" for name, message in thrown)


_THROWN = _thrown()
