from __future__ import annotations

import pytest

from sluice.bundle import egress
from sluice.bundle.document import ConfigError
from sluice.bundle.section import Section
from sluice.pb.worker_pb2 import EgressPolicy, HostList

ENFORCE, REPORT = EgressPolicy.MODE_ENFORCE, EgressPolicy.MODE_REPORT


def _section(values: dict[str, object]) -> Section:
    return Section("w.toml", values, [], "egress")


@pytest.mark.parametrize(
    ("values", "policy"),
    [
        ({}, EgressPolicy(mode=ENFORCE)),
        ({"mode": "report"}, EgressPolicy(mode=REPORT)),
        # As written: it is compared in canonical form, and shown as its writer knows it.
        ({"deniedHosts": ["*.B\u00fccher.example"]}, EgressPolicy(mode=ENFORCE, denied_hosts=["*.B\u00fccher.example"])),
        ({"allowedHosts": ["a.test"]}, EgressPolicy(mode=ENFORCE, allowed_hosts=HostList(patterns=["a.test"]))),
        # Set, though empty: nothing is allowed.
        ({"allowedHosts": []}, EgressPolicy(mode=ENFORCE, allowed_hosts=HostList())),
    ],
)  # fmt: skip
def test_policy(values: dict[str, object], policy: EgressPolicy) -> None:
    """A table is the policy that it says."""
    assert egress.read(_section(values)) == policy


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mode": "open"}, "w.toml: egress.mode: expected one of enforce, report, got 'open'"),
        ({"mode": 1}, "w.toml: egress.mode: expected a string, got a number"),
        ({"allowedHosts": "a.test"}, "w.toml: egress.allowedHosts: expected a list of strings"),
        ({"deniedHosts": ["a.test", "b.test:80"]}, "w.toml: egress.deniedHosts[1]: 'b.test:80': "),
        # Elsewhere only a warning; but here it would leave a policy that allows everything.
        (
            {"denied_hosts": ["a.test"]},
            "w.toml: egress.denied_hosts: unknown key; expected allowedHosts, deniedHosts, mode",
        ),
        ({"allowedHosts": ["https://a.test"]}, "w.toml: egress.allowedHosts[0]: 'https://a.test'"),
    ],
)
def test_wrong_value(values: dict[str, object], says: str) -> None:
    """The error names file, key and pattern."""
    with pytest.raises(ConfigError) as raised:
        egress.read(_section(values))
    assert str(raised.value).startswith(says)
