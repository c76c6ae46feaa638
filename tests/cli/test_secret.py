from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Registry, Sluice


@pytest.fixture
async def acme(sluice: Sluice, tmp_path: Path) -> None:
    """The account-level Worker acme."""
    (tmp_path / "acme.js").write_text("export default {};")
    assert (await sluice("deploy", "-c", str(tmp_path / "acme.js"))).exit_code == 0


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("s3cret\n", "s3cret", id="as echo writes it"),
        pytest.param("s3cret", "s3cret", id="without a newline"),
        pytest.param("a\nb\n\n", "a\nb\n", id="lines, a key file"),
    ],
)
async def test_value_comes_from_standard_input(
    sluice: Sluice, registry: Registry, text: str, value: str
) -> None:
    """The value is what came, less one newline, and it is not printed."""
    result = await sluice("worker", "secret", "put", "acme", "KEY", text=text)
    assert (result.exit_code, result.stdout) == (0, "set secret KEY of acme\n")
    digest = (await registry.store.get_worker("", "acme")).worker.digest
    assert (await registry.store.bundle(digest)).secrets == {"KEY": value}


@pytest.mark.usefixtures("acme")
async def test_no_value_is_an_error(sluice: Sluice) -> None:
    """An empty standard input sets nothing."""
    result = await sluice("worker", "secret", "put", "acme", "KEY", text="")
    assert result.exit_code == 2
    assert "no value for KEY on standard input" in result.stderr
    assert (await sluice("worker", "secret", "list", "acme")).stdout == ""


@pytest.mark.usefixtures("acme")
async def test_names_are_listed_and_deleted(sluice: Sluice) -> None:
    """Names are listed, values never; a deleted secret is gone; deleting it again is an error."""
    for key in ("B", "A"):
        await sluice("worker", "secret", "put", "acme", key, text="value")
    assert (await sluice("worker", "secret", "list", "acme")).stdout == "A\nB\n"
    deleted = await sluice("worker", "secret", "delete", "acme", "A")
    assert deleted.stdout == "deleted secret A of acme\n"
    listed = await sluice("worker", "secret", "list", "acme", "--json")
    assert json.loads(listed.stdout) == ["B"]
    again = await sluice("worker", "secret", "delete", "acme", "A")
    assert again.exit_code == 1
    assert again.stderr.startswith("error: ")
    assert "A" in again.stderr
