from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.bundle.document import ConfigError
from sluice.cli.dev_workers import Key, Plan, Source, changes, places, sources

DISPATCH = """
name = "{name}"
main = "index.js"
compatibility_date = "2026-11-01"
[[dispatch_namespaces]]
binding = "dispatcher"
namespace = "production"
{outbound}
"""
OUTBOUND = 'outbound = {service = "outbound", parameters = ["params_object"]}'

CONFIG = """
name = "{name}"
main = "{main}"
compatibility_date = "2026-11-01"
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, and its folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def platform(write: Write, tmp_path: Path) -> Path:
    """A dispatch Worker, an Outbound Worker, and two customers."""
    write("dispatch/wrangler.toml", DISPATCH.format(name="dispatch", outbound=OUTBOUND))
    write("dispatch/index.js", "export default {};")
    write("outbound/index.js", "export default {};")
    write("customers/acme/index.js", "export default {};")
    write("customers/solo.py", "")
    write("customers/README.md", "not a Worker")
    write("customers/.hidden/index.js", "not a Worker either")
    return tmp_path


def read(platform: Path, *more: str) -> Plan:
    """What is in the platform's folder; `more` are configs beside dispatch and outbound."""
    configs = [platform / name for name in ("dispatch", "outbound", *more) if name]
    return Plan.read(sources(configs, {"production": platform / "customers"}))


def test_all_workers_are_found(platform: Path) -> None:
    """Account-level Workers come from configs, user Workers from what a folder holds."""
    plan = read(platform)
    assert plan.errors == {}
    assert set(map(str, plan.workers)) == {
        "dispatch",
        "outbound",
        "production/acme",
        "production/solo",
    }
    assert plan.namespaces() == ["production"]
    assert plan.dispatch_worker(None) == "dispatch"


def test_two_dispatch_workers_need_a_choice(platform: Path, write: Write) -> None:
    """Where two configs have dispatch namespaces the error names both, and a choice settles it."""
    write("second/wrangler.toml", DISPATCH.format(name="second", outbound=""))
    write("second/index.js", "export default {};")
    plan = read(platform, "second")
    with pytest.raises(ConfigError, match=r"dispatch and second have .* --dispatch-worker NAME"):
        plan.dispatch_worker(None)
    assert plan.dispatch_worker("second") == "second"
    with pytest.raises(ConfigError, match="--dispatch-worker third: no --config gives"):
        plan.dispatch_worker("third")


def test_none_is_an_error(platform: Path) -> None:
    """Without dispatch namespaces there is no dispatch Worker."""
    plan = Plan.read(sources([platform / "outbound"], {}))
    with pytest.raises(ConfigError, match=r"no --config has \[\[dispatch_namespaces\]\]"):
        plan.dispatch_worker(None)


def test_missing_outbound_worker_is_an_error(platform: Path) -> None:
    """A binding whose `outbound.service` nobody gives is refused, by name."""
    plan = Plan.read(sources([platform / "dispatch"], {}))
    assert plan.workers == {}
    (message,) = plan.account_errors()
    assert message.startswith("dispatch: binding dispatcher: outbound.service is 'outbound', ")


def test_broken_outbound_worker_is_the_only_error(platform: Path, write: Write) -> None:
    """A config that cannot be read is not said to be missing as well."""
    write("outbound/wrangler.toml", "name =")
    (message,) = read(platform).account_errors()
    assert message.startswith("outbound/wrangler.toml:1:")


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"acme.js": "export default {};"}, id="a file beside a folder"),
        pytest.param(
            {
                "other/wrangler.toml": CONFIG.format(name="acme", main="index.js"),
                "other/index.js": "export default {};",
            },
            id="a config that says so",
        ),
    ],
)
def test_two_of_one_name_is_an_error(platform: Path, write: Write, files: dict[str, str]) -> None:
    """The first stays, the second is refused, and the error names both."""
    for path, text in files.items():
        write(f"customers/{path}", text)
    (message,) = read(platform).errors.values()
    assert "Worker production/acme is also in" in message
    assert str(platform / "customers/acme") in message


def test_one_name_in_two_namespaces_is_fine(platform: Path, write: Write) -> None:
    """A name is unique only in its dispatch namespace."""
    write("other/acme.js", "export default {};")
    folders = {"production": platform / "customers", "staging": platform / "other"}
    plan = Plan.read(sources([], folders))
    assert plan.errors == {}
    assert Key("staging", "acme") in plan.workers


def test_development_secrets_are_used(platform: Path, write: Write) -> None:
    """`.dev.vars` is part of what runs here, and of what counts as a change."""
    before = read(platform)
    write("customers/acme/.dev.vars", "KEY=value")
    after = read(platform)
    assert after.workers[Key("production", "acme")].bundle.secrets == {"KEY": "value"}
    assert [str(worker.key) for worker in changes(before.workers, after).put] == ["production/acme"]


def test_nothing_changed_is_nothing_to_do(platform: Path) -> None:
    """Reading the same files again changes nothing."""
    assert changes(read(platform).workers, read(platform)) == ([], [])


def test_new_and_removed_customers(platform: Path, write: Write) -> None:
    """A file that appears is put, one that goes is deleted, a changed one is put again."""
    before = read(platform)
    (platform / "customers/solo.py").unlink()
    write("customers/new.js", "export default {};")
    write("customers/acme/index.js", "export default {a: 1};")
    put, delete = changes(before.workers, read(platform))
    assert [str(worker.key) for worker in put] == ["production/acme", "production/new"]
    assert delete == [Key("production", "solo")]


def test_renamed_customer(platform: Path, write: Write) -> None:
    """A name that changes in a config is a new Worker, and the old one goes."""
    before = read(platform)
    write("customers/acme/wrangler.toml", CONFIG.format(name="apex", main="index.js"))
    put, delete = changes(before.workers, read(platform))
    assert [str(worker.key) for worker in put] == ["production/apex"]
    assert delete == [Key("production", "acme")]


@pytest.mark.parametrize("broken", ["a file", "the folder"])
def test_broken_customers_keep_their_version(platform: Path, write: Write, broken: str) -> None:
    """What cannot be read is neither put nor deleted."""
    before = read(platform)
    if broken == "a file":
        write("customers/acme/wrangler.toml", "name =")
    else:
        (platform / "customers").rename(platform / "elsewhere")
    after = read(platform)
    assert after.errors
    assert changes(before.workers, after) == ([], [])


def test_account_level_workers_are_never_deleted(platform: Path) -> None:
    """A config that is given no more leaves its Worker: something may still dispatch to it."""
    before = read(platform)
    after = Plan.read(sources([], {"production": platform / "customers"}))
    assert changes(before.workers, after) == ([], [])


def test_places_of_a_worker(platform: Path, write: Write) -> None:
    """Files of a Worker may be beside its config, or where its config says."""
    config = write("app/config/wrangler.toml", CONFIG.format(name="app", main="../dist/index.js"))
    found = {path.resolve() for path in places(Source("", config))}
    assert found == {config.parent, platform / "app/dist"}
    solo = platform / "customers/solo.py"
    assert places(Source("production", solo)) == {platform / "customers"}
    write("app/config/wrangler.toml", "name =")
    assert places(Source("", config)) == {config.parent}
