from __future__ import annotations

import pytest

from sluice.bundle.syntax import read


@pytest.mark.parametrize(
    ("source", "exports"),
    [
        ("export default {}", True),
        ("export default class extends WorkerEntrypoint {}", True),
        ("const a = {}; export { a as default }", True),
        ("export const fetch = 1", True),
        ('export * from "./a.js"', True),
        # a bundler's output ends so
        ("var a={fetch(){}};export{a as default};", True),
        ("#!/usr/bin/env node\nexport default {}", True),
        ("addEventListener('fetch', e => e.respondWith(new Response('x')))", False),
        # the word alone is no export
        ("// export default {}\nconst s = 'export default {}', t = `export {}`", False),
        ("const r = /export default {}/", False),
        ("module.exports = {}", False),
        ("exports.fetch = 1", False),
        ("", False),
        # broken further down: the runtime says so, with its own words
        ("export default { fetch() { return 1 } }\nconst = ;", True),
    ],
)
def test_an_export_is_told_from_the_word(source: str, exports: bool) -> None:
    """A script exports something where the language says so, not where the text looks like it."""
    assert read(source.encode()).exports is exports


def test_imports_are_found_with_their_lines() -> None:
    """Every import by string literal is found, wherever it stands."""
    source = """import a from "./a.js"
    import { b } from './b.js'; import "c"
    import data from "./data.json" with { type: "json" }
    export { d } from "./d.js"
    export * as e from "./e.js"
    export default { async fetch() { return (await import("./f.js")).default } }
    // import "./no.js"
    const text = 'import "./no.js"', g = require("./g.cjs"), h = object.require("./no.cjs")
    await import(`./no-${text}.js`)
    """
    found = read(source.encode())
    assert [(i.line, i.specifier, i.optional) for i in found.imports] == [
        (1, "./a.js", False),
        (2, "./b.js", False),
        (2, "c", False),
        (3, "./data.json", False),
        (4, "./d.js", False),
        (5, "./e.js", False),
        (6, "./f.js", True),
    ]
    assert [(i.line, i.specifier) for i in found.requires] == [(8, "./g.cjs")]


def test_bytes_that_are_no_text_do_no_harm() -> None:
    """A file that is not UTF-8 is read past: `validate` says what is wrong with it."""
    assert read(b'\xff\xfe import "\xff"; export default {}').exports
