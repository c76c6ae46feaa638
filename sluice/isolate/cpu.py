"""Whose CPU time it is that a process uses, and whether it is too much. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sluice.isolate.invocation import Invocation
from sluice.wire.errors import Reason, SluiceError

STRAY = 1.0
"""Seconds that a process may use in all for work that is no invocation's: it is not always idle."""

GREEDY = 1.0
"""Seconds that one invocation may use, faster than `_FAIR`, until it is greedy."""

_FAIR = 0.0025
"""Seconds for each call of `charge`, at which nobody is greedy: at 20 calls a second, a twentieth
of a core. A loop gets more of a core that it shares with a dozen others."""


class CpuMeter:
    """Charges what a process used to its invocations."""

    def __init__(self) -> None:
        self.background = 0.0
        """Seconds used while no request was in flight."""
        self.spent = 0.0
        """Seconds that the last call of `charge` found."""
        self.greedy = False
        """Whether an invocation has kept the process busy for long. It stays so."""
        self._seen = 0.0
        self._stray = 0.0
        self._over_fair = 0.0

    def charge(
        self, used: float, in_flight: Collection[Invocation[Any]], last: Invocation[Any] | None
    ) -> bool:
        """Charge what was used since the last call. Returns whether the process must be killed.

        `used` is all CPU time of the process so far, in seconds. Requests in flight share what is
        new. Where there is none it is `last`'s, the one whose time after the response is not over;
        where there is none of those either, it is work that should have ended. An invocation over
        its limit gets its fate.
        """
        spent, self._seen = used - self._seen, max(used, self._seen)
        self.spent = spent
        self._over_fair = max(0.0, self._over_fair + spent - _FAIR)
        if spent <= 0:
            return False
        if not in_flight:
            self.background += spent
        payers = in_flight or ((last,) if last is not None else ())
        if not payers:
            self._stray += spent
            return self._stray > STRAY
        share = spent / len(payers)
        over = False
        for invocation in payers:
            invocation.cpu_used += share
            if min(invocation.cpu_used, self._over_fair) > GREEDY:
                self.greedy = True
            if invocation.cpu_used > invocation.limits.cpu:
                over = True
                invocation.fate = SluiceError(
                    Reason.EXCEEDED_CPU,
                    f"the invocation used more than {invocation.limits.cpu:g} s of CPU time",
                )
        return over
