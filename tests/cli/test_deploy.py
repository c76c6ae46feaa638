from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Registry, Sluice

CONFIG = """
name = "acme"
main = "index.js"
compatibility_date = "2026-11-01"
{more}
[vars]
GREETING = "hello"
"""


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """A Worker in a folder, with a module, and secrets for development."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "wrangler.toml").write_text(CONFIG.format(more=""))
    (folder / "index.js").write_text("import t from './text.txt';\nexport default {};\n")
    (folder / "text.txt").write_text("x" * 2048)
    (folder / ".dev.vars").write_text("GREETING=dev\nKEY=dev\n")
    return folder


async def test_deploy_says_what_it_put_where(sluice: Sluice, acme: Path) -> None:
    """Name, namespace, digest and modules with their sizes are printed; the Worker is there."""
    await sluice("namespace", "create", "production")
    result = await sluice("deploy", "-c", str(acme), "--namespace", "production")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["deployed", "acme"]
    assert lines[1] == ["namespace", "production"]
    assert lines[3:] == [["module", "index.js", "47", "B"], ["module", "text.txt", "2.0", "KiB"]]
    got = await sluice("worker", "get", "acme", "-n", "production", "--json")
    digest = json.loads(got.stdout)["worker"]["digest"]
    assert lines[2] == ["digest", digest[:12]]


@pytest.mark.parametrize("path", ["acme", "acme/wrangler.toml", "solo.js"])
async def test_worker_may_be_config_folder_or_file(sluice: Sluice, acme: Path, path: str) -> None:
    """All three spellings of where a Worker is are understood; without a namespace: account level."""
    (acme.parent / "solo.js").write_text("export default {};")
    result = await sluice("deploy", "-c", str(acme.parent / path))
    assert result.exit_code == 0, result.output
    assert "namespace  (account level)" in result.stdout
    (found,) = json.loads((await sluice("worker", "list", "--json")).stdout)
    assert found["worker"]["name"] == Path(path).parts[0].removesuffix(".js")


async def test_python_worker(sluice: Sluice, tmp_path: Path) -> None:
    """A Python project comes with its packages; what cannot be imported has its file and line."""
    (tmp_path / "acme/src").mkdir(parents=True)
    (tmp_path / "acme/python_modules").mkdir()
    config = CONFIG.format(more='compatibility_flags = ["python_workers"]')
    (tmp_path / "acme/wrangler.toml").write_text(config.replace("index.js", "src/entry.py"))
    (tmp_path / "acme/src/entry.py").write_text("import json\nimport idna\n")
    result = await sluice("deploy", "-c", str(tmp_path / "acme"))
    assert result.exit_code == 1
    assert "acme/src/entry.py:2: imports 'idna', which is not in the bundle" in result.stderr
    (tmp_path / "acme/python_modules/idna.py").touch()
    result = await sluice("deploy", "-c", str(tmp_path / "acme"))
    assert result.exit_code == 0, result.output
    modules = [line.split()[1] for line in result.stdout.splitlines() if line[:6] == "module"]
    assert modules == ["entry.py", "python_modules/idna.py"]


async def test_development_secrets_stay_here(
    sluice: Sluice, registry: Registry, acme: Path
) -> None:
    """`.dev.vars` is not uploaded, and hides no var of the config."""
    await sluice("deploy", "-c", str(acme))
    assert await registry.store.list_secrets("", "acme") == []
    digest = (await registry.store.get_worker("", "acme")).worker.digest
    bundle = await registry.store.bundle(digest)
    assert bundle.vars["GREETING"] == "hello"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("secrets.json", '{"KEY": "a=b", "OTHER": "c"}', id="JSON"),
        pytest.param("secrets", "KEY=a=b\n# a comment\nOTHER='c'\n", id="dotenv"),
    ],
)
async def test_secrets_file_is_uploaded(
    sluice: Sluice, registry: Registry, acme: Path, name: str, text: str
) -> None:
    """The secrets of both formats are there after a deploy, and still after the next without it."""
    (acme / name).write_text(text)
    result = await sluice("deploy", "-c", str(acme), "--secrets-file", str(acme / name))
    assert result.exit_code == 0, result.output
    (acme / "index.js").write_text("export default {a: 1};")
    await sluice("deploy", "-c", str(acme))
    assert await registry.store.list_secrets("", "acme") == ["KEY", "OTHER"]
    digest = (await registry.store.get_worker("", "acme")).worker.digest
    assert (await registry.store.bundle(digest)).secrets == {"KEY": "a=b", "OTHER": "c"}


async def test_drop_secrets_drops_them(sluice: Sluice, registry: Registry, acme: Path) -> None:
    """With `--drop-secrets` a Worker has only the secrets of this deploy."""
    (acme / "secrets").write_text("KEY=a")
    await sluice("deploy", "-c", str(acme), "--secrets-file", str(acme / "secrets"))
    await sluice("deploy", "-c", str(acme), "--drop-secrets")
    assert await registry.store.list_secrets("", "acme") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"KEY": 1}', "error: acme/secrets: KEY: expected a string\n"),
        ('{"KEY": ', "error: acme/secrets: not JSON: "),
        ("KEY", "error: acme/secrets:1: KEY has no value\n"),
    ],
)
async def test_bad_secrets_file_is_named(
    sluice: Sluice, acme: Path, text: str, message: str
) -> None:
    """A secrets file that cannot be read is an error with its name, and nothing is deployed."""
    (acme / "secrets").write_text(text)
    result = await sluice("deploy", "-c", str(acme), "--secrets-file", str(acme / "secrets"))
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert json.loads((await sluice("worker", "list", "--json")).stdout) == []


async def test_environment_and_name(sluice: Sluice, acme: Path) -> None:
    """`--env` picks a section of the config, `--name` has the last word."""
    more = '[env.staging]\nname = "acme-next"\n'
    (acme / "wrangler.toml").write_text(CONFIG.format(more="") + more)
    staging = await sluice("deploy", "-c", str(acme), "--env", "staging")
    assert staging.stdout.startswith("deployed acme-next\n")
    named = await sluice("deploy", "-c", str(acme), "--env", "staging", "--name", "other")
    assert named.stdout.startswith("deployed other\n")


async def test_warnings_go_to_standard_error(sluice: Sluice, acme: Path) -> None:
    """A key that nobody knows is a warning that names it, and the Worker is deployed."""
    (acme / "wrangler.toml").write_text(CONFIG.format(more="colour = 'red'"))
    result = await sluice("deploy", "-c", str(acme))
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert "colour" in result.stderr


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("nowhere", "error: .*nowhere", id="no such file"),
        pytest.param("empty", "error: empty/: no ", id="nothing to deploy in the folder"),
        pytest.param("broken", r"error: broken/wrangler.toml:1:\d+: ", id="not TOML"),
    ],
)
async def test_what_cannot_be_read_is_named(
    sluice: Sluice, tmp_path: Path, path: str, message: str
) -> None:
    """A Worker that cannot be read is one line that says which file, and exit code 1."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "wrangler.toml").write_text("name =")
    result = await sluice("deploy", "-c", str(tmp_path / path))
    assert result.exit_code == 1
    assert re.match(message, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_missing_namespace_is_said(sluice: Sluice, acme: Path) -> None:
    """A namespace is not created by a deploy; a slip of the pen would make a second one."""
    result = await sluice("deploy", "-c", str(acme), "-n", "prodution")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: NAMESPACE_NOT_FOUND: ")
    assert "prodution" in result.stderr
