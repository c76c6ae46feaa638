"""What may come: never more than the window, and never none when nothing waits here."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluice.http2.window import ReceiveWindow


@given(st.integers(2, 1000), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400))))
def test_window(size: int, turns: list[tuple[int, int]]) -> None:
    """The far side may send what was granted, and it is the window but for what waits here."""
    window, allowed = ReceiveWindow(size), size
    for came, read in turns:
        taken = min(came, allowed)
        assert window.take(taken)
        allowed -= taken
        given_back = min(read, window.held)
        window.release(given_back)
        window.owe(given_back)
        allowed += window.grant()
        assert allowed + window.held <= size
        if not window.held:
            assert allowed > size // 2  # what is not granted is less than half
    assert not window.take(allowed + 1)
