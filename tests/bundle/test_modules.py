from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sluice.bundle import modules
from sluice.bundle.config import Rule, WorkerConfig
from sluice.bundle.document import ConfigError
from sluice.bundle.modules import collect
from sluice.pb.worker_pb2 import Module
from tests.bundle.conftest import Tree

MAIN = "export default {}"


def _config(folder: Path, main: str = "index.js", **settings: object) -> WorkerConfig:
    return WorkerConfig(
        path=folder / "wrangler.toml",
        name="acme",
        main=folder / main,
        compatibility_date="2026-01-01",
        **settings,  # type: ignore[arg-type]
    )


def _kinds(collected: tuple[str, list[Module]]) -> dict[str, str]:
    return {m.name: Module.Kind.Name(m.kind).removeprefix("KIND_") for m in collected[1]}


def test_what_main_reaches_is_collected_and_nothing_else(tree: Tree) -> None:
    """Imports are followed through every kind of module; a file nobody imports stays out."""
    folder = tree(
        {
            "index.js": f'import "./lib/a.js"; import "./data.json"; import "./x.wasm"; {MAIN}',
            "lib/a.js": 'import b from "../b.mjs"; export { default } from "./page.html"',
            "b.mjs": 'import "./index.js"; import c from "./c.cjs"; export default 1',
            "c.cjs": 'const d = require("./lib/d.cjs"); require("./absent.cjs")',
            "lib/d.cjs": "module.exports = 1",
            "lib/page.html": "<p>",
            "data.json": "{}",
            "x.wasm": b"\0asm\1\0\0\0",
            "test.js": "nobody imports this",
            "tsconfig.json": "{} // nor this",
        }
    )
    collected = collect(_config(folder))
    assert collected[0] == "index.js"
    assert _kinds(collected) == {
        "b.mjs": "ES_MODULE",
        "c.cjs": "COMMON_JS",
        "data.json": "JSON",
        "index.js": "ES_MODULE",
        "lib/a.js": "ES_MODULE",
        "lib/d.cjs": "COMMON_JS",
        "lib/page.html": "TEXT",
        "x.wasm": "WASM",
    }
    assert collected[1][6].content == b"<p>"
    assert [m.name for m in collected[1]] == sorted(m.name for m in collected[1])


def test_names_are_relative_to_mains_folder(tree: Tree) -> None:
    """The folder of `main` names the modules, wherever the config is."""
    folder = tree({"src/index.js": f'import "./lib/a.js"; {MAIN}', "src/lib/a.js": "export {}"})
    assert list(_kinds(collect(_config(folder, "src/index.js")))) == ["index.js", "lib/a.js"]


def test_an_import_from_beside_mains_folder_moves_the_root(tree: Tree) -> None:
    """Where a module is outside of `main`'s folder, the folder that holds both names them."""
    folder = tree({"src/index.js": f'import "../lib/a.js"; {MAIN}', "lib/a.js": "export {}"})
    collected = collect(_config(folder, "src/index.js"))
    assert collected[0] == "src/index.js"
    assert list(_kinds(collected)) == ["lib/a.js", "src/index.js"]


def test_base_dir_names_the_modules(tree: Tree) -> None:
    """`base_dir` takes the place of `main`'s folder."""
    folder = tree({"src/index.js": MAIN})
    assert collect(_config(folder, "src/index.js", base_dir=folder))[0] == "src/index.js"


def test_a_leading_slash_is_the_root(tree: Tree) -> None:
    """`/lib/a.js` is below the folder that names the modules, not on this machine."""
    folder = tree({"index.js": f'import "/lib/a.js"; {MAIN}', "lib/a.js": "export {}"})
    assert list(_kinds(collect(_config(folder)))) == ["index.js", "lib/a.js"]


def test_the_rules_add_files(tree: Tree) -> None:
    """With `find_additional_modules`, what matches a rule is a module; vendor folders are not."""
    folder = tree(
        {
            "index.js": MAIN,
            "lang/de.mjs": "export default 1",
            "lang/notes.md": "x",
            "a.txt": "x",
            ".dev.vars.txt": "SECRET=1",
            ".git/a.txt": "x",
            "node_modules/p/a.txt": "x",
            "style.css": "x",
        }
    )
    rules = (Rule("ESModule", ("lang/*.mjs",)),)
    found = collect(_config(folder, rules=rules, find_additional_modules=True))
    assert _kinds(found) == {"index.js": "ES_MODULE", "lang/de.mjs": "ES_MODULE", "a.txt": "TEXT"}


