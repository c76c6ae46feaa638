"""What a JavaScript file imports and exports, read from its syntax tree.

Tree-sitter reads past an error in the source: what is wrong with a script is for the runtime to
say, when the Worker is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser, Query, QueryCursor

_JAVASCRIPT = Language(tree_sitter_javascript.language())
_QUERY = Query(
    _JAVASCRIPT,
    """
    (program (export_statement) @export)
    (program (import_statement source: (string) @static))
    (program (export_statement source: (string) @static))
    (call_expression function: (import) arguments: (arguments . (string) @dynamic))
    (call_expression
      function: (identifier) @_name arguments: (arguments . (string) @require)
      (#eq? @_name "require"))
    """,
)


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One import whose specifier is a string literal."""

    line: int
    specifier: str
    optional: bool
    """Whether it can do without: an `import()` or `require()` may be caught, or never run."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """What matters of a script's syntax."""

    exports: bool
    """Whether it exports anything, which is what makes it an ES module."""

    imports: tuple[Import, ...]
    """Its `import` and `export from` statements and `import()` calls, by line."""

    requires: tuple[Import, ...]
    """Its `require()` calls, by line."""


def read(source: bytes) -> Syntax:
    """The syntax of a script."""
    tree = Parser(_JAVASCRIPT).parse(source)
    found = QueryCursor(_QUERY).captures(tree.root_node)

    def imports(kind: str, *, optional: bool) -> list[Import]:
        return [_import(node, optional=optional) for node in found.get(kind, [])]

    return Syntax(
        "export" in found,
        tuple(sorted(imports("static", optional=False) + imports("dynamic", optional=True))),
        tuple(sorted(imports("require", optional=True))),
    )


def _import(node: Node, *, optional: bool) -> Import:
    text = (node.text or b"").decode(errors="replace")
    return Import(node.start_point.row + 1, text[1:-1], optional)
