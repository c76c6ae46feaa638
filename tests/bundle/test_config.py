from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.bundle.config import (
    ConfigError,
    DispatchNamespace,
    Limits,
    Outbound,
    Rule,
    WorkerConfig,
    load,
)

FILE = "dispatch/wrangler.toml"
BASE = 'name = "dispatch"\nmain = "src/index.js"\ncompatibility_date = "2026-01-01"\n'

FULL = """
name = "dispatch"
main = "src/index.js"
compatibility_date = "2026-01-01"
compatibility_flags = ["nodejs_compat"]
base_dir = "src"

[vars]
PLAIN = "text"
NESTED = { list = [1, 2.5, true], text = "x" }

[[rules]]
type = "Text"
globs = ["**/*.md"]
fallthrough = true

[[dispatch_namespaces]]
binding = "dispatcher"
namespace = "production"
outbound = { service = "outbound", environment = "staging", parameters = ["params_object"] }

[[dispatch_namespaces]]
binding = "other"
namespace = "staging"

[limits]
cpu_ms = 50
subrequests = 10
"""


def _write(folder: Path, text: str, name: str = "wrangler.toml") -> Path:
    path = folder / "dispatch" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def _full(path: Path) -> WorkerConfig:
    return WorkerConfig(
        path=path,
        name="dispatch",
        main=path.parent / "src/index.js",
        compatibility_date="2026-01-01",
        compatibility_flags=("nodejs_compat",),
        vars={"PLAIN": "text", "NESTED": {"list": [1, 2.5, True], "text": "x"}},
        rules=(Rule("Text", ("**/*.md",), fallthrough=True),),
        dispatch_namespaces=(
            DispatchNamespace(
                "dispatcher", "production", Outbound("outbound", "staging", ("params_object",))
            ),
            DispatchNamespace("other", "staging"),
        ),
        limits=Limits(50, 10),
        base_dir=path.parent / "src",
    )


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Each key that Sluice knows arrives in the config."""
    path = _write(tmp_path, FULL)
    assert load(path) == _full(path)


def test_toml_and_jsonc_say_the_same(tmp_path: Path) -> None:
    """The two formats differ in nothing but their file."""
    path = _write(tmp_path, json.dumps(tomllib.loads(FULL)), "wrangler.jsonc")
    assert load(path) == _full(path)


def test_a_folder_stands_for_the_config_in_it(tmp_path: Path) -> None:
    """A folder path finds the config, and one without any is an error."""
    path = _write(tmp_path, BASE)
    assert load(path.parent).path == path
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty/: no wrangler\.json, wrangler\.jsonc"):
        load(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "main: missing"),
        ('main = "i.js"', "name: missing"),
        ('name = "a"\nmain = "i.js"', "compatibility_date: missing"),
        (BASE.replace('"dispatch"', "7"), "name: expected a string, got a number"),
        (BASE.replace('"dispatch"', '""'), "name: expected a string that is not empty"),
        (BASE.replace('"dispatch"', '"a/b"'), "name: 'a/b' is no Worker name"),
        (BASE.replace("2026-01-01", "2026-02-30"), "compatibility_date: expected a date"),
        (BASE.replace("2026-01-01", "latest"), "compatibility_date: expected a date"),
        # an unquoted date is a TOML date, which wrangler refuses too
        (
            BASE.replace('"2026-01-01"', "2026-01-01"),
            "compatibility_date: expected a string, got a date",
        ),
        (
            BASE + 'compatibility_flags = "nodejs_compat"',
            "compatibility_flags: expected a list of strings, got a string",
        ),
        (BASE + 'compatibility_flags = ["a", 1]', "got a number at [1]"),
        (BASE + "no_bundle = 1", "no_bundle: expected a boolean, got a number"),
        (BASE + 'vars = "x"', "vars: expected a table, got a string"),
        (BASE + "vars = { A = { B = 2026-01-01 } }", "vars.A.B: expected a JSON value, got a date"),
        (BASE + "vars = { A = [inf] }", "vars.A[0]: inf is no number that JavaScript holds"),
        (BASE + "vars = { A = nan }", "vars.A: nan is no number that JavaScript holds"),
        (BASE + "vars = { A = 9007199254740993 }", "vars.A: 9007199254740993 is no number"),
        (BASE + "limits = { cpu_ms = 0 }", "limits.cpu_ms: expected a whole number from 1, got 0"),
        (
            BASE + "limits = { cpu_ms = 1.5 }",
            "limits.cpu_ms: expected a whole number, got a number",
        ),
        (BASE + "limits = { cpu_ms = true }", "limits.cpu_ms: expected a whole number, got a bool"),
        (BASE + "[[rules]]\nglobs = ['a']", "rules[0].type: missing"),
        (BASE + "[[rules]]\ntype = 'Text'", "rules[0].globs: missing"),
        (BASE + "[[rules]]\ntype = 'JSON'\nglobs = ['a']", "rules[0].type: expected one of ESM"),
        (BASE + "rules = { type = 'Text' }", "rules: expected a list of tables, got a table"),
        (BASE + "[[dispatch_namespaces]]\nbinding = 'd'", "dispatch_namespaces[0].namespace: miss"),
        (
            BASE + "[[dispatch_namespaces]]\nbinding = 'd'\nnamespace = 'n'\noutbound = 'o'",
            "dispatch_namespaces[0].outbound: expected a table, got a string",
        ),
        (
            BASE
            + "[[dispatch_namespaces]]\nbinding = 'd'\nnamespace = 'n'\n"
            + "outbound = { parameters = ['a'] }",
            "dispatch_namespaces[0].outbound.service: missing",
        ),
        (
            BASE
            + "[[dispatch_namespaces]]\nbinding = 'd'\nnamespace = 'n'\n"
            + "outbound = { service = 'o', parameters = 'a' }",
            "dispatch_namespaces[0].outbound.parameters: expected a list of strings, got a string",
        ),
        (BASE + "env = 1", "env: expected a table, got a number"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    """What is wrong, and where, is in the message."""
    with pytest.raises(ConfigError) as raised:
        load(_write(tmp_path, text))
    assert str(raised.value).startswith("dispatch/wrangler.toml: ")
    assert message in str(raised.value)


def test_a_key_without_effect_is_a_warning_that_names_it(tmp_path: Path) -> None:
    """Unknown keys and those that only wrangler needs are told apart, and neither is fatal."""
    text = (
        BASE
        + 'workers_dev = true\nkv_namespaces = []\nnmae = "x"\n'
        + "[[dispatch_namespaces]]\nbinding = 'd'\nnamespace = 'n'\nremote = true\nzone = 1\n"
        + "[dispatch_namespaces.outbound]\nservice = 'o'\nparams = ['a']\n"
    )
    known, unknown = "wrangler's, but not supported by Sluice, ignored", "unknown key, ignored"
    assert set(load(_write(tmp_path, text)).warnings) == {
        f"{FILE}: workers_dev: {known}",
        f"{FILE}: kv_namespaces: {known}",
        f"{FILE}: nmae: {unknown}",
        f"{FILE}: dispatch_namespaces[0].remote: {known}",
        f"{FILE}: dispatch_namespaces[0].zone: {unknown}",
        f"{FILE}: dispatch_namespaces[0].outbound.params: {unknown}",
    }


def test_the_schema_key_is_silent(tmp_path: Path) -> None:
    """`$schema` is for editors."""
    text = json.dumps(
        {
            "$schema": "node_modules/wrangler/config-schema.json",
            "name": "a",
            "main": "index.js",
            "compatibility_date": "2026-01-01",
        }
    )
    assert load(_write(tmp_path, text, "wrangler.jsonc")).warnings == ()


def test_dev_vars_are_secrets(tmp_path: Path) -> None:
    """What `.dev.vars` beside the config says is a secret, and no `repr` shows it."""
    path = _write(tmp_path, BASE)
    (path.parent / ".dev.vars").write_text("TOKEN=hunter2\n")
    config = load(path)
    assert config.secrets == {"TOKEN": "hunter2"}
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("text", "additional"),
    [
        ("", False),
        ("no_bundle = true", True),  # wrangler's rule
        ("no_bundle = true\nfind_additional_modules = false", False),
        ("find_additional_modules = true", True),
        ('main = "entry.py"', True),  # wrangler does not bundle Python
    ],
)
def test_additional_modules_are_looked_for_as_in_wrangler(
    tmp_path: Path, text: str, additional: bool
) -> None:
    """`find_additional_modules` is true where nothing is bundled, unless it says otherwise."""
    base = BASE.replace('main = "src/index.js"\n', "") if "main" in text else BASE
    assert load(_write(tmp_path, base + text)).find_additional_modules is additional


def test_an_environment_overrides_and_inherits(tmp_path: Path) -> None:
    """Settings are inherited, bindings are not, and the name gets a suffix."""
    text = FULL + (
        "[env.staging]\ncompatibility_date = '2026-02-02'\n[env.staging.vars]\nPLAIN = 'other'\n"
        "[env.live]\nname = 'live-one'\n"
    )
    path = _write(tmp_path, text)
    staging = load(path, "staging")
    assert staging == replace(
        _full(path),
        name="dispatch-staging",
        compatibility_date="2026-02-02",
        vars={"PLAIN": "other"},
        dispatch_namespaces=(),
        warnings=(
            f"{FILE}: dispatch_namespaces: not inherited by env.staging, which does not say it",
        ),
    )
    assert load(path, "live").name == "live-one"
    assert load(path) == _full(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "env.staging: no such environment; there are none"),
        ("[env.a]\n[env.b]", "env.staging: no such environment; there are a, b"),
        ("[env]\nstaging = 1", "env.staging: expected a table, got a number"),
        ("[env.staging]\nmain = 1", "env.staging.main: expected a string, got a number"),
        (
            "[env.staging]\nlimits = { cpu_ms = 'a' }",
            "env.staging.limits.cpu_ms: expected a whole number, got a string",
        ),
    ],
)
def test_an_error_in_an_environment_names_it(tmp_path: Path, text: str, message: str) -> None:
    """A key of an environment is named with the environment."""
    with pytest.raises(ConfigError) as raised:
        load(_write(tmp_path, BASE + text), "staging")
    assert message in str(raised.value)


def test_an_environment_has_its_own_secrets(tmp_path: Path) -> None:
    """`.dev.vars.<environment>` takes the place of `.dev.vars`; the two are not merged."""
    path = _write(tmp_path, BASE + "[env.staging]\n[env.live]\n")
    (path.parent / ".dev.vars").write_text("A=1\nB=2\n")
    (path.parent / ".dev.vars.staging").write_text("A=3\n")
    assert load(path, "staging").secrets == {"A": "3"}
    assert load(path, "live").secrets == {"A": "1", "B": "2"}
