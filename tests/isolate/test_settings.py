"""How Python Workers are isolated is a setting, read once."""

from __future__ import annotations

import pytest

from sluice.isolate.settings import runner_config
from sluice.mesh.env import Environment, SettingError


@pytest.mark.parametrize(
    ("variables", "once"),
    [
        ({}, False),
        ({"SLUICE_PYTHON_ISOLATION": "process"}, False),
        ({"SLUICE_PYTHON_ISOLATION": "request"}, True),
    ],
)
def test_python_isolation(variables: dict[str, str], once: bool) -> None:
    """A process for a version, unless one for each request is asked for."""
    assert runner_config(Environment(variables), variables).runtime.python_once is once


def test_another_isolation() -> None:
    """Any other word stops the start, with the variable's name."""
    variables = {"SLUICE_PYTHON_ISOLATION": "thread"}
    with pytest.raises(SettingError, match="SLUICE_PYTHON_ISOLATION: 'thread' is not process or"):
        runner_config(Environment(variables), variables)
