"""The layers stay layers, and the files stay small enough to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import services
import sluice

ROOT = Path(__file__).parent.parent
MAX_LINES = 600
SOURCES = sorted(
    path.relative_to(ROOT)
    for package in ("sluice", "services")
    for path in (ROOT / package).rglob("*.py")
    if path.parts[-2] != "pb" or path.name == "__init__.py"
)
LAYERS = re.findall(r"^- `(\w+)`", sluice.__doc__ or "", re.MULTILINE)
"""The packages of `sluice`, lowest first, as its docstring has them."""


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of all that `source` imports, wherever in the file it does.

    `from a import b` is `a.b`: it may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def objection(module: Path, imported: str) -> str | None:
    """Why `module` may not import `imported`; None where it may."""
    if imported.startswith("."):
        return "imports are absolute"
    package, _, rest = imported.partition(".")
    part, own = rest.partition(".")[0], module.parts[1]
    if package in ("services", "sluice") and own == "__init__.py":
        return "the docstring of the whole is all there is to it"
    if module.parts[0] == "services":
        if package == "services" and part != own:
            return "services never import each other"
        return None
    if package == "services":
        return "sluice never imports a service"
    if package == "sluice" and part not in LAYERS:
        return "not a layer"
    if package == "sluice" and LAYERS.index(part) > LAYERS.index(own):
        return f"{part} is above {own}"
    return None


def test_the_docstrings_name_every_package() -> None:
    """The order that these tests hold is the one that a reader is told, and nothing is left out."""
    folders = {path.parent.name for path in ROOT.glob("sluice/*/__init__.py")}
    assert sorted(LAYERS) == sorted(folders)
    assert services.__doc__


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_go_down(path: Path) -> None:
    """A module imports from its own layer and those below; a service from sluice and itself."""
    found = [
        f"{path}:{line}: imports {name}: {why}"
        for line, name in imports((ROOT / path).read_text())
        if (why := objection(path, name))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "imported", "allowed"),
    [
        ("sluice/mesh/server.py", "sluice.wire.errors", True),  # down
        ("sluice/mesh/server.py", "sluice.mesh.channel", True),  # across
        ("sluice/mesh/server.py", "sluice.isolate.pool", False),  # up
        ("sluice/mesh/server.py", "services.outbound", False),  # out of the package
        ("sluice/mesh/server.py", ".channel", False),  # relative: does not say which layer
        ("sluice/mesh/server.py", "sluice.tools", False),  # in no layer
        ("sluice/__init__.py", "sluice.mesh", False),  # would load mesh for whoever imports wire
        ("services/outbound/origin/client.py", "sluice.wire.errors", True),
        ("services/outbound/origin/client.py", "services.outbound.origin.resolver", True),
        ("services/outbound/origin/client.py", "services.userworker.config", False),
        ("services/outbound/origin/client.py", "aiohttp", True),
    ],
)
def test_the_rule(module: str, imported: str, allowed: bool) -> None:
    """The rule itself lets good edges through and finds bad ones."""
    assert (objection(Path(module), imported) is None) is allowed


def test_imports_are_found_wherever_they_are() -> None:
    """An import inside a function or under TYPE_CHECKING is an edge like any other."""
    source = "def f():\n  import a.b\nif TYPE_CHECKING:\n  from c.d import e\nfrom . import g"
    assert sorted(imports(source)) == [(2, "a.b"), (4, "c.d.e"), (5, "..g")]


def test_guests_import_nothing_of_ours() -> None:
    """What runs inside an isolate has none of the host's code within reach."""
    found = [
        f"{path}:{line}: {name}"
        for path in sorted((ROOT / "sluice/isolate/guest").rglob("*.py"))
        for line, name in imports(path.read_text())
        if name.partition(".")[0] in ("sluice", "services")
    ]
    assert not found, "\n".join(found)


def test_no_module_is_too_long() -> None:
    """A file that outgrows its budget holds more than one noun."""
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in SOURCES}
    assert not {path: lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_names_say_what_a_module_holds() -> None:
    """No drawer for everything: whatever would go there has a name of its own."""
    drawers = {"common", "core", "helpers", "manager", "util", "utils"}
    assert not [path for path in SOURCES if drawers & {path.stem, path.parent.name}]
