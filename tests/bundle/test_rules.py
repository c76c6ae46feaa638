from __future__ import annotations

import pytest

from sluice.bundle.config import Rule
from sluice.bundle.rules import by_suffix, effective, matched
from sluice.pb.worker_pb2 import Module


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("**/*.md", "a.md", True),
        ("**/*.md", "docs/deep/a.md", True),
        ("**/*.md", "a.mdx", False),
        ("*.md", "a.md", True),
        ("*.md", "docs/a.md", False),
        ("docs/**", "docs/deep/a.md", True),
        ("docs/*/a.md", "docs/b/a.md", True),
        ("docs/*/a.md", "docs/b/c/a.md", False),
        # glob-to-regexp takes these literally, unless it is told otherwise
        ("a?.md", "ab.md", False),
        ("[ab].md", "a.md", False),
        ("a.md", "aXmd", False),
    ],
)
def test_globs_match_as_in_wrangler(glob: str, name: str, matches: bool) -> None:
    """`*` stays in its folder, `**/` does not, and nothing else is special."""
    assert (matched(name, [Rule("Text", (glob,))]) is not None) is matches


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/b.txt", Module.KIND_TEXT),
        ("b.html", Module.KIND_TEXT),
        ("b.sql", Module.KIND_TEXT),
        ("b.bin", Module.KIND_DATA),
        ("b.wasm", Module.KIND_WASM),
        ("b.py", Module.KIND_PYTHON),
        ("b.js", None),
    ],
)
def test_the_default_rules_are_wranglers(name: str, kind: Module.Kind | None) -> None:
    """Without rules of its own, a Worker has wrangler's."""
    assert matched(name, effective([])) == kind


def test_a_rule_ends_its_type_unless_it_falls_through() -> None:
    """A rule of the user's takes the place of the default, and with `fallthrough` adds to it."""
    ends, falls = Rule("Text", ("**/*.md",)), Rule("Text", ("**/*.md",), fallthrough=True)
    assert matched("a.txt", effective([ends])) is None
    assert matched("a.txt", effective([falls])) == Module.KIND_TEXT
    assert matched("a.bin", effective([ends])) == Module.KIND_DATA


def test_the_first_rule_wins() -> None:
    """Rules are tried in their order, before the defaults."""
    rules = [Rule("Data", ("**/*.txt",), fallthrough=True), Rule("Text", ("**/*.txt",))]
    assert matched("a.txt", effective(rules)) == Module.KIND_DATA


def test_scripts_and_json_are_known_by_suffix() -> None:
    """What an import names needs no rule where its suffix says what it is."""
    assert by_suffix("a.mjs") == by_suffix("a.js") == Module.KIND_ES_MODULE
    assert by_suffix("a.cjs") == Module.KIND_COMMON_JS
    assert by_suffix("a.json") == Module.KIND_JSON
    assert by_suffix("a.css") is None
