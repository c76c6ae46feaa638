"""What must hold at the end."""

from __future__ import annotations

from soak import checks
from soak.holdings import Holdings
from soak.ledger import Ledger


def failed(found: list[checks.Check]) -> list[str]:
    """What does not hold."""
    return [check.what for check in found if not check.holds]


def test_requests() -> None:
    """One request with another's params, one unexplained error, one kind that never came through."""
    ledger = Ledger()
    assert failed(list(checks.of_requests(ledger, [], []))) == []
    ledger.failed("plain", "LOAD_SHED\n", 0, 1)
    assert failed(list(checks.of_requests(ledger, ["a got b"], ["plain"]))) == [
        "params mismatches",
        "errors are documented ones, and explained",
        "every kind of request was served",
    ]


def test_holdings() -> None:
    """More than at the start is a leak; a few connections more are not."""
    before = {"outbound": Holdings(1, 20, 0)}
    few = {"outbound": Holdings(1, 20 + checks.SPARE, 0)}
    many = {"outbound": Holdings(2, 21 + checks.SPARE, 0)}
    assert failed(list(checks.of_holdings(before, few, []))) == []
    assert failed(list(checks.of_holdings(before, many, ["i-a"]))) == [
        "descriptors of outbound",
        "processes of outbound",
        "folders of isolates",
    ]


def test_the_end() -> None:
    """Nothing may be left."""
    assert failed(list(checks.of_end([], []))) == []
    assert failed(list(checks.of_end([4711], ["i-a"]))) == [
        "processes after the end",
        "folders after the end",
    ]
