from __future__ import annotations

from pathlib import Path

import pytest

from sluice.bundle.document import MAX_BYTES, ConfigError, find, read


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("wrangler.toml", 'name = "a"\nmain = \n', "w/wrangler.toml:2:8: Invalid value"),
        # tomllib has no place for what goes wrong at the end
        ("wrangler.toml", "a = [1,\n 2,\n", "w/wrangler.toml:3:1: Invalid value"),
        ("wrangler.toml", "a = 1\na = 2\n", "Cannot overwrite a value"),
        ("wrangler.jsonc", '{\n  "a": 1,,\n}', "w/wrangler.jsonc:2:11: Unexpected"),
        ("wrangler.json", '{"a": "b\n"}', "w/wrangler.json:1:9: Unexpected"),
        ("wrangler.jsonc", '{"a": 1, "a": 2}', "w/wrangler.jsonc: Duplicate key"),
        ("wrangler.jsonc", "", "w/wrangler.jsonc: Empty strings are not legal"),
        ("wrangler.jsonc", "[1]", "w/wrangler.jsonc: expected an object, got a list"),
        ("wrangler.yaml", "a: 1", "w/wrangler.yaml: not a config: expected .toml, .json or .jsonc"),
    ],
)
def test_a_broken_file_is_named_with_line_and_column(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    """A file that cannot be parsed is an error that says where."""
    path = tmp_path / "w" / name
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read(path)
    assert message in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    """A file in another encoding is an error, not garbage."""
    path = tmp_path / "wrangler.toml"
    path.write_bytes(b'name = "a"\nmain = "\xff"\n')
    with pytest.raises(ConfigError, match=r"wrangler\.toml:2: not UTF-8"):
        read(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A missing file is a `ConfigError` too."""
    with pytest.raises(ConfigError, match=r"wrangler\.toml: No such file"):
        read(tmp_path / "wrangler.toml")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """What is read into memory has a bound."""
    path = tmp_path / "wrangler.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="over 1048576 bytes"):
        read(path)


def test_json_may_have_comments_and_trailing_commas(tmp_path: Path) -> None:
    """JSONC is read as wrangler reads it, and so is a byte order mark."""
    path = tmp_path / "wrangler.json"
    path.write_text('\ufeff// one\n{"a": [1, 2,], /* two */ "b": "//no",}', encoding="utf-8")
    assert read(path) == {"a": [1, 2], "b": "//no"}


def test_find_prefers_what_wrangler_prefers(tmp_path: Path) -> None:
    """Of several configs in a folder the same one is taken as by wrangler."""
    found = []
    for name in ("wrangler.toml", "wrangler.jsonc", "wrangler.json"):
        (tmp_path / name).touch()
        found.append(find(tmp_path))
    assert [path and path.name for path in found] == [
        "wrangler.toml",
        "wrangler.jsonc",
        "wrangler.json",
    ]
    assert find(tmp_path / "nowhere") is None
