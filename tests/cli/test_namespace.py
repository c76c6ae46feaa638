from __future__ import annotations

import json

from tests.cli.conftest import Sluice


async def test_created_namespace_is_listed(sluice: Sluice) -> None:
    """A dispatch namespace is there after `create`, for people and for programs."""
    created = await sluice("namespace", "create", "production")
    assert (created.exit_code, created.stdout) == (0, "created dispatch namespace production\n")
    listed = await sluice("namespace", "list")
    header, row = listed.stdout.splitlines()
    assert header.split() == ["NAME", "WORKERS", "CREATED", "(UTC)"]
    assert row.split()[:2] == ["production", "0"]
    (found,) = json.loads((await sluice("namespace", "list", "--json")).stdout)
    assert found["name"] == "production"
    assert found["worker_count"] == 0


async def test_taken_name_is_an_error(sluice: Sluice) -> None:
    """A second namespace of the name is refused, with the reason."""
    await sluice("namespace", "create", "production")
    again = await sluice("namespace", "create", "production")
    assert again.exit_code == 1
    assert again.stderr.startswith("error: ALREADY_EXISTS: ")
    assert "production" in again.stderr


async def test_delete_asks_first(sluice: Sluice) -> None:
    """Without `--yes` a namespace is deleted only by a person who says so."""
    await sluice("namespace", "create", "production")
    refused = await sluice("namespace", "delete", "production", text="n\n")
    assert refused.exit_code == 1
    assert len(json.loads((await sluice("namespace", "list", "--json")).stdout)) == 1
    agreed = await sluice("namespace", "delete", "production", text="y\n")
    assert "deleted dispatch namespace production and the 0 Workers in it" in agreed.stdout
    assert json.loads((await sluice("namespace", "list", "--json")).stdout) == []


async def test_deleting_what_is_not_there_is_an_error(sluice: Sluice) -> None:
    """The error names the namespace."""
    result = await sluice("namespace", "delete", "staging", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: NAMESPACE_NOT_FOUND: ")
    assert "staging" in result.stderr