def test_a_rule_decides_what_an_import_is(tree: Tree) -> None:
    """A rule comes before the suffix."""
    folder = tree(
        {"index.js": f'import "./a.js"; import "./b.css"; {MAIN}', "a.js": "", "b.css": ""}
    )
    rules = (Rule("CommonJS", ("a.js",)), Rule("Text", ("**/*.css",)))
    assert _kinds(collect(_config(folder, rules=rules))) == {
        "a.js": "COMMON_JS",
        "b.css": "TEXT",
        "index.js": "ES_MODULE",
    }


def test_a_python_worker_has_every_python_file(tree: Tree) -> None:
    """Python's imports are not followed: the folder is the Worker."""
    folder = tree(
        {
            "main.py": "from pkg import a",
            "pkg/__init__.py": "",
            "pkg/a.py": "",
            "pkg/__pycache__/a.pyc": b"\0",
            "template.html": "",
        }
    )
    assert _kinds(collect(_config(folder, "main.py", find_additional_modules=True))) == {
        "main.py": "PYTHON",
        "pkg/__init__.py": "PYTHON",
        "pkg/a.py": "PYTHON",
        "template.html": "TEXT",
    }


def test_vendored_packages_keep_their_name_wherever_main_is(tree: Tree) -> None:
    """`python_modules/` beside the config comes whole, but for what is compiled."""
    folder = tree(
        {
            "src/main.py": "import idna, fast, local",
            "src/local.py": "",
            "python_modules/idna/__init__.py": "import not_there",
            "python_modules/idna/py.typed": "",
            "python_modules/fast.py": "",
            "python_modules/fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
            "python_modules/__pycache__/fast.pyc": b"\0",
        }
    )
    main, found = collect(_config(folder, "src/main.py", find_additional_modules=True))
    assert main == "main.py"
    assert _kinds((main, found)) == {
        "local.py": "PYTHON",
        "main.py": "PYTHON",
        "python_modules/fast.py": "PYTHON",
        "python_modules/idna/__init__.py": "PYTHON",
        "python_modules/idna/py.typed": "DATA",
    }


def test_python_imports_from_the_folder_of_main_and_from_base_dir(tree: Tree) -> None:
    """With a `base_dir` above `main`, what is beside either is found by its own name."""
    folder = tree(
        {"src/main.py": "import beside, src.beside, above", "src/beside.py": "", "above.py": ""}
    )
    config = _config(folder, "src/main.py", find_additional_modules=True, base_dir=folder)
    assert list(_kinds(collect(config))) == ["above.py", "src/beside.py", "src/main.py"]


def test_a_python_worker_in_one_file_has_no_other(tree: Tree) -> None:
    """What is beside it is another Worker's, and the error says what to do."""
    folder = tree({"acme.py": "import shared", "shared.py": ""})
    config = replace(_config(folder, "acme.py"), path=folder / "acme.py")
    with pytest.raises(ConfigError, match=r"acme.py:1: imports 'shared'.* make it a folder"):
        collect(config)


def test_a_service_worker_is_a_script_alone(tree: Tree) -> None:
    """Without an export `main` is in service-worker syntax, which has no modules."""
    folder = tree({"index.js": "addEventListener('fetch', () => {})", "a.txt": "x"})
    found = collect(_config(folder, find_additional_modules=True))
    assert _kinds(found) == {"index.js": "SERVICE_WORKER"}


def test_the_runtimes_own_modules_are_not_looked_for(tree: Tree) -> None:
    """What workerd provides needs no file."""
    folder = tree(
        {
            "index.js": 'import "node:fs"; import "cloudflare:workers"; import "buffer"; '
            f'import "fs/promises"; {MAIN} import("not-there"); import("./not-there.js")'
        }
    )
    assert list(_kinds(collect(_config(folder)))) == ["index.js"]


