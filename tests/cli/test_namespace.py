from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Sluice


async def test_created_namespace_is_listed(sluice: Sluice) -> None:
    """A dispatch namespace is there after `create`, for people and for programs."""
    created = await sluice("namespace", "create", "production")
    assert (created.exit_code, created.stdout) == (0, "created dispatch namespace production\n")
    listed = await sluice("namespace", "list")
    header, row = listed.stdout.splitlines()
    assert header.split() == ["NAME", "WORKERS", "EGRESS", "CREATED", "(UTC)"]
    assert row.split()[:3] == ["production", "0", "-"]
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


async def test_policy(sluice: Sluice) -> None:
    """A namespace has the egress policy of `create`, then that of `update`, then none again."""
    await sluice("namespace", "create", "production", "--denied-host", "*.evil.test")
    (found,) = json.loads((await sluice("namespace", "list", "--json")).stdout)
    assert found["egress"] == {"mode": "MODE_ENFORCE", "denied_hosts": ["*.evil.test"]}
    hosts = ("--allowed-host", "*.a.test", "--allowed-host", "192.0.2.0/24")
    report = ("--egress-mode", "report")
    updated = await sluice("namespace", "update", "production", *hosts, *report)
    name, workers, _, *policy = updated.stdout.splitlines()
    assert (name.split(), workers.split()) == (["name", "production"], ["workers", "0"])
    assert [line.split() for line in policy] == [
        ["egress", "report"],
        ["allowed", "*.a.test"],
        ["192.0.2.0/24"],
        ["denied", "(none)"],  # all of the former policy is gone
    ]
    assert (await sluice("namespace", "get", "production")).stdout == updated.stdout
    shown = json.loads((await sluice("namespace", "get", "production", "--json")).stdout)
    assert shown["egress"]["allowed_hosts"] == {"patterns": ["*.a.test", "192.0.2.0/24"]}
    assert "report" in (await sluice("namespace", "list")).stdout.splitlines()[1]
    dropped = await sluice("namespace", "update", "production", "--no-egress-policy")
    assert dropped.stdout.splitlines()[3].split() == ["egress", "every", "public", "host"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("update", "production"), 2, "give --allowed-host or --denied-host"),
        (
            ("update", "production", "--denied-host", "a.test", "--no-egress-policy"),
            2,
            "give --allowed-host or --denied-host",
        ),
        (("update", "production", "--egress-mode", "report"), 2, "--egress-mode: needs --allowed"),
        (("create", "new", "--egress-mode", "open"), 2, "'enforce', 'report'"),
        (
            ("create", "new", "--denied-host", "a.test:80"),
            1,
            "egress.denied_hosts[0]: 'a.test:80': neither",
        ),
        (("update", "staging", "--no-egress-policy"), 1, "NAMESPACE_NOT_FOUND"),
        (("get", "staging"), 1, "NAMESPACE_NOT_FOUND"),
    ],
)
async def test_policy_that_makes_no_sense(
    sluice: Sluice, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """What cannot be meant is an error that says what can, and changes nothing."""
    await sluice("namespace", "create", "production", "--denied-host", "a.test")
    before = await sluice("namespace", "list")
    result = await sluice("namespace", *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert (await sluice("namespace", "list")).stdout == before.stdout
