"""An example that runs, for all the tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from examples.quickstart.origin import Origin
from examples.quickstart.sluice_dev import CONFIGS, SluiceDev, sluice_dev

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example(NamedTuple):
    """A platform, and the internet it talks to."""

    dev: SluiceDev
    origin: Origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def example(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Example]:
    """The example in the folder that the module names as `EXAMPLE`, under `sluice dev`.

    `CONFIGS` of the module are other Workers of it than the usual ones.
    """
    ca_file = tmp_path_factory.mktemp("example") / "ca.pem"
    folder = EXAMPLES / request.module.EXAMPLE
    configs = getattr(request.module, "CONFIGS", CONFIGS)
    async with (
        Origin(ca_file) as origin,
        sluice_dev(folder, ca_file, origin.options, configs) as dev,
    ):
        yield Example(dev, origin)
    assert dev.exit_code == 0
