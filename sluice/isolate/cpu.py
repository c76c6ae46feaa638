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

SUBREQUEST = 0.002
"""Seconds that a subrequest costs the services, in all their processes. It counts for greed only:
the invocation did not use them."""

_FAIR = 0.0025
"""Seconds for each call of `charge`, at which nobody is greedy: at 20 calls a second, a twentieth
of a core. A loop gets more of a core that it shares with a dozen others."""

_Invocations = Collection[Invocation[Any]]


class CpuMeter:
    """Charges what a process used to its invocations.

    One runs at a time, and which one shows in what comes out next: a response, a part of it, or a
    subrequest. So whoever shows pays for what was used since somebody last did; who only waits
    pays for nobody. What nobody has shown for yet is in equal parts as good as each one's.
    """

    def __init__(self) -> None:
        self.background = 0.0
        """Seconds used while no request was in flight."""
        self.spent = 0.0
        """Seconds that the last call of `charge` found."""
        self.greedy = False
        """Whether an invocation has kept the process busy for long. It stays so."""
        self._caused = 0.0
        self._seen = 0.0
        self._stray = 0.0
        self._over_fair = 0.0
        self._unpaid = 0.0

    def subrequest(self) -> None:
        """A subrequest came, which the services have to carry."""
        self._caused += SUBREQUEST

    def charge(
        self,
        used: float,
        in_flight: _Invocations,
        last: Invocation[Any] | None,
        shown: _Invocations = (),
        ended: int = 0,
    ) -> bool:
        """Charge what was used since the last call. Returns whether the process must be killed.

        `used` is all CPU time of the process so far, in seconds. `shown` are those of `in_flight`
        of which something came out since the last call, and so many more did and have `ended`.
        Where none is in flight it is `last`'s, the one whose time after the response is not over;
        where there is none of those either, it is work that should have ended. An invocation over
        its limit gets its fate.
        """
        spent, self._seen = used - self._seen, max(used, self._seen)
        self.spent = spent
        caused, self._caused = self._caused, 0.0
        self._over_fair = max(0.0, self._over_fair + spent + caused - _FAIR)
        if spent <= 0:
            return False
        self._unpaid += spent
        if not in_flight:
            self.background += spent
            return self._charge_last(last)
        if shown or ended:
            share = self._take_unpaid() / (len(shown) + ended)
            for invocation in shown:
                invocation.cpu_used += share
            return self._is_over(shown, 0.0)
        if self._unpaid > max(invocation.limits.cpu for invocation in in_flight):
            return self._is_over(in_flight, self._unpaid)  # whosever it is, it is too much
        return self._is_over(in_flight, self._unpaid / len(in_flight))

    def _charge_last(self, last: Invocation[Any] | None) -> bool:
        spent = self._take_unpaid()
        if last is not None:
            last.cpu_used += spent
            return self._is_over((last,), 0.0)
        self._stray += spent
        return self._stray > STRAY

    def _take_unpaid(self) -> float:
        unpaid, self._unpaid = self._unpaid, 0.0
        return unpaid

    def _is_over(self, invocations: _Invocations, more: float) -> bool:
        """Whether one of them is over its limit, if it has used so many seconds more."""
        over = False
        for invocation in invocations:
            used = invocation.cpu_used + more
            if min(used + invocation.subrequests * SUBREQUEST, self._over_fair) > GREEDY:
                self.greedy = True
            if used > invocation.limits.cpu:
                over = True
                invocation.fate = SluiceError(
                    Reason.EXCEEDED_CPU,
                    f"the invocation used more than {invocation.limits.cpu:g} s of CPU time",
                )
        return over
