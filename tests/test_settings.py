"""Settings are read, documented, and known to all services: the three are one list."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from services.dispatcher import config as dispatcher
from services.outbound import config as outbound
from services.userworker import config as userworker
from sluice.mesh.env import SettingError
from sluice.mesh.known import ELSEWHERE

ROOT = Path(__file__).parents[1]
READ: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "dispatcher": dispatcher.read,
    "userworker": userworker.read,
    "outbound": outbound.read,
}
BASE = {"PATH": os.environ["PATH"], "SLUICE_UNSAFE_NO_SANDBOX": "1"}


class Asked(dict[str, str]):
    """Variables that note which of them are asked for."""

    def __init__(self) -> None:
        super().__init__(BASE)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Note, then answer."""
        self.names.add(name)
        return super().get(name, default)


def asked(service: str) -> set[str]:
    """The `SLUICE_*` variables that a service reads."""
    variables = Asked()
    READ[service](variables)
    return {name for name in variables.names if name.startswith("SLUICE_")}


def in_compose() -> set[str]:
    """Those that docker-compose.yml reads for itself."""
    text = (ROOT / "docker-compose.yml").read_text()
    return set(re.findall(r"\$\{(SLUICE_[A-Z_]+)", text))


def in_command() -> set[str]:
    """Those that the `sluice` command reads by a name of their own."""
    files = (ROOT / "sluice/cli").glob("*.py")
    return {
        name for file in files for name in re.findall(r'envvar="(SLUICE_\w+)"', file.read_text())
    }


def test_every_service_knows_the_others_variables() -> None:
    """`ELSEWHERE` has just what is read somewhere, and by some service is not."""
    read = [asked(service) for service in READ]
    common = set.intersection(*read)
    assert set.union(*read, in_compose(), in_command()) - common == ELSEWHERE


def test_every_setting_is_documented() -> None:
    """docs/configuration.md has a row for each, and none for what nobody reads."""
    text = (ROOT / "docs/configuration.md").read_text()
    rows = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"SLUICE_[A-Z_]+", rows))
    assert documented == set.union(*(asked(service) for service in READ), ELSEWHERE)


@pytest.mark.parametrize("service", READ)
def test_a_shared_environment_is_quiet(service: str) -> None:
    """Variables for others are no warning; a name that nobody reads is, with the nearest one."""
    shared = {**BASE, **dict.fromkeys(ELSEWHERE - asked(service), "x"), "SLUICE_LOG_LEVL": "x"}
    (warning,) = READ[service](shared).warnings
    assert warning == "SLUICE_LOG_LEVL: not a setting of Sluice (did you mean SLUICE_LOG_LEVEL?)"


@pytest.mark.parametrize(
    ("service", "peer"),
    [
        ("dispatcher", "SLUICE_USERWORKER"),
        ("dispatcher", "SLUICE_OUTBOUND"),
        ("userworker", "SLUICE_REGISTRY"),
        ("userworker", "SLUICE_OUTBOUND"),
        ("outbound", "SLUICE_REGISTRY"),
    ],
)
def test_no_peer_elsewhere_in_plaintext(service: str, peer: str) -> None:
    """Without mTLS a service calls nobody beyond loopback, unless the unsafe switch says so."""
    variables = {**BASE, peer: "10.0.0.5:50052"}
    with pytest.raises(SettingError, match=rf"^{peer}: 10\.0\.0\.5:50052 .* plaintext"):
        READ[service](variables)
    READ[service]({**variables, "SLUICE_UNSAFE_PLAINTEXT": "1"})
