from __future__ import annotations

import socket

import click
import pytest

from sluice.cli.main import main
from tests.cli.conftest import Registry, Sluice


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group below `group`, by its words."""
    found = [path]
    for name, command in group.commands.items():
        below = (*path, name)
        found += commands(command, below) if isinstance(command, click.Group) else [below]
    return found


@pytest.mark.parametrize("words", commands(main), ids=" ".join)
async def test_help_is_complete(run: Sluice, words: tuple[str, ...]) -> None:
    """Every command says what it does, explains each option, and ends with an example of itself."""
    result = await run(*words, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.stdout
    assert " ".join(("sluice", *words)) in result.stdout.partition("Example:")[2]
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert command.help
    for parameter in command.params:
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


async def test_unreachable_dispatcher_is_one_line_with_its_address(run: Sluice) -> None:
    """Where nothing listens, the error names the address, and there is no traceback."""
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = await run("namespace", "list", "--dispatcher", address)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: SERVICE_UNAVAILABLE: cannot reach the dispatcher at {address}: "
        "Connection refused\n"
    )


async def test_wrong_token_is_one_line(run: Sluice, registry: Registry) -> None:
    """The reason comes first, in the words of the dispatcher."""
    where = ("--dispatcher", str(registry.address))
    result = await run("namespace", "list", *where, "--token", "wrong")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: UNAUTHENTICATED: authorization: the management token is wrong\n"
    )


async def test_other_service_at_the_address_is_said(run: Sluice, user_workers: object) -> None:
    """A userworker service in the place of the dispatcher is not taken for one."""
    address = str(getattr(user_workers, "address"))  # noqa: B009
    result = await run("namespace", "list", "--dispatcher", address)
    assert result.exit_code == 1
    assert f"error: NOT_SUPPORTED: the dispatcher at {address} has no such call" in result.stderr


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("127.0.0.1", id="no port"),
        pytest.param("127.0.0.1:x", id="port is no number"),
        pytest.param("127.0.0.1:70000", id="port is too high"),
        pytest.param("http://127.0.0.1:50051", id="a URL"),
    ],
)
async def test_bad_address_is_a_usage_error(run: Sluice, address: str) -> None:
    """What is no HOST:PORT is refused before anything is dialled."""
    result = await run("namespace", "list", SLUICE_DISPATCHER=address)
    assert result.exit_code == 2
    assert f"{address!r} is not an address" in result.stderr
