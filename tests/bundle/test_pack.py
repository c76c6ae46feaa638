from __future__ import annotations

import pytest
from google.protobuf import json_format

from sluice.bundle.config import DEFAULT_COMPATIBILITY_DATE
from sluice.bundle.document import ConfigError
from sluice.bundle.pack import entries, pack_path
from sluice.bundle.validate import validate
from sluice.pb.worker_pb2 import Module
from tests.bundle.conftest import Tree

MAIN = "export default {}"
BASE = 'name = "acme-2"\nmain = "index.js"\ncompatibility_date = "2026-01-01"\n'


def test_every_setting_arrives_in_the_bundle(tree: Tree) -> None:
    """What the config says is in the bundle, which is valid."""
    folder = tree(
        {
            "wrangler.toml": BASE
            + 'compatibility_flags = ["nodejs_compat"]\nworkers_dev = true\n'
            + 'vars = { A = "x", B = { c = [1, 2.5] }, TOKEN = "placeholder" }\n'
            + "limits = { cpu_ms = 50 }\n"
            + '[[dispatch_namespaces]]\nbinding = "dispatcher"\nnamespace = "production"\n'
            + 'outbound = { service = "outbound", parameters = ["params_object"] }\n'
            + '[[dispatch_namespaces]]\nbinding = "plain"\nnamespace = "staging"\n'
            + 'egress = { mode = "report", allowedHosts = ["*.a.test"], deniedHosts = ["b.test"] }',
            "index.js": MAIN,
            ".dev.vars": "TOKEN=hunter2",
        }
    )
    name, bundle, warnings = pack_path(folder)
    validate(bundle)
    assert name == "acme-2"
    assert len(warnings) == 1
    assert json_format.MessageToDict(bundle, preserving_proto_field_name=True) == {
        "main_module": "index.js",
        "modules": [
            {"name": "index.js", "kind": "KIND_ES_MODULE", "content": "ZXhwb3J0IGRlZmF1bHQge30="}
        ],
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["nodejs_compat"],
        "vars": {"A": "x", "B": {"c": [1.0, 2.5]}},
        "secrets": {"TOKEN": "hunter2"},
        "dispatch_namespaces": [
            {
                "binding": "dispatcher",
                "dispatch_namespace": "production",
                "outbound_service": "outbound",
                "outbound_parameters": ["params_object"],
            },
            {
                "binding": "plain",
                "dispatch_namespace": "staging",
                "egress": {
                    "mode": "MODE_REPORT",
                    "allowed_hosts": {"patterns": ["*.a.test"]},
                    "denied_hosts": ["b.test"],
                },
            },
        ],
        "limits": {"cpu_ms": 50},
    }


@pytest.mark.parametrize(
    ("environment", "service"),
    [
        (None, "outbound"),
        ("production", "outbound"),  # the name of every Worker's default environment
        ("staging", "outbound-staging"),  # what deploying that environment calls the Worker
    ],
)
def test_the_outbound_environment_names_the_worker(
    tree: Tree, environment: str | None, service: str
) -> None:
    """`outbound.environment` leads to the Worker that deploying it makes."""
    line = f', environment = "{environment}"' if environment else ""
    folder = tree(
        {
            "wrangler.toml": BASE + '[[dispatch_namespaces]]\nbinding = "d"\nnamespace = "n"\n'
            f'outbound = {{ service = "outbound"{line} }}',
            "index.js": MAIN,
        }
    )
    assert pack_path(folder).bundle.dispatch_namespaces[0].outbound_service == service


@pytest.mark.parametrize("main", ["index.js", "index.mjs", "worker.js", "worker.mjs", "main.py"])
def test_a_folder_may_do_without_a_config(tree: Tree, main: str) -> None:
    """A folder with a main file is the Worker of the folder's name, with the default date."""
    folder = tree({main: MAIN if "js" in main else "x = 1", ".dev.vars": "A=1"})
    name, bundle, _ = pack_path(folder)
    assert (name, bundle.main_module) == ("acme", main)
    assert bundle.compatibility_date == DEFAULT_COMPATIBILITY_DATE
    assert dict(bundle.secrets) == {"A": "1"}


@pytest.mark.parametrize("file", ["shop.js", "shop.mjs", "shop.py"])
def test_a_file_may_be_a_worker(tree: Tree, file: str) -> None:
    """A single file is the Worker of its name, and takes nothing of its neighbours."""
    folder = tree(
        {
            file: MAIN if "js" in file else "x = 1",
            "other.py": "",
            "other.txt": "",
            ".dev.vars": "A=1",
        }
    )
    name, bundle, _ = pack_path(folder / file)
    assert name == "shop"
    assert [module.name for module in bundle.modules] == [file]
    assert not bundle.secrets


def test_a_python_folder_is_packed_whole(tree: Tree) -> None:
    """A Python Worker may import the files beside it."""
    bundle = pack_path(tree({"main.py": "import util", "util.py": "x = 1"})).bundle
    assert [module.kind for module in bundle.modules] == [Module.KIND_PYTHON] * 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme.md": ""}, "acme/: no Worker: expected wrangler.toml"),
        ({"index.js": MAIN, "main.py": ""}, "acme/: index.js and main.py: a wrangler.toml has to"),
        # what validate finds is named with the config
        (
            {"wrangler.toml": BASE + "vars = { a-b = 1 }", "index.js": MAIN},
            "acme/wrangler.toml: vars: 'a-b' is no binding name",
        ),
        (
            {"wrangler.toml": BASE, "index.js": f'import "./a.json";{MAIN}', "a.json": "{,}"},
            "acme/wrangler.toml: modules['a.json']: not JSON",
        ),
    ],
)
def test_what_is_no_worker_is_an_error(
    tree: Tree, files: dict[str, str | bytes], message: str
) -> None:
    """The error names the folder or file."""
    with pytest.raises(ConfigError) as raised:
        pack_path(tree(files))
    assert message in str(raised.value)


def test_a_file_name_that_is_no_worker_name_is_an_error(tree: Tree) -> None:
    """A bare Worker is named after its file, which has to be a name then."""
    with pytest.raises(ConfigError, match=r"acme/a b\.js: .*'a b' is no Worker name"):
        pack_path(tree({"a b.js": MAIN}) / "a b.js")


def test_the_entries_of_a_folder_are_its_workers(tree: Tree) -> None:
    """Folders and scripts are Workers; dotfiles, `__pycache__` and everything else are not."""
    folder = tree(
        {
            "a.js": "",
            "b/index.js": "",
            "c.py": "",
            "d.mjs": "",
            "README.md": "",
            ".git/x": "",
            "__pycache__/x": "",
        }
    )
    assert [path.name for path in entries(folder)] == ["a.js", "b", "c.py", "d.mjs"]