@pytest.mark.parametrize(
    ("files", "main", "message"),
    [
        ({}, "index.js", "acme/wrangler.toml: main: there is no file acme/index.js"),
        ({"index.ts": ""}, "index.ts", "main: index.ts is not JavaScript; build first"),
        ({"index.css": ""}, "index.css", "main: index.css: expected a .js, .mjs or .py file"),
        (
            {"index.js": f'\nimport "./util";{MAIN}', "util.js": ""},
            "index.js",
            "acme/index.js:2: imports './util'; write './util.js'",
        ),
        (
            {"index.js": f'import "./util";{MAIN}', "util/index.js": ""},
            "index.js",
            "acme/index.js:1: imports './util'; write './util/index.js'",
        ),
        (
            {"index.js": f'import "./gone.js";{MAIN}'},
            "index.js",
            "acme/index.js:1: imports './gone.js', and there is no such file",
        ),
        (
            {"index.js": f'import "./a.js";{MAIN}', "a.js": 'import { Hono } from "hono"'},
            "index.js",
            "acme/a.js:1: imports 'hono', a package; Sluice does not bundle: build first",
        ),
        (
            {"index.js": f'import "./a.ts";{MAIN}', "a.ts": ""},
            "index.js",
            "acme/a.ts: not JavaScript; build first",
        ),
        (
            {"index.js": f'import "./a.css";{MAIN}', "a.css": ""},
            "index.js",
            "acme/a.css: no rule says what kind of module this is; add [[rules]]",
        ),
        (
            {"index.js": 'import "./a.js"; addEventListener("fetch", () => {})', "a.js": ""},
            "index.js",
            "acme/index.js: imports and exports nothing: service-worker syntax cannot import",
        ),
        (
            {"main.py": "import json\n\ndef on_fetch(request):\nreturn 1"},
            "main.py",
            "acme/main.py:4: IndentationError: expected an indented block after function",
        ),
        (
            {
                "main.py": "import workers\nfrom lib import a",
                "lib/__init__.py": "",
                "lib/a.py": "x =",
            },
            "main.py",
            "acme/lib/a.py:1: SyntaxError: invalid syntax",
        ),
        (
            {"main.py": "import workers\nimport numpy.linalg as n"},
            "main.py",
            "acme/main.py:2: imports 'numpy', which is not in the bundle: put the package into",
        ),
        (
            {"main.py": "from pyodide.ffi import to_js"},
            "main.py",
            "acme/main.py:1: imports 'pyodide', which is Pyodide's",
        ),
        (
            {"index.js": f'import "../other/secret.txt";{MAIN}', "../other/secret.txt": "x"},
            "index.js",
            "other/secret.txt: outside acme/, the Worker's folder",
        ),
    ],
)
def test_what_cannot_be_a_module_is_an_error_that_names_the_file(
    tree: Tree, files: dict[str, str | bytes], main: str, message: str
) -> None:
    """An import that would fail at run time fails here, with a way out."""
    folder = tree({"wrangler.toml": "", **files})
    with pytest.raises(ConfigError) as raised:
        collect(_config(folder, main, find_additional_modules=main.endswith(".py")))
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["./" + "x" * 300 + ".js", "./" + "x/" * 3000 + "y.js"])
def test_a_name_that_no_file_can_have(tree: Tree, name: str) -> None:
    """An import of one is an error like any other, and so is such a `main`."""
    folder = tree({"index.js": f"import {name!r}; export default {{}}"})
    with pytest.raises(ConfigError, match="there is no such file"):
        collect(_config(folder))
    with pytest.raises(ConfigError, match="there is no file"):
        collect(_config(folder, main=name))


def test_a_link_does_not_lead_out_of_the_folder(tree: Tree) -> None:
    """A customer's folder cannot take in a file of somebody else's by a symbolic link."""
    folder = tree({"index.js": MAIN, "../secret.txt": "x"})
    (folder / "a.txt").symlink_to(folder.parent / "secret.txt")
    with pytest.raises(ConfigError, match=r"acme/a\.txt: outside acme/"):
        collect(_config(folder, find_additional_modules=True))


def test_too_many_modules_are_refused(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of modules has a bound, and the error names the one too many."""
    monkeypatch.setattr(modules, "MAX_MODULES", 3)
    folder = tree({"index.js": MAIN, "0.txt": "", "1.txt": "", "2.txt": ""})
    with pytest.raises(ConfigError, match=r"acme/2\.txt: over the limit of 3 modules"):
        collect(_config(folder, find_additional_modules=True))


def test_too_many_bytes_are_refused(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of all modules together have a bound, checked before they are all in memory."""
    monkeypatch.setattr(modules, "MAX_MODULE_BYTES", 100)
    folder = tree({"index.js": MAIN, "a.txt": "x" * 50, "b.txt": "x" * 50})
    with pytest.raises(ConfigError, match=r"acme/b\.txt: the modules are over the limit of 100"):
        collect(_config(folder, find_additional_modules=True))
