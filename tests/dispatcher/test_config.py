"""The dispatcher's own settings."""

from __future__ import annotations

import os

import pytest

from services.dispatcher import config
from sluice.mesh.env import SettingError

BASE = {"PATH": os.environ["PATH"], "SLUICE_UNSAFE_NO_SANDBOX": "1"}


def read(**variables: str) -> tuple[int, float]:
    """Least rate and grace of clients."""
    found = config.read({**BASE, **variables})
    return found.client_rate, found.client_grace


def test_client_rate() -> None:
    """It is on by default, and `0B` turns it off."""
    assert read() == (240, 5.0)
    assert read(SLUICE_CLIENT_RATE="10KiB", SLUICE_CLIENT_GRACE="1m") == (10_240, 60.0)
    assert read(SLUICE_CLIENT_RATE="0B") == (0, 5.0)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SLUICE_CLIENT_RATE", "240", "'240' is not a size (like 512B, 64KiB or 128MiB)"),
        ("SLUICE_CLIENT_RATE", "-1B", "'-1B' is not a size (like 512B, 64KiB or 128MiB)"),
        ("SLUICE_CLIENT_GRACE", "5", "'5' is not a duration (like 250ms, 30s or 5m)"),
        ("SLUICE_CLIENT_GRACE", "0s", "must be at least 100ms"),
    ],
)
def test_what_cannot_be_used(name: str, value: str, said: str) -> None:
    """It ends the start, by the name of the variable."""
    with pytest.raises(SettingError) as raised:
        read(**{name: value})
    assert str(raised.value) == f"{name}: {said}"
