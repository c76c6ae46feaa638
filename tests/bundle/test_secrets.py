from __future__ import annotations

from pathlib import Path

import pytest

from sluice.bundle.document import ConfigError
from sluice.bundle.secrets import load


def test_dotenv_syntax_is_read(tmp_path: Path) -> None:
    """Comments, quotes, `export` and escapes are dotenv's; nothing is interpolated."""
    (tmp_path / ".dev.vars").write_text(
        "# comment\n\nPLAIN=one # two\nexport SHELL_LIKE=x\nQUOTED=\"a b\\nc\"\nRAW='$HOME \\n'\n"
        "URL=https://u:p@example.com/?a=b#c\nREFERENCE=${PLAIN}\nEMPTY=\n"
    )
    assert load(tmp_path, None) == {
        "PLAIN": "one",
        "SHELL_LIKE": "x",
        "QUOTED": "a b\nc",
        "RAW": "$HOME \\n",
        "URL": "https://u:p@example.com/?a=b#c",
        "REFERENCE": "${PLAIN}",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\n\nB\n", ".dev.vars:3: B has no value"),
        ("A=1\nB='x\n", ".dev.vars:2: expected NAME=value"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A line that is no setting is an error with its number, and never shows a value."""
    (tmp_path / ".dev.vars").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, None)
    assert message in str(raised.value)


def test_no_file_means_no_secrets(tmp_path: Path) -> None:
    """`.dev.vars` is optional."""
    assert load(tmp_path, "staging") == {}
