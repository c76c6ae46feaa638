from __future__ import annotations

from typing import Any

import pytest

from sluice.pb.worker_pb2 import EgressPolicy, HostList
from sluice.wire import egress
from sluice.wire.errors import Reason, SluiceError


def test_unset_is_not_empty() -> None:
    """An `allowed_hosts` without patterns is a list; one that is not set is none."""
    assert egress.read(EgressPolicy()).allowed is None
    assert egress.read(EgressPolicy(allowed_hosts=HostList())).allowed == ()


@pytest.mark.parametrize(
    ("mode", "reports"),
    [
        (EgressPolicy.MODE_UNSPECIFIED, False),  # who sets no mode wants what a policy is for
        (EgressPolicy.MODE_ENFORCE, False),
        (EgressPolicy.MODE_REPORT, True),
    ],
)
def test_mode(mode: EgressPolicy.Mode, reports: bool) -> None:
    """Only the mode `report` reports."""
    assert egress.read(EgressPolicy(mode=mode)).reports is reports


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"mode": 7}, "egress.mode: there is no mode 7"),
        ({"denied_hosts": ["a.test", "b:80"]}, r"egress.denied_hosts\[1\]: 'b:80': .*no port"),
        (
            {"allowed_hosts": {"patterns": [""]}},
            r"egress.allowed_hosts.patterns\[0\]: '': expected",
        ),
        ({"denied_hosts": ["x" * 200] * 100}, "egress: 20300 bytes, over the limit of 16384"),
    ],
)
def test_policy_that_cannot_be_read(policy: dict[str, Any], says: str) -> None:
    """The error names the entry at fault, by its field."""
    with pytest.raises(SluiceError, match=says) as raised:
        egress.check(EgressPolicy(**policy))
    assert raised.value.reason is Reason.INVALID_REQUEST
