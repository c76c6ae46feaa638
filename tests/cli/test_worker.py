from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.cli.conftest import TOKEN, Registry, Sluice

AT_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sluice.cli.main import main
main()
"""
"""The command as people start it. A shell's job in the background ignores SIGINT, and so would what
it starts: a test run, and the command in it (POSIX, Signals and Error Handling)."""


@pytest.fixture
async def acme(sluice: Sluice, tmp_path: Path) -> None:
    """The Worker production/acme."""
    (tmp_path / "acme.js").write_text("export default {};")
    await sluice("namespace", "create", "production")
    result = await sluice("deploy", "-c", str(tmp_path / "acme.js"), "-n", "production")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("acme")
async def test_list_is_of_one_namespace(sluice: Sluice) -> None:
    """A user Worker is listed in its dispatch namespace, and not among account-level Workers."""
    listed = await sluice("worker", "list", "-n", "production")
    header, row = listed.stdout.splitlines()
    assert header.split() == ["NAME", "DIGEST", "MAIN", "MODIFIED", "(UTC)"]
    assert row.split()[0] == "acme"
    assert row.split()[2] == "acme.js"
    assert json.loads((await sluice("worker", "list", "--json")).stdout) == []


@pytest.mark.usefixtures("acme")
async def test_get_shows_all_that_is_known(sluice: Sluice) -> None:
    """What people read and what programs read is the same."""
    shown = await sluice("worker", "get", "acme", "-n", "production")
    fields = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines())
    found = json.loads((await sluice("worker", "get", "acme", "-n", "production", "--json")).stdout)
    assert fields["digest"] == found["worker"]["digest"]
    assert len(fields["digest"]) == 64
    assert fields["namespace"] == found["worker"]["dispatch_namespace"] == "production"
    assert fields["main"] == found["main_module"] == "acme.js"
    assert fields["versions"] == str(found["version_count"]) == "1"


@pytest.mark.usefixtures("acme")
async def test_unknown_worker_names_worker_and_namespace(sluice: Sluice) -> None:
    """The error is one line with the reason, the Worker and where it was looked for."""
    result = await sluice("worker", "get", "acm", "-n", "production")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: WORKER_NOT_FOUND: ")
    assert "'acm'" in result.stderr
    assert "'production'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("acme")
async def test_delete_asks_first(sluice: Sluice) -> None:
    """Without `--yes` a Worker is deleted only by a person who says so."""
    refused = await sluice("worker", "delete", "acme", "-n", "production", text="n\n")
    assert refused.exit_code == 1
    assert (await sluice("worker", "get", "acme", "-n", "production")).exit_code == 0
    deleted = await sluice("worker", "delete", "acme", "-n", "production", "--yes")
    assert deleted.stdout == "deleted production/acme\n"
    assert (await sluice("worker", "get", "acme", "-n", "production")).exit_code == 1


@pytest.mark.usefixtures("acme")
async def test_logs_prints_lines(sluice: Sluice, registry: Registry) -> None:
    """Each line comes with its time and the beginning of its version's digest."""
    registry.lines += ["hello", "world"]
    result = await sluice("worker", "logs", "acme", "-n", "production", "--no-follow")
    assert result.stdout == "12:00:00 abababababab hello\n12:00:00 abababababab world\n"


@pytest.mark.usefixtures("acme")
async def test_ctrl_c_ends_following(registry: Registry) -> None:
    """Following ends with the exit code of a Ctrl-C, and without a word."""
    registry.lines.append("hello")
    registry.follow = asyncio.Event()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AT_A_TERMINAL),
        *("worker", "logs", "acme", "-n", "production"),
        *("--dispatcher", str(registry.address), "--token", TOKEN),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(20):
            assert b"hello" in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, said) == (130, b"")


async def test_logs_of_nobody_is_an_error(sluice: Sluice) -> None:
    """An unknown Worker is said at once, and not followed for ever."""
    result = await sluice("worker", "logs", "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: WORKER_NOT_FOUND: ")
