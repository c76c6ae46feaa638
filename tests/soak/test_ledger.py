"""What a client may be told, and when."""

from __future__ import annotations

import pytest

from soak.ledger import BROKEN_OFF, Ledger, is_documented


@pytest.mark.parametrize(
    "got",
    [
        "ISOLATE_DIED (trace 0123456789abcdef0123456789abcdef)\n",
        "SERVICE_UNAVAILABLE\n",
        "Error: Network connection lost.",
        "Error: Worker exceeded CPU time limit.",
        f"{BROKEN_OFF}ServerDisconnectedError",
    ],
)
def test_documented(got: str) -> None:
    """The error table, at the listener and in a Worker, and the connection's own end."""
    assert is_documented(got)


@pytest.mark.parametrize(
    "got",
    [
        "INTERNAL (trace 0123456789abcdef0123456789abcdef)\n",  # a bug, whatever was killed
        "Error: internal error",
        "UNHEARD_OF\n",
        "Error: something else",
        "200 another customer's answer",
        "",
    ],
)
def test_not_documented(got: str) -> None:
    """Nothing else is."""
    assert not is_documented(got)


@pytest.mark.parametrize(
    ("began", "ended", "disturbed"), [(1, 4, 0), (1, 5, 1), (6, 7, 1), (9, 12, 1), (11, 12, 0)]
)
def test_an_error_needs_a_kill(began: float, ended: float, disturbed: int) -> None:
    """It is explained where the request was under way while something was disturbed."""
    ledger = Ledger()
    ledger.disturb("outbound", 5).ended = 10
    ledger.failed("plain", "SERVICE_UNAVAILABLE\n", began, ended)
    assert (ledger.disturbed["plain"], len(ledger.wrong)) == (disturbed, 1 - disturbed)


def test_a_kill_explains_no_undocumented_error() -> None:
    """Nor a wrong answer."""
    ledger = Ledger()
    ledger.disturb("outbound", 5)
    ledger.failed("plain", "200 another's", 6, 7)
    assert "not documented" in ledger.wrong[0]
